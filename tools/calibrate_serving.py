"""Fit the engine cards to published serving runs and write them into the catalogue.

    python tools/calibrate_serving.py [--points serving.yaml] [--most 40] [--from fits.jsonl] [stack ...]

Prints each fit with its error before, after and with every source held out in turn; stacks that are not fitted keep
their cards. ``--from`` writes cards from fits printed earlier (one JSON object per line).
"""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wafer2token.serve.fitting import fit_all

ENGINES = Path(__file__).parents[1] / "src/wafer2token/catalog/data/calibration/engines.toml"
SOURCES = Path(__file__).parents[1] / "src/wafer2token/catalog/data/source"
TIMES = {"request_s": "request", "step_s": "step", "sequence_s": "sequence", "prefill_s": "prefill", "hidden_s": "hidden"}


def source_ids() -> dict[str, str]:
    """Source card of each key of the points."""
    out = {}
    for file in SOURCES.glob("*.toml"):
        for card in tomllib.loads(file.read_text("utf-8"))["card"]:
            out[card["id"].removeprefix("serve_")] = card["id"]
    return out


def rewritten(text: str, fit: dict[str, Any], ids: dict[str, str]) -> str:
    """The TOML text with the card of one fit replaced."""
    name = f'id = "engine_{fit["platform"]}_{fit["stack"].replace("-", "_")}"'
    start = text.index(name)
    end = text.find("[[card]]", start)
    block = text[start : end if end > 0 else len(text)]
    keys = [k.replace("-", "_").replace(".", "_") for k in fit["sources"]]
    cited = json.dumps(sorted({ids.get(k, ids.get("trtllm_v0_17", "w2t")) for k in keys}))
    note = f"fitted to {fit['points']} points of {len(keys)} sources, median error {fit['error']:.3f} (before {fit['error_before']:.3f})"
    for field, key in TIMES.items():
        if field not in fit["values"]:
            continue
        block = _set(block, key, f'"{fit["values"][field]:.4g} s"', fit["spread"], cited, note)
    block = _set(block, "device", f"{fit['values']['device']:.4g}", fit["spread"], cited, note)
    block = _set(block, "eager", f"{fit['values']['eager']:.4g}", fit["spread"], cited, note)
    return text[:start] + block + text[end if end > 0 else len(text) :]


def _set(block: str, key: str, value: str, spread: float, cited: str, note: str) -> str:
    line = f'{key} = {{ value = {value}, grade = "measured", source = {cited}, note = "{note}" }}'
    return re.sub(rf"(?m)^{key} = .*$", lambda _: line, block)


def main() -> None:
    """Fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points")
    parser.add_argument("--most", type=int, default=40)
    parser.add_argument("--from", dest="earlier", type=Path)
    parser.add_argument("stacks", nargs="*")
    given = parser.parse_args()
    if given.earlier:
        fits = [json.loads(line) for line in given.earlier.read_text().splitlines() if line.startswith("{")]
    else:
        fits = [asdict(f) for f in fit_all(given.points, given.most, given.stacks)]
    text = ENGINES.read_text("utf-8")
    ids = source_ids()
    for fit in fits:
        print(json.dumps(fit))
        text = rewritten(text, fit, ids)
    ENGINES.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
