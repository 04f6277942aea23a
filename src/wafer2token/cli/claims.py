"""``w2t claims``: what people say, tested."""

from __future__ import annotations

import click

from wafer2token.cli.output import emit, emit_json, formats


@click.command(name="claims")
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every claim on record, without running the tests.")
@click.option("--errors", is_flag=True, help="The errors and conflicts found in the documents.")
@click.option("--scenario", type=click.Path(), help="Scenario file (default: the bundled one).")
@click.option("--samples", type=click.IntRange(10), default=500, show_default=True)
@click.option("--seed", type=click.IntRange(0), help="Seed (default: the scenario's).")
@formats
def command(
    ids: tuple[str, ...],
    everything: bool,
    errors: bool,
    scenario: str | None,
    samples: int,
    seed: int | None,
    fmt: str | None,
) -> None:
    """Test claims: a probability in each sense, under stated conditions; supported from 80 %, contradicted to 20 %.

    \b
      w2t claims
      w2t claims S2-011
      w2t claims --all --csv
    """
    from wafer2token.cli.tables import claim_card_rows, verdict_rows

    if errors:
        from wafer2token.study.claims import document_errors

        emit(
            document_errors(),
            {"claims": "claims", "issue": "what the documents get wrong"},
            "Errors and conflicts in the documents",
            fmt,
        )
        return
    if everything:
        from wafer2token import catalog

        cards = list(catalog.all_cards("claim").values())
        emit(claim_card_rows(cards), ["id", "document", "form", "grade", "status", "statement"], f"{len(cards)} claims", fmt,
             [c.model_dump(mode="json") for c in cards])  # fmt: skip
        return
    from wafer2token.study.claims import claims, label

    result = claims(ids, scenario=scenario, samples=samples, seed=seed)
    if fmt == "json":
        emit_json(result.to_dict())
        return
    if fmt is None:
        for card in result.cards:
            click.echo(f"{label(card)}: {card.statement}", err=True)
    emit(verdict_rows(result.verdicts, shown=fmt is None), ["claim", "sense", "claimed", "computed", "p", "finding", "grade"],
         "A verdict holds in its sense and under its conditions", fmt)  # fmt: skip
    for name, reason in result.problems.items():
        click.echo(f"{name}: {reason}", err=True)
