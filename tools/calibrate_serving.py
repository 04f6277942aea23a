"""Fit the engine cards to published serving runs, print the errors, and write the cards into the catalogue.

    python tools/calibrate_serving.py [--points serving.yaml] [--platform cuda] [--strength 0.3] [--hold-out] [--write] [stack ...]

All stacks of a platform are fitted together: a stack is shrunk towards the platform, a generation of chips towards
none. ``--hold-out`` fits again without each source, each model family and each chip in turn. ``--write`` writes the cards
of the stacks named, and those of the generations; without it nothing changes.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

from wafer2token.catalog import get
from wafer2token.chip.fits import platform
from wafer2token.serve.decompose import NAMES, PARTS, Figure, figures
from wafer2token.serve.fitting import GROUPS, REFERENCE, Fit, by_stack, errors, fit, held_out
from wafer2token.serve.overhead import generation
from wafer2token.serve.points import cases, read_points
from wafer2token.serve.predict import Predictor

ENGINES = Path(__file__).parents[1] / "src/wafer2token/catalog/data/calibration/engines.toml"
TIMES = {"step_s": "step", "sequence_s": "sequence", "prefill_s": "prefill", "hidden_s": "hidden"}


def line(key: str, value: str, note: str) -> str:
    """One number of a card."""
    return f'{key} = {{ value = {value}, grade = "measured", source = ["w2t"], note = "{note}" }}'


def placed(block: str, key: str, new: str, section: str) -> str:
    """A card with one line of a section replaced, or added at its end."""
    head, mark, rest = block.partition(f"[card.{section}]\n")
    body, more, tail = rest.partition("\n[")
    if re.search(rf"(?m)^{key} = ", body):
        body = re.sub(rf"(?m)^{key} = .*$", lambda _: new, body)
    else:
        body = f"{body.rstrip()}\n{new}\n".lstrip()
    return head + mark + body + more + tail


def card(text: str, name: str, changes: dict[str, float], note: str) -> str:
    """The file with the parameters of one card replaced."""
    start = text.index(f'id = "{name}"')
    end = text.find("[[card]]", start)
    block = text[start : end if end > 0 else len(text)]
    for key, value in changes.items():
        if key in TIMES and "[card.times]" in block:
            block = placed(block, TIMES[key], line(TIMES[key], f'"{value:.3g} s"', note), "times")
        else:
            block = placed(block, key, line(key, f"{value:.3g}", note), "ratios")
    return text[:start] + block.rstrip() + "\n" + ("\n" + text[end:] if end > 0 else "")


def with_card(text: str, stack: str, kind: str) -> str:
    """The file with a card of a stack on a generation of chips."""
    name = f"engine_{kind}_{stack.replace('-', '_')}"
    if f'id = "{name}"' in text:
        return text
    head = f'[[card]]\nid = "{name}"\nname = "{stack} on {kind}: steps over those of other engines there"\n'
    return text.rstrip() + f'\n\n{head}subject = "class"\ntarget = "{kind}"\nstack = "{stack}"\nfamily = "engine_generation"\n[card.ratios]\n'


def written(text: str, found: Fit, figures_: list[Figure], stacks: list[str], kind_of: str) -> str:
    """The file with the cards of the fit on a platform."""
    for stack in stacks:
        own = [f for f in figures_ if f.case.stack == stack]
        note = f"fitted together to {len(own)} figures of {len({f.case.source for f in own})} sources"
        changes = dict(zip(NAMES, map(float, found.of(stack, REFERENCE[kind_of])), strict=True)) | {"device": 1.0}
        text = card(text, f"engine_{kind_of}_{stack.replace('-', '_')}", changes, note)
    for kind, values in found.generations.items():
        if kind != REFERENCE[kind_of]:
            note = f"over {REFERENCE[kind_of]}; from {sum(1 for f in figures_ if f.case.stack in found.stacks)} figures of all stacks"
            changes = {n: float(v) for n, v in zip(NAMES, values, strict=True) if n in PARTS}
            text = card(text, f"engine_generation_{kind}", changes, note)
    for (stack, kind), values in found.together.items():
        if stack in stacks and kind not in REFERENCE.values():
            n = sum(1 for f in figures_ if f.case.stack == stack and generation(f.case.chip) == kind)
            changes = {name: float(v) for name, v in zip(NAMES, values, strict=True) if abs(v - 1.0) > 1e-3}
            text = card(with_card(text, stack, kind), f"engine_{kind}_{stack.replace('-', '_')}", changes, f"{n} figures, over other engines there")
    return text


def told(figures_: list[Figure], rows: dict[str, np.ndarray]) -> None:
    """Errors by stack, one column per way of looking."""
    tables = {name: by_stack(figures_, off) for name, off in rows.items()}
    print(f"{'':14}" + "".join(f"{name:>24}" for name in tables))
    for stack in next(iter(tables.values())):
        print(f"{stack:14}" + "".join(f"{100 * t[stack]:23.1f}%" for t in tables.values()))


def main() -> None:
    """Fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points")
    parser.add_argument("--platform", choices=tuple(REFERENCE), default="cuda")
    parser.add_argument("--strength", type=float, default=0.3)
    parser.add_argument("--hold-out", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("stacks", nargs="*", default=["vllm", "sglang"])
    given = parser.parse_args()
    good, _ = cases(read_points(given.points))
    found = figures([c for c in good if platform(get("chip", c.chip).vendor) == given.platform], Predictor())
    best = fit(found, given.strength)
    rows = {"before": np.array([f.error for f in found]), "fitted": errors(found, best)}
    if given.hold_out:
        rows |= {f"{by} held out": held_out(found, by, given.strength, best) for by in GROUPS}
    told(found, rows)
    for name, values in {"platform": best.common, **best.stacks, **best.generations, **{f"{s} {k}": v for (s, k), v in best.together.items()}}.items():
        print(f"{name:18}" + "  ".join(f"{n} {v:.3g}" for n, v in zip(NAMES, values, strict=True)))
    if given.write:
        ENGINES.write_text(written(ENGINES.read_text("utf-8"), best, found, given.stacks, given.platform), "utf-8")


if __name__ == "__main__":
    main()
