"""Process, tool and memory cards from the supply facts."""

from __future__ import annotations

import re
from typing import Any

from facts_import.evidence import figure, reword
from facts_import.quantities import grade
from facts_import.supply_sources import Sources

Fact = dict[str, Any]
PROCESS_IDS = {
    "node.smic.n1": ("smic_n1", "SMIC"), "node.smic.n2": ("smic_n2", "SMIC"), "node.smic.n3": ("smic_n3", "SMIC"),
    "node.tsmc.n7": ("tsmc_n7", "TSMC"), "node.tsmc.n7p": ("tsmc_n7p", "TSMC"), "node.tsmc.n5": ("tsmc_n5", "TSMC"),
    "node.tsmc.n3": ("tsmc_n3", "TSMC"), "node.tsmc.n4": ("tsmc_n4", "TSMC"), "node.hlmc.7": ("huali_7nm", "Hua Hong / Huali"),
    "node.huawei.fabs": ("huawei_fabs", "Huawei partners"), "node.cxmt.dram": ("cxmt_dram", "CXMT"),
    "node.samsung.7_5": ("samsung_7_5", "Samsung"),
}  # fmt: skip
TOOLS = {
    "tool.nxt1980di": ("nxt1980di", "ASML", "NL", "ArF immersion", "shipped", "ASML NXT:1980Di"),
    "tool.nxt2000i": ("nxt2000i", "ASML", "NL", "ArF immersion", "shipped", "ASML NXT:2000i"),
    "tool.nxt2050i": ("nxt2050i", "ASML", "NL", "ArF immersion", "shipped", "ASML NXT:2050i"),
    "tool.nxt2100i": ("nxt2100i", "ASML", "NL", "ArF immersion", "shipped", "ASML NXT:2100i"),
    "tool.nxt2150i": ("nxt2150i", "ASML", "NL", "ArF immersion", "shipped", "ASML NXT:2150i"),
    "tool.nxe3600d": ("nxe3600d", "ASML", "NL", "EUV", "shipped", "ASML NXE:3600D"),
    "tool.nxe3800e": ("nxe3800e", "ASML", "NL", "EUV", "shipped", "ASML NXE:3800E"),
    "tool.exe5200b": ("exe5200b", "ASML", "NL", "High-NA EUV", "shipped", "ASML EXE:5200B"),
    "tool.yuliangsheng": ("yuliangsheng_immersion", "Yuliangsheng (SiCarrier-linked)", "CN", "ArF immersion", "on test",
                          "Yuliangsheng 28 nm-class immersion scanner"),
    "tool.aishengna": ("aishengna_immersion", "Shanghai Aishengna", "CN", "ArF immersion", "shipped",
                       "Aishengna immersion DUV scanner (former SMEE and Yuliangsheng teams)"),
    "tool.smee": ("smee_ssa800", "SMEE", "CN", "ArF immersion", "announced", "SMEE SSA800"),
    "tool.cn_euv": ("china_euv_prototype", "Shenzhen, coordinated by Huawei", "CN", "EUV", "prototype", "Chinese EUV prototype"),
    "amec": ("amec_etch", "AMEC", "CN", "etch", "shipped", "AMEC etch tools"),
}  # fmt: skip


def _proof(record: Fact, sources: Sources) -> Fact:
    out: Fact = {"grade": grade(record), "source": sources.ids(record)}
    if record.get("from_memory") or record["evidence"] == "from_memory":
        out["from_memory"] = True
    return out


def _note(record: Fact) -> Fact:
    parts = [reword(record[k]) for k in ("note", "said_by") if k in record]
    if "said_by" in record:
        parts[-1] = f"said by {parts[-1]}"
    return {"note": "; ".join(parts)} if parts else {}


def process_cards(records: list[Fact], sources: Sources) -> list[Fact]:
    """All process nodes, and the two peers that the N+3 record compares with."""
    cards = []
    for record in records:
        name, maker = PROCESS_IDS[record["id"]]
        proof = _proof(record, sources)
        card: Fact = {"id": name, "name": record["name"], "maker": maker} | _note(record)
        if "class" in record:
            card["node_class"] = record["class"]
        for key in ("volume", "geometry"):
            if key in record:
                card[key] = {"value": record[key]} | proof
        if "euv" in record:
            card["euv"] = {"value": "no EUV"} | proof
        if "euv_layers" in record:
            layers = str(record["euv_layers"])
            note = {"note": "more than"} if layers.startswith(">") else {}
            card["euv_layers"] = {"value": f"{layers.lstrip('>')} layer"} | proof | note
        if "min_metal_pitch_nm" in record:
            card["min_metal_pitch"] = {"value": figure(record["min_metal_pitch_nm"], "nm")} | proof
        if "density_mtr_mm2" in record:
            card["density"] = _density(record["density_mtr_mm2"], proof)
        if record["evidence"] == "from_memory":
            card["remarks"] = [{"value": card.pop("note")} | proof]
        if "compare" in record:
            cards += _peers(record["compare"], proof)
        cards.append(card)
    return cards


