"""Records of the supply facts as quantity cards."""

from __future__ import annotations

import re
from typing import Any

from facts_import.contested_supply import QUANTITY_CLAIMS
from facts_import.evidence import figure, quantity, reword
from facts_import.quantity_table import FAB, MEMORY, PRODUCTION, Place
from facts_import.supply_sources import Sources

Fact = dict[str, Any]
TABLES = {"fab": FAB, "memory": MEMORY, "production": PRODUCTION}
GRADES = {
    "analyst-estimate": "analyst", "press-report": "press", "vendor": "vendor", "teardown": "teardown",
    "measured": "measured", "official": "vendor", "from_memory": "assumed",
}  # fmt: skip
_ANALYST_WHERE_CONTESTED = {
    "node.tsmc.n5", "cap.smic.adv.2025", "cap.smic.adv.2026", "cap.smic.adv.2027", "tsv.2025e", "cxmt.hbm.2026.stacks",
    "asc.2024.units", "asc.2025.units", "asc.2026.units", "bank.tsmc", "cambricon", "cowos.cap",
}  # fmt: skip
_DATE = re.compile(r"^\d{4}(-(\d{2}|Q\d|H\d)(-\d{2})?)?$")
_TEXT_KEYS = ("status", "start", "type")
PERCENTILES = {
    "nvidia_units_world", "nvidia_h100e_world", "nvidia_china_h20", "nvidia_china_h800", "nvidia_china_a800",
    "smuggled_chips_2024", "smuggled_by_cloud_2023", "china_acquisition_2026",
}  # fmt: skip


def grade(record: Fact) -> str:
    """The house grade of a supply record."""
    if record["evidence"] == "contested":
        return "analyst" if record["id"] in _ANALYST_WHERE_CONTESTED else "press"
    return GRADES[record["evidence"]]


def when(text: object) -> str:
    """A record's date as a period."""
    return re.sub(r"^(\d{4})-(\d{4})$", r"\1..\2", str(text))


def head(record: Fact, sources: Sources, place_note: str = "") -> Fact:
    """Grade, source, date, speaker and note of a record."""
    out: Fact = {"grade": grade(record), "source": sources.ids(record)}
    if record.get("said_by", "same") != "same":
        out["said_by"] = reword(record["said_by"])
    if "as_of" in record:
        out["when"] = when(record["as_of"])
    if record.get("from_memory") or record["evidence"] == "from_memory":
        out["from_memory"] = True
    if record.get("derived"):
        out["derived"] = True
    official = "text of a law, filing or regulator" if record["evidence"] == "official" else ""
    contested = "contested" if record["evidence"] == "contested" else ""
    note = "; ".join(n for n in (place_note, reword(record.get("note", "")), official, contested) if n)
    return out | ({"note": note} if note else {})


def slug(key: object) -> str:
    """A key of a series as snake case."""
    text = str(key).replace("%", "pct").replace("<", "before_").replace("&", "and")
    return re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_").lower()


def leaf(value: Any, unit: str, scale: float) -> Any:
    """A number of a series: bare text where one figure is enough."""
    suffix = "" if unit == "1" else unit
    if not isinstance(value, dict):
        return quantity(value, suffix, scale) if isinstance(value, list) else figure(value * scale, suffix)
    given = {k: value[k] for k in ("low", "mid", "high") if value.get(k) is not None}
    if len(given) == 1:
        bound = next(iter(given))
        note = {"low": {"note": "at least"}, "high": {"note": "at most"}, "mid": {}}[bound]
        number = {"value": figure(given[bound] * scale, suffix)} | note
        return number if note else number["value"]
    if len(set(given.values())) == 1:
        return figure(next(iter(given.values())) * scale, suffix)
    return quantity(given, suffix, scale)


