"""``w2t allow``: may this item go there on that date, and why (not)?"""

from __future__ import annotations

from typing import Any

import click

from wafer2token.cli.output import emit, emit_json, formats

_VIEWS = ["enforced", "codified"]
_AFTER = ["unknown", "snap_back", "extended"]
_USES = ["advanced_node", "mature_node", "equipment_development", "supercomputer", "other"]


@click.command(name="allow")
@click.argument("item", required=False)
@click.option("--to", default="CN", show_default=True, help="Destination: ISO code or name.")
@click.option("--on", help="Date, such as 2025-04-09. [default: the last day of the facts]")
@click.option("--party", help="The recipient, by the id or name of a party card.")
@click.option("--from", "from_", default="US", show_default=True, help="Where it leaves from.")
@click.option("--hq", help="Headquarters of a recipient without a card.")
@click.option("--end-use", type=click.Choice(_USES), help="What it is for; decides much for equipment.")
@click.option("--given", multiple=True, help="A further fact, such as owned_pct=60 or state_funded=yes.")
@click.option("--view", type=click.Choice(_VIEWS), default="enforced", show_default=True, help="Which clock.")
@click.option("--after-horizon", type=click.Choice(_AFTER), default="unknown", show_default=True,
              help="Time-limited rules beyond the facts.")  # fmt: skip
@click.option("--with-unverified", is_flag=True, help="Also rules that rest on memory alone.")
@click.option("--settle", is_flag=True, help="Let what is known settle a limb although a value is missing.")
@click.option("--near", default=0.1, show_default=True, help="How close a limb must be to be called near.")
@click.option("--timeline", is_flag=True, help="The item's status over the years.")
@click.option("--since", help="First day of the timeline.")
@click.option("--until", help="Last day of the timeline.")
@click.option("--design", is_flag=True, help="The strongest chip that the rules of the date let through.")
@click.option("--area", multiple=True, help='Die area for --design, such as "814 mm^2"; may be repeated.')
@click.option("--consumer", is_flag=True, help="Design a part that is not for datacenters.")
@click.option("--licensable", is_flag=True, help="Design for a licence that can be had, not for no licence at all.")
@click.option("--model", help="What the designed chip would do on this model, such as deepseek_r1.")
@click.option("--base", default="h20", show_default=True, help="The chip whose efficiency the design inherits.")
@click.option("--what-if", "amendment", type=click.Path(), help="A file with an amended or a new rule.")
@click.option("--check", is_flag=True, help="Known outcomes against the engine, documented and derived.")
@formats
def command(item: str | None, timeline: bool, design: bool, amendment: str | None, check: bool, fmt: str | None, **asked: Any) -> None:  # fmt: skip
    """May this item go there on that date, and why (not)? Not legal advice.

    ITEM is a chip, memory stack, logic die, tool or material by name, a system, or the path of a card file. Without
    ITEM, every chip. The verdict is free, licence, denied, indeterminate (a value is missing, or a threshold is known
    only as a range) or unknown (beyond the dates of the facts).

    \b
      w2t allow H20 --to CN --on 2025-04-09
      w2t allow H20 --timeline
      w2t allow NXT:1980i --from NL --on 2024-09-07
      w2t allow --design --area "814 mm^2" --on 2024-06-01
      w2t allow --what-if tighter.toml --on 2026-07-01
    """
    modes = {"--timeline": timeline, "--design": design, "--what-if": bool(amendment), "--check": check}
    chosen = [name for name, given in modes.items() if given]
    if len(chosen) > 1 and set(chosen) != {"--timeline", "--what-if"}:
        raise click.UsageError(f"{' and '.join(chosen)} do not go together.")
    if timeline and not item:
        raise click.UsageError("--timeline needs an ITEM.")
    if check:
        _check(item, fmt)
    elif design:
        _design(asked, fmt)
    elif timeline and item:
        _timeline(item, amendment, asked, fmt)
    elif amendment:
        _what_if(amendment, item, asked, fmt)
    elif item:
        _one(item, asked, fmt)
    else:
        _all(asked, fmt)


def _options(asked: dict[str, Any]) -> dict[str, Any]:
    from wafer2token.controls.ruling import parse_given

    names = ("hq", "end_use", "view", "after_horizon", "with_unverified", "settle", "near", "from_")
    return {**{n: asked[n] for n in names}, "given": parse_given(asked["given"])}


def _one(item: str, asked: dict[str, Any], fmt: str | None) -> None:
    from wafer2token.cli.allow_text import ruling_rows, show_ruling
    from wafer2token.controls import allow

    ruling = allow(item, asked["to"], asked["on"], asked["party"], **_options(asked))
    if fmt == "json":
        emit_json(ruling.to_dict())
    elif fmt == "csv":
        emit(ruling_rows(ruling), list(ruling_rows(ruling)[0]), fmt=fmt)
    else:
        show_ruling(ruling)