def _density(value: Any, proof: Fact) -> Fact:
    if isinstance(value, dict):
        claimed = {
            "by": "TSMC's claim",
            "value": _mtr(value["claimed"]),
            "weight": 0.5,
            "grade": "vendor",
            "source": proof["source"],
        }
        chip = {"by": "Angstronomics on the A14 chip", "value": _mtr(value["chip_level_A14"]), "weight": 0.5, "grade": "analyst",
                "source": proof["source"]}  # fmt: skip
        return {"claims": [claimed, chip], "note": "logic cells claimed against a whole chip"}
    return {"value": _mtr(value)} | proof


def _mtr(millions: float) -> str:
    return f"{millions:g}e6 transistor/mm^2"


def _peers(compare: Fact, proof: Fact) -> list[Fact]:
    intel = {"id": "intel_18a", "name": "Intel 18A", "maker": "Intel",
             "min_metal_pitch": {"value": figure(compare["intel_18a_mmp_nm"], "nm")} | proof}  # fmt: skip
    tsmc = {"id": "tsmc_n6", "name": "TSMC N6", "maker": "TSMC", "density": _density(compare["tsmc_n6_mtr_mm2"], proof)}
    return [intel, tsmc]


def tool_cards(records: list[Fact], sources: Sources) -> list[Fact]:
    """All tools."""
    cards = []
    for record in records:
        if record["id"] not in TOOLS:
            continue
        name, maker, country, technology, status, title = TOOLS[record["id"]]
        proof = _proof(record, sources)
        card: Fact = {
            "id": name,
            "name": title,
            "maker": maker,
            "country": country,
            "technology": technology,
            "status": status,
        }
        card |= _note(record)
        if name.startswith(("nx", "exe")):
            card["aliases"] = [title.removeprefix("ASML ")]
        value = record.get("value", {})
        if "wph" in value:
            card["throughput"] = {"value": f"{value['wph']} wafer/h"} | proof
        if "overlay_nm" in value:
            card["overlay"] = {"value": figure(value["overlay_nm"], "nm")} | proof
        if name == "aishengna_immersion":
            card["output"] = {k: f"{value[k]} tool/year" for k in ("low", "mid", "high")} | proof
        if name == "china_euv_prototype":
            card["first_light"] = {"value": "2025-H1"} | proof | {"note": value["first_light"]}
            target = value["chips_target"]
            card["first_chips"] = (
                {"value": f"{target['low']}..{target['mid']}"} | proof | {"note": "target; no later bound given"}
            )
        if "status" in record:
            card["remarks"] = [{"value": record["status"]} | proof]
        cards.append(card)
    return cards


_STACK = {"pin_gbps": ("pin_rate", "Gbit/s"), "bw_gbs": ("bandwidth", "GB/s"), "capacity_gb": ("capacity", "GB")}


def memory_cards(records: list[Fact], sources: Sources) -> list[Fact]:
    """All memory generations; Huawei's own memory as announced and as shipped."""
    cards = []
    for record in records:
        proof = _proof(record, sources)
        if record["id"] in ("hibl1", "hizq2"):
            cards += _huawei_memory(record, proof)
            continue
        card: Fact = {"id": record["id"], "name": record["id"].upper(), "status": "shipped"} | _note(record)
        if record["id"] in ("hbm4", "sphbm4"):
            card["status"] = "announced" if record["id"] == "sphbm4" else "shipped"
        if "first" in record:
            card["first"] = {"value": str(record["first"])} | proof
        card["bus_width"] = {"value": record["bus_bits"]} | proof
        for key, (target, unit) in _STACK.items():
            if key in record:
                card[target] = {k: figure(record[key][k], unit) for k in ("low", "mid", "high")} | proof
        for key in ("heights", "used_by"):
            if key in record:
                card[key] = [str(v) if key == "used_by" else v for v in record[key]]
        cards.append(card)
    return cards


def _package(value: Fact, proof: Fact) -> Fact:
    return {
        "capacity": {"value": f"{value['capacity_gb']} GB"} | proof,
        "bandwidth": {"value": f"{value['bw_gbs']} GB/s"} | proof,
    }


def _huawei_memory(record: Fact, proof: Fact) -> list[Fact]:
    maker = (
        {"value": re.sub(";.*", "", record["maker"])}
        | proof
        | ({"note": record["maker"]} if ";" in record["maker"] else {})
    )
    base: Fact = {"maker": maker} | _note(record)
    if record["id"] == "hibl1":
        announced = {"id": "hibl1_announced", "name": "Huawei HiBL 1.0 as announced (Ascend 950PR)", "status": "announced",
                     "shipped": "hibl1", "first": {"value": "2026-Q1"} | proof | {"note": "announced in September 2025"},
                     "packages": {"ascend_950pr_announced": _package(record["announced"], proof)}}  # fmt: skip
        shipped = {"id": "hibl1", "name": "Huawei HiBL 1.0 as shipped (Atlas 350)", "status": "shipped",
                   "announced": "hibl1_announced", "first": {"value": "2026-03"} | proof,
                   "packages": {"ascend_950pr": _package(record["shipped"], proof)}}  # fmt: skip
        return [base | announced, base | shipped]
    packages = {f"ascend_{k.lower()}": _package(v, proof) for k, v in record["announced"].items()}
    first = {"value": "2026-Q4..2028-Q4"} | proof | {"note": record["first"]}
    card = {
        "id": "hizq2",
        "name": "Huawei HiZQ 2.0 (Ascend 950DT, then 960 and 970)",
        "status": "announced",
        "first": first,
    }
    return [base | card | {"packages": packages}]