class Filler:
    """Puts the pieces of one record's value where they belong on the card."""

    def __init__(self, card: Fact, place: Place):
        self.card, self.place = card, place

    def fill(self, value: Any, path: tuple[str, ...] = ()) -> None:
        """One value, or a table of them."""
        if _is_number(value) or isinstance(value, list):
            self._number(value, path)
        elif isinstance(value, str):
            self._text(value, path)
        elif isinstance(value, dict):
            for key, item in value.items():
                if item is not None and not (key == "note" and path):
                    self.fill(item, (*path, str(key)))
                elif key == "note":
                    self.remark(f"{path[-1]}: {item}")

    def _number(self, value: Any, path: tuple[str, ...]) -> None:
        if not path:
            self.card["value"] = self._spread(leaf(value, self.place.unit, self.place.scale))
            return
        name = "_".join(slug(p) for p in path)
        unit, scale = self.place.figures.get(path[0], (None, 1.0))
        if unit:
            self.card.setdefault("figures", {})[_bare(name)] = leaf(value, unit, scale)
            return
        self.card.setdefault("series", {})[_bare(name)] = self._spread(leaf(value, self.place.unit, self.place.scale))

    def _spread(self, number: Any) -> Any:
        """Percentiles and not bounds where the source gives percentiles."""
        percentiles = self.place.id in PERCENTILES and isinstance(number, dict) and "mid" in number
        return number | {"dist": "lognormal"} if percentiles else number

    def _text(self, value: str, path: tuple[str, ...]) -> None:
        steps = re.match(r"^1 mandrel \+ (\d)\.\.(\d) cut/block$", value)
        if _DATE.match(value) and path:
            self.card.setdefault("dates", {})["_".join(slug(p) for p in path)] = value
        elif steps:
            low, high = int(steps.group(1)) + 1, int(steps.group(2)) + 1
            name = "_".join(slug(p) for p in path)
            self.card.setdefault("series", {})[name] = {"low": low, "high": high, "note": value}
        else:
            self.remark(f"{' '.join(path).replace('_', ' ')}: {value}" if path else value)

    def remark(self, text: str) -> None:
        """A statement with the record's evidence."""
        evidence = {k: self.card[k] for k in ("grade", "source", "from_memory") if k in self.card}
        self.card.setdefault("remarks", []).append({"value": reword(text)} | evidence)


def _is_number(value: Any) -> bool:
    if isinstance(value, dict):
        return (
            bool(value) and set(value) <= {"low", "mid", "high"} and not any(isinstance(v, str) for v in value.values())
        )
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _bare(name: str) -> str:
    """The name without the unit that the quantity itself now states."""
    named = {"kw": "power", "pflops_bf16": "peak_bf16"}
    return named.get(name) or re.sub(r"_(musd|busd|gbs|gb|pflops|months|s|w|tbs|per_mm2)(?=_|$)", "", name)


def quantity_card(record: Fact, place: Place, sources: Sources) -> Fact:
    """One record as a quantity card."""
    card: Fact = {"id": place.id, "name": place.name, "topic": place.topic} | head(record, sources, place.note)
    if place.unit:
        card["unit"] = place.unit
    filler = Filler(card, place)
    value = record.get("value")
    if place.id == "policy_dates":
        card["timeline"] = [{"date": date, "what": what} for date, what in value.items()]
    elif place.id == "gross_dies_per_wafer":
        for area, counts in value.items():
            filler.fill(dict(zip(("simple", "edge_and_scribe", "grid"), counts, strict=True)), (area,))
    elif (
        isinstance(value, dict)
        and set(value) <= {"low", "mid", "high"}
        and any(isinstance(v, str) for v in value.values())
    ):
        card["dates"] = dict(value)
    elif place.id in ("dies_per_910c", "jcet_xdfoi"):
        filler.fill(next(iter(value.values())))
    elif value is not None:
        filler.fill(value)
    _more(card, record, filler)
    if place.id in QUANTITY_CLAIMS:
        card["value"] = QUANTITY_CLAIMS[place.id]
    if str(record.get("note", "")).startswith("NOT FOUND"):
        card["not_found"] = [place.name]
    if not ({"value", "series", "figures", "dates", "timeline", "remarks"} & set(card)):
        card["not_found"] = [place.name]
    return card


