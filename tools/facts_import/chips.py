"""The 63 accelerators of the hardware facts as chip cards."""

from __future__ import annotations

import re
from typing import Any

from facts_import.contested import CHIP_CLAIMS
from facts_import.evidence import number, proof, reword, statement

Fact = dict[str, Any]
ALIASES = {
    "v100_sxm2_32": ("V100", "V100 SXM2 32GB"),
    "a100_sxm_40": ("A100 SXM 40GB", "A100-40 SXM"),
    "a100_sxm_80": ("A100", "A100 SXM", "A100 SXM 80GB"),
    "a100_pcie_80": ("A100 PCIe",),
    "a800_sxm": ("A800", "A800 SXM"),
    "h100_sxm": ("H100", "H100 SXM"),
    "h100_pcie": ("H100 PCIe",),
    "h800_sxm": ("H800", "H800 SXM"),
    "h20": ("H20", "H20 96GB"),
    "h200_sxm": ("H200", "H200 SXM"),
    "b200_sxm": ("B200",),
    "b300_sxm": ("B300",),
    "gb200": ("GB200",),
    "gb300": ("GB300",),
    "rtx_6000d_b40": ("B40", "RTX 6000D"),
    "rubin": ("R200", "VR200"),
    "mi300x": ("MI300X",),
    "mi325x": ("MI325X",),
    "mi355x": ("MI355X",),
    "mi308x": ("MI308X",),
    "tpu_v6e": ("Trillium",),
    "tpu_v7": ("Ironwood",),
    "ascend_910": ("910", "910A", "Ascend 910A"),
    "ascend_910b1": ("910B1",),
    "ascend_910b2": ("910B2",),
    "ascend_910b3": ("910B", "910B3", "Ascend 910B"),
    "ascend_910b4": ("910B4",),
    "ascend_910b_pro_first": ("910ProB",),
    "ascend_910c": ("910C", "Ascend 910C"),
    "ascend_910d": ("910D",),
    "ascend_920": ("920", "920C"),
    "ascend_950pr": ("950PR", "Atlas 350", "Ascend 950PR"),
    "ascend_950dt": ("950DT",),
    "ascend_960": ("960",),
    "ascend_970": ("970",),
    "ascend_310p_300i_duo": ("300I Duo", "310P"),
    "mlu590": ("Siyuan 590", "MLU590"),
    "mlu690": ("Siyuan 690", "MLU690"),
    "metax_c500": ("C500", "C500 OAM"),
    "metax_c550": ("C550",),
    "mtt_s4000": ("S4000",),
    "mtt_s5000": ("S5000",),
    "biren_br100": ("BR100",),
    "kunlun_p800": ("P800",),
    "hygon_k100_ai": ("K100_AI",),
    "hygon_bw1000": ("BW1000",),
    "iluvatar_bi_v150": ("BI-V150",),
    "iluvatar_bi_v100": ("BI-V100",),
}
ANNOUNCED = {"b30a", "rubin", "ascend_950dt", "ascend_960", "ascend_970", "biren_br100"}
RUMOURED = {"ascend_910d", "ascend_920", "mlu690"}
NODES = {
    "TSMC N7": "tsmc_n7", "TSMC 7nm": "tsmc_n7", "TSMC 4N": "tsmc_n4", "TSMC 4NP": "tsmc_n4", "TSMC 4N (GB202)": "tsmc_n4",
    "TSMC N7+ (compute), 16nm I/O": "tsmc_n7p", 'SMIC N+3 "6nm"': "smic_n3", "TSMC N5 XCD + N6 IOD": "tsmc_n5",
}  # fmt: skip
SUM_OF_DIES = {"mi300x", "mi325x", "biren_br100"}

VARIANTS = {
    "ascend_950pr": ("28_aic", "atlas350", "atlas350_ub"),
    "ascend_950dt": ("roadmap", "hiascend_64card"),
    "metax_c500": ("oam",),
}

