"""``w2t explain``: what stands under a result."""

from __future__ import annotations

import click

from wafer2token.cli.output import console, emit_json


@click.command(name="explain")
@click.argument("result", required=False)
@click.option("--run", "folder", type=click.Path(), help="Run folder (default: the latest under runs/).")
@click.option("--depth", type=click.IntRange(0), default=4, show_default=True)
@click.option("--bib", is_flag=True, help="The sources under the result as BibTeX.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def command(result: str | None, folder: str | None, depth: int, bib: bool, as_json: bool) -> None:
    """Print the tree of equations, values, units, grades and sources under RESULT of a run.

    Without RESULT it lists the results of the run.

    \b
      w2t explain
      w2t explain compare.cloudmatrix384.flops_per_watt
    """
    from wafer2token.study.explain import explain

    explained = explain(result, folder)
    if as_json:
        emit_json(explained.to_dict())
        return
    if bib:
        from wafer2token.catalog.bibliography import bibliography

        click.echo(bibliography(explained.sources), nl=False)
        return
    if result is None:
        for name in explained.results:
            click.echo(name)
        return
    from rich.text import Text
    from rich.tree import Tree

    screen = console()
    tree: Tree | None = None
    branches: list[Tree] = []
    for line in explained.lines:
        if line.depth > depth:
            continue
        label = Text(line.text())
        if tree is None:
            tree = Tree(label)
            branches = [tree]
            continue
        branches = branches[: line.depth]
        branches.append(branches[-1].add(label))
    screen.print(tree)
    click.echo(
        f"weakest grade: {explained.lines[0].grade}; {len(explained.sources)} sources (--bib lists them)", err=True
    )