def _more(card: Fact, record: Fact, filler: Filler) -> None:
    """Keys beside ``value`` that a few records have."""
    for key in _TEXT_KEYS:
        if key in record:
            filler.remark(f"{key}: {record[key]}" if key != "status" else record[key])
    for key in ("cores", "cores_on_die", "invest_busd"):
        if key in record:
            filler.fill({key: record[key]})
    for entry in record.get("timeline", []):
        match = re.match(r"^(\d{4})(-\d{2}(?:-\d{2})?)?(?:/(\d{2}))?(?:-mid)?\s*:?\s*(.*)$", entry)
        assert match, entry
        start = match.group(1) + (match.group(2) or "")
        date = f"{start}..{match.group(1)}-{match.group(3)}" if match.group(3) else start
        card.setdefault("timeline", []).append({"date": date, "what": match.group(4)})
    for part, values in record.get("breakdown", {}).items():
        unit = "USD*year/wafer" if part.endswith("per_year") else "USD/wafer"
        for node, amount in values.items():
            card.setdefault("figures", {})[f"{part}_{slug(node)}"] = leaf(amount, unit, 1)
    for node, amount in record.get("per_chip_610mm2", {}).items():
        card.setdefault("figures", {})[f"per_chip_610mm2_{slug(node)}"] = leaf(amount, "USD/chip", 1)


def quantity_cards(facts: dict[str, Fact], sources: Sources) -> dict[str, list[Fact]]:
    """All quantity cards by file of the facts; records that belong to other kinds are left out."""
    out: dict[str, list[Fact]] = {}
    for name, table in TABLES.items():
        records = [
            r for section in facts[name].values() if isinstance(section, list) for r in section if isinstance(r, dict)
        ]
        out[name] = [quantity_card(r, table[r["id"]], sources) for r in records if r["id"] in table]
        out[name] += _not_found(name, facts[name])
    out["production"] += [_revenue(sources), _910b_peak(), _cxmt_equivalents(sources)]
    for card in out["production"]:
        if card["id"] == "electricity_price_china":
            for name in ("west_unsubsidised", "east"):
                card["series"][name] |= {"grade": "assumed", "source": ["mem"], "from_memory": True}
    for card in out["memory"]:
        if card["id"] == "yield_cxmt_hbm":
            card["value"] = {"low": 0.2, "high": 0.6, "note": "a prior, not a report: no figure was found"}
            card["not_found"] = ["CXMT HBM yield as a number"]
        if card["id"] == "hbm_embargo":
            card["figures"] = {"memory_bandwidth_density_threshold": "2 GB/s/mm^2"}
    return out


def _not_found(name: str, facts: Fact) -> list[Fact]:
    items = [part.strip() for text in facts.get("not_found", []) for part in text.rstrip(".").split(";")]
    label = {"fab": "Fabrication", "memory": "Memory", "production": "Production"}[name]
    card: Fact = {
        "id": f"not_found_{name}", "name": f"{label}: looked for and not found", "topic": "not found", "grade": "assumed",
        "source": ["w2t"], "when": "2026-11-22", "not_found": items,
    }  # fmt: skip
    notes = [{"value": reword(n), "grade": "assumed", "source": ["w2t"]} for n in facts.get("model_notes", [])]
    return [card | ({"remarks": notes} if notes else {})]


def _revenue(sources: Sources) -> Fact:
    return {
        "id": "huawei_ai_chip_revenue", "name": "Huawei's AI chip revenue", "topic": "ascend units", "grade": "press",
        "source": ["ft_huawei_revenue"], "said_by": "Financial Times", "when": "2026-04", "unit": "USD/year",
        "series": {"2025": "7.5e9 USD/year", "2026": {"value": "12e9 USD/year", "note": "forecast"}},
    }  # fmt: skip


def _cxmt_equivalents(sources: Sources) -> Fact:
    return {
        "id": "ascend_910c_from_cxmt_2026", "name": "910C equivalents that CXMT's HBM alone allows, 2026",
        "topic": "ascend units", "grade": "analyst", "source": [sources.alias("CSC"), sources.alias("SA_digest")],
        "said_by": "SemiAnalysis", "unit": "chip", "value": {"low": "250000 chip", "high": "300000 chip"},
    }  # fmt: skip


def _910b_peak() -> Fact:
    return {
        "id": "ascend_910b_peak", "name": 'Dense bf16 peak of a "910B" of unknown form', "topic": "ascend units",
        "grade": "vendor", "source": ["cann"], "unit": "FLOP/s", "value": QUANTITY_CLAIMS["ascend_910b_peak"],
    }  # fmt: skip