# fact key -> (card key, unit, scale)
NUMBERS = {
    "transistors_bn": ("transistors", "transistor", 1e9),
    "compute_dies": ("compute_dies", "die", 1),
    "boost_clock_mhz": ("boost_clock", "MHz", 1),
    "l2_mb": ("l2", "MB", 1),
    "l2_mib": ("l2", "MiB", 1),
    "llc_mb": ("llc", "MB", 1),
    "l1_smem_kib_per_sm": ("l1_per_core", "KiB", 1),
    "onchip_sram_mb": ("on_chip_sram", "MB", 1),
    "scale_up_gbps_uni": ("scale_up_bandwidth", "GB/s", 1),
    "scale_up_measured_gbps": ("scale_up_measured", "GB/s", 1),
    "scale_out_gbitps": ("scale_out_bandwidth", "Gbit/s", 1),
    "die_to_die_gbps": ("die_to_die_bandwidth", "GB/s", 1),
    "tdp_w": ("tdp", "W", 1),
    "price_usd": ("price", "USD", 1),
    "achievable_mem_gbps": ("achieved_memory_bandwidth", "GB/s", 1),
    "cctv_per_card_tflops": ("peak_of_unstated_type", "TFLOP/s", 1),
}
STATEMENTS = {"arch": "architecture", "host": "host", "pod": "pod"}
REMARKS = {
    "note": "{}",
    "yield_note": "Yield: {}",
    "reliability_note": "{}",
    "h20e_variant": "An H20E with 141 GB of HBM3e was sold later",
}
CONFLICTS = {
    "bandwidth_note",
    "fp4_note",
    "tdp_note",
    "fp64_note",
    "clock_note",
    "l2_note",
    "peak_note",
    "cctv_chart_tdp_w",
}


def rate_unit(dtype: str) -> str:
    """TFLOP/s, or TOP/s for integer types."""
    return "TOP/s" if dtype.startswith("int") else "TFLOP/s"


def period_of(text: str) -> tuple[str, str]:
    """A fact's date as a period, and what else it says."""
    match = re.match(r"^(\d{4})(-\d{2}(?!\d)|-Q\d|-H\d)?(?:-(\d{4}))?", text) or re.search(r"(\d{4})(-\d{2})()", text)
    assert match, text
    start = match.group(1) + (match.group(2) or "")
    rest = (text[: match.start()] + text[match.end() :]).strip(" ;/()")
    note = text if match.start() else {"planned": "planned", "announced": "announced", "": ""}.get(rest, rest)
    return f"{start}..{match.group(3)}" if match.group(3) else start, note


def dated(fact: Fact) -> dict[str, Any]:
    """A date with its evidence."""
    value, note = period_of(str(fact["v"]))
    return statement(fact, value, note)


def chip_card(fact: Fact, variants: tuple[str, ...] = ()) -> dict[str, Any]:
    """One accelerator; ``variants`` name the branches taken where a fact lists several forms of the product."""
    fact = {k: _branch(v, variants) for k, v in fact.items()}
    name = str(fact["id"])
    status = "announced" if name in ANNOUNCED else "rumoured" if name in RUMOURED else "shipped"
    card: dict[str, Any] = {"id": name, "name": fact["name"]}
    if name in ALIASES:
        card["aliases"] = list(ALIASES[name])
    card |= {"vendor": fact["vendor"], "designer_country": fact["designer_country"], "status": status}
    missing: list[str] = []
    for key, value in fact.items():
        if isinstance(value, dict):
            _place(card, key, value, missing, name)
    if missing:
        card["not_found"] = missing
    return card


def _branch(value: Any, variants: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("v"), dict):
            taken = [v for v in variants if v in value["v"]]
            return value | {"v": value["v"][taken[0]]} if taken else value
        if "v" not in value:
            return {k: _branch(v, variants) for k, v in value.items()}
    return value


