"""The command ``w2t``: one file per verb, loaded when it is called."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from wafer2token import __version__
from wafer2token.cli.compiling import compile_notice
from wafer2token.evidence.errors import W2TError, nearest

# verb -> what it does, in the order of the help page; the command is wafer2token.cli.<verb>:command
VERBS: dict[str, str] = {
    "run": "the whole chain on a scenario: supply, comparison, training, serving, claims",
    "compare": "two chips or systems side by side",
    "supply": "chips by quarter from wafers, dies, HBM and packaging, and what binds",
    "allow": "may this item go there on that date, and why (not)?",
    "train": "the best training plan: step time, memory, days, cost",
    "serve": "latency, throughput and cost per token of serving a model",
    "kernel": "how long one kernel takes on a chip",
    "collective": "how long one collective takes on a system",
    "audit": "what keeps this code on CUDA, and what the move to Ascend takes",
    "claims": "what people say, tested",
    "explain": "the tree of equations, values and sources under a result",
    "validate": "predictions against published measurements",
    "calibrate": "fit efficiencies from measurement tables",
    "list": "the cards by kind",
    "show": "one card, with the grade and source of every number",
}


class Verbs(click.Group):
    """A click group that imports a verb only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = import_module(f"wafer2token.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            close = nearest(args[0], VERBS)
            hint = f" Did you mean {', '.join(close)}?" if close else f" The verbs are {', '.join(VERBS)}."
            raise click.UsageError(f"no verb {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="w2t")
def w2t() -> None:
    """From the wafer to the token: which AI compute can be had, what it will do on a model, at what cost, what
    binds, and how sure that is.

    \b
      w2t run                               the whole chain on the bundled scenario
      w2t compare cloudmatrix384 gb200_nvl72
      w2t show ascend_910c                  every number with its grade and source
    """


def main() -> None:
    """Run ``w2t``; errors become one readable message on stderr and an exit code.

    Exit codes: 0 ok, 1 internal, 2 usage or bad input, 3 infeasible, 4 evidence too weak.
    """
    try:
        with compile_notice():
            code = w2t.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except W2TError as error:
        for line in str(error).splitlines():
            click.echo(f"error: {line}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