def _all(asked: dict[str, Any], fmt: str | None) -> None:
    from wafer2token.catalog import all_cards
    from wafer2token.controls import DISCLAIMER, allow

    cards = [c for c in all_cards("item").values() if c.category == "chip"]
    rulings = [allow(c, asked["to"], asked["on"], asked["party"], **_options(asked)) for c in cards]
    rows = [
        {
            "item": r.item,
            "verdict": r.verdict,
            "tpp": f"{r.metrics.tpp[1]:,.6g}" if r.metrics.tpp else None,
            "pd": f"{r.metrics.pd[1]:.4f}" if r.metrics.pd else None,
            "why": ", ".join((r.exception and [r.exception]) or [f.rule for f in r.matched if f.binding and not f.replaced_by]),
        }
        for r in rulings
    ]  # fmt: skip
    first = rulings[0]
    title = f"chips from {first.origin} to {first.to} on {first.on}, {first.party}"
    columns = {"item": "item", "verdict": "verdict", "tpp": "TPP", "pd": "density", "why": "why"}
    emit(rows, columns, title, fmt, [r.to_dict() for r in rulings], DISCLAIMER)


def _timeline(item: str, amendment: str | None, asked: dict[str, Any], fmt: str | None) -> None:
    from wafer2token.cli.allow_text import show_timeline, span_rows
    from wafer2token.controls import timeline
    from wafer2token.controls.rulebook import amended, bundled

    book = amended(bundled(), amendment)[0] if amendment else None
    found = timeline(item, asked["to"], asked["party"], since=asked["since"], until=asked["until"], rules=book, **_options(asked))  # fmt: skip
    if fmt == "json":
        emit_json(found.to_dict())
    elif fmt == "csv":
        emit(span_rows(found), list(span_rows(found)[0]), fmt=fmt)
    else:
        show_timeline(found)


def _what_if(amendment: str, item: str | None, asked: dict[str, Any], fmt: str | None) -> None:
    from wafer2token.controls.whatif import what_if

    found = what_if(
        amendment, [item] if item else [], asked["to"], asked["on"], party=asked["party"], **_options(asked)
    )
    changed = [c for c in found.changes if c.changed]
    shown = found.changes if item else changed
    rows = [
        {
            "item": c.before.item,
            "before": c.before.verdict,
            "after": c.after.verdict,
            "because": ", ".join(f.rule for f in c.after.matched if f.binding and not f.replaced_by),
        }
        for c in shown
    ]
    title = f"{found.file} ({', '.join(found.rules)}): {len(changed)} of {len(found.changes)} verdicts change, to {found.to} on {found.on}"  # fmt: skip
    columns = {"item": "item", "before": "before", "after": "after", "because": "rules after"}
    emit(rows, columns, title, fmt, found.to_dict(), found.disclaimer)


def _check(item: str | None, fmt: str | None) -> None:
    from wafer2token.cli.allow_text import check_rows, check_title
    from wafer2token.controls.goldens import check
    from wafer2token.controls.items import item_card

    found = check([item_card(item).id] if item else None)
    columns = {"item": "item", "asked": "rule or route", "on": "on", "expected": "expected", "got": "engine",
               "agrees": "agrees", "basis": "basis"}  # fmt: skip
    rows = [{**c.to_dict(), "agrees": "yes" if c.agrees else "NO"} for c in found]
    if item and fmt is None:
        columns.pop("item")
    if item or fmt == "csv":
        emit(rows, columns, check_title(found), fmt, [c.to_dict() for c in found])
        return
    heads = {"asked": "rule or route", "documented": "documented", "derived": "derived here"}
    emit(check_rows(found), heads, check_title(found), fmt, [c.to_dict() for c in found], "agree of asked; --check with an ITEM, or --csv, shows each one")  # fmt: skip
    wrong = [r for r in rows if r["agrees"] == "NO"]
    if wrong and fmt is None:
        emit(wrong, columns, "disagreements")


def _design(asked: dict[str, Any], fmt: str | None) -> None:
    from wafer2token.cli.allow_text import design_rows, show_design
    from wafer2token.controls.frontier import frontier
    from wafer2token.evidence.units import parse_quantity

    areas = [parse_quantity(a, "m^2", "--area") * 1e6 for a in asked["area"]]
    options = {n: asked[n] for n in ("from_", "hq", "view", "after_horizon", "with_unverified")}
    found = frontier(
        areas, asked["to"], asked["on"], datacenter=not asked["consumer"],
        verdict="licence" if asked["licensable"] else "free", party=asked["party"], **options,
    )  # fmt: skip
    document = found.to_dict()
    work = None
    if asked["model"]:
        from wafer2token.study.permitted import permitted

        work = [permitted(d, asked["model"], asked["base"]) for d in found.designs]
        document["workload"] = [w.to_dict() for w in work]
    if fmt == "json":
        emit_json(document)
    elif fmt == "csv":
        emit(design_rows(found), list(design_rows(found)[0]), fmt=fmt)
    else:
        show_design(found, work)