def _place(card: dict[str, Any], key: str, fact: Fact, missing: list[str], name: str) -> None:
    if "v" in fact and fact["v"] is None:
        missing.append(f"{NUMBERS.get(key, (key,))[0]}" + (f": {reword(fact['note'])}" if fact.get("note") else ""))
    elif key == "first_ship":
        card["first_ship"] = dated(fact)
    elif key == "process":
        card["process"] = statement(fact)
        if fact["v"] in NODES:
            card["node"] = NODES[fact["v"]]
    elif key == "die_area_mm2":
        _die_area(card, fact, name)
    elif key in NUMBERS and not isinstance(fact["v"], str):
        target, unit, scale = NUMBERS[key]
        value = fact["v"]
        if isinstance(value, dict) and "currency" in value:
            fact = fact | {"v": {k: v for k, v in value.items() if k != "currency"}}
        card[target] = number(fact, unit, scale)
    elif key == "boost_clock_mhz":
        low, high = re.findall(r"\d+", fact["v"])[:2]
        card["boost_clock"] = number(fact | {"v": [int(low), int(high)]}, "MHz", note=fact["v"])
    elif key in STATEMENTS:
        card[STATEMENTS[key]] = statement(fact)
    elif key in REMARKS:
        text = reword(fact["v"]) if isinstance(fact["v"], str) else ""
        remark = {"value": REMARKS[key].format(text)} | proof(fact)
        card.setdefault("remarks", []).append(remark)
    elif key not in CONFLICTS:
        _group(card, key, fact, missing, name)


def _die_area(card: dict[str, Any], fact: Fact, name: str) -> None:
    value = fact["v"]
    if isinstance(value, str):
        area = re.search(r"\d+", value)
        assert area
        card["die_area"] = number(fact | {"v": int(area.group())}, "mm^2", note=value)
    elif isinstance(value, dict):
        card["die_area"] = number(fact | {"v": value.get("per_die", value.get("compute_virtuvian"))}, "mm^2")
        if "package_silicon_total" in value:
            card["silicon_area"] = number(fact | {"v": value["package_silicon_total"]}, "mm^2", note="whole package")
    elif name in SUM_OF_DIES:
        card["silicon_area"] = number(fact, "mm^2", note="all dies of the package")
    else:
        card["die_area"] = number(fact, "mm^2")


def _group(card: dict[str, Any], key: str, fact: Fact, missing: list[str], name: str) -> None:
    if key == "memory":
        _memory(card, fact, missing)
    elif key in ("peak_tflops_dense", "vector_tflops"):
        target = "peak" if key == "peak_tflops_dense" else "vector_peak"
        for dtype, item in fact.items():
            if item["v"] is None:
                missing.append(f"{target}.{dtype}" + (f": {reword(item['note'])}" if item.get("note") else ""))
            else:
                card.setdefault(target, {})[dtype] = number(item, rate_unit(dtype))
    elif key == "achievable":
        for item_key, item in fact.items():
            _achieved(card, item_key, item)
    elif key in ("achievable_bf16_tflops", "achievable_fp16_tflops"):
        card.setdefault("achieved", {})[key.split("_")[1]] = number(fact, "TFLOP/s")
    elif key == "achievable_tflops":
        card["achieved"] = {d: number(fact | {"v": v}, rate_unit(d)) for d, v in fact["v"].items()}
    elif key == "peak_bins":
        card["peak_by_bin"] = {b: number(fact | {"v": v}, "TFLOP/s") for b, v in fact["v"].items()}
    elif key == "claimed_mfu":
        card["claimed_utilisation"] = {k: number(fact | {"v": v}, "") for k, v in fact["v"].items()}
    elif key == "core_sram_kib":
        card["core_sram"] = {k: number(fact | {"v": v}, "KiB") for k, v in fact["v"].items()}
    elif key == "cores":
        for kind, count in fact["v"].items():
            if isinstance(count, str):
                card["cube_shape"] = statement(fact | {"v": count})
            else:
                card.setdefault("cores", {})[kind] = number(fact | {"v": count}, "core")
    else:
        raise KeyError(f"{name}: no place for {key}")


def _memory(card: dict[str, Any], fact: Fact, missing: list[str]) -> None:
    units = {"capacity_gb": ("capacity", "GB"), "bandwidth_gbps": ("bandwidth", "GB/s"), "stacks": ("stacks", "stack")}
    memory = card.setdefault("memory", {})
    for key, item in fact.items():
        if item["v"] is None:
            missing.append(f"memory.{units[key][0]}" + (f": {reword(item['note'])}" if item.get("note") else ""))
        elif key == "type":
            memory["type"] = statement(item)
        else:
            target, unit = units[key]
            memory[target] = number(item, unit)


def _achieved(card: dict[str, Any], key: str, fact: Fact) -> None:
    if key.endswith("_util"):
        card.setdefault("achieved_utilisation", {})[key.removesuffix("_util")] = number(fact, "")
    elif key == "mte2_read_gbps":
        card["achieved_memory_bandwidth"] = number(fact, "GB/s", note="read path of the memory engine")
    else:
        card.setdefault("achieved", {})["bf16_mla"] = number(fact | {"src": ["amla"], "note": ""}, "TFLOP/s")


def chip_cards(facts: list[Fact]) -> list[dict[str, Any]]:
    """All chip cards: the 63 of the facts, and the second record of a chip that comes in two."""
    cards = []
    for fact in facts:
        name = str(fact["id"])
        card = chip_card(fact, VARIANTS.get(name, ()))
        cards.append(card)
        if name == "ascend_950pr":
            _atlas_350(card)
            cards.append(_announced_950pr(fact))
        if name == "metax_c500":
            pcie = chip_card(fact, ("pcie",))
            cards.append(pcie | {"id": "metax_c500_pcie", "name": "MetaX C500 (PCIe)", "aliases": ["C500 PCIe"]})
            card["name"] = "MetaX C500 (OAM)"
        if name == "ascend_910b3":
            card["note"] = (
                'A bare "910B" means this card: it is the form whose class the published Atlas 800T A2 measurements match. '
                "Other forms: ascend_910b1, ascend_910b2, ascend_910b4; the spread between them is the card "
                "ascend_910b_peak of kind quantity."
            )
    for card in cards:
        for path, contested in CHIP_CLAIMS.get(str(card["id"]), {}).items():
            _set(card, path, contested)
    return cards


def _set(card: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        card = card.setdefault(parent, {})
    card[last] = value


def _atlas_350(card: dict[str, Any]) -> None:
    card["name"] = "Ascend 950PR as shipped (Atlas 350 card)"
    card["announced"] = "ascend_950pr_announced"
    for name, count in (("cube_aic", 28), ("vector_aiv", 56)):
        card["cores"][name] = {"value": f"{count} core", "grade": "vendor", "source": ["cann"]}
    note = "the shipped card has 28 of 32 cores; an 84 GB form is listed too"
    card["memory"]["capacity"]["note"] = note


def _announced_950pr(fact: Fact) -> dict[str, Any]:
    card = chip_card(fact, ("roadmap", "32_aic", "roadmap_2TBps_total"))
    keep = ("vendor", "designer_country", "scale_up_bandwidth", "memory", "core_sram", "l2")
    peak = {k: v for k, v in card["peak"].items() if k in ("bf16", "fp8", "fp4")}
    cores = {
        name: {"value": f"{count} core", "grade": "vendor", "source": ["cann"]}
        for name, count in (("cube_aic", 32), ("vector_aiv", 64))
    }
    return {
        "id": "ascend_950pr_announced",
        "name": "Ascend 950PR as announced (roadmap of September 2025)",
        "status": "announced",
        "shipped": "ascend_950pr",
        "first_ship": {"value": "2026-Q1", "grade": "vendor", "source": ["roadmap"], "note": "planned"},
        "peak": peak,
        "cores": cores,
    } | {k: card[k] for k in keep}
