"""The 23 systems of the hardware facts as system cards."""

from __future__ import annotations

from typing import Any

from facts_import.chips import dated, rate_unit
from facts_import.contested import SYSTEM_CLAIMS
from facts_import.evidence import number, proof, reword, statement

Fact = dict[str, Any]
IDS = {"cloudmatrix_384": "cloudmatrix384"}
ALIASES = {
    "cloudmatrix384": ("CloudMatrix 384", "CM384"),
    "atlas_800t_a2": ("Atlas 800T A2", "Atlas 800I A2"),
    "atlas_900_a3": ("Atlas 900 A3", "Atlas 800 A3"),
    "gb200_nvl72": ("NVL72",),
    "vr_nvl72": ("VR200 NVL72", "NVL144"),
    "dgx_h100": ("HGX H100",),
    "dgx_b200": ("HGX B200",),
    "dgx_b300": ("HGX B300",),
    "hgx_h200": ("DGX H200",),
}
ANNOUNCED = {
    "atlas_950_superpod",
    "atlas_960_superpod",
    "atlas_950_supercluster",
    "vr_nvl72",
    "moore_threads_kuae2_10k",
}
CHIPS = {"ascend_910b1..b4": ("ascend_910b3", ("ascend_910b1", "ascend_910b2", "ascend_910b4"))}
# Chips that one host holds, and chips that one scale-up fabric joins, as the named facts of each system say.
SHAPE = {
    "cloudmatrix384": (8, 384),
    "atlas_800t_a2": (8, 8),
    "atlas_900_a3": (8, 384),
    "atlas_950_superpod": (None, 8192),
    "atlas_960_superpod": (None, 15488),
    "ub_mesh_pod": (None, 1024),
    "gb200_nvl72": (4, 72),
    "gb300_nvl72": (4, 72),
    "vr_nvl72": (4, 72),
    **dict.fromkeys(("dgx_a100", "dgx_h100", "hgx_h200", "dgx_b200", "dgx_b300", "hgx_h20", "hgx_h800"), (8, 8)),
    "tpu_v4_pod": (None, 4096),
    "tpu_v5p_pod": (None, 8960),
    "tpu_v6e_pod": (None, 256),
    "tpu_v7_pod": (None, 9216),
}
_RATES = {
    "per_package_uni_gbps": ("scale_up_bandwidth", "GB/s"),
    "per_npu_uni_gbps": ("scale_up_bandwidth", "GB/s"),
    "per_gpu_uni_gbps": ("scale_up_bandwidth", "GB/s"),
    "per_die_uni_gbps": ("scale_up_per_die", "GB/s"),
    "sio_gbps": ("die_to_die_bandwidth", "GB/s"),
    "aggregate_PBps": ("scale_up_aggregate", "PB/s"),
    "aggregate_TBps": ("scale_up_aggregate", "TB/s"),
    "rdma_gbitps_per_package": ("scale_out_bandwidth", "Gbit/s"),
    "per_npu_gbitps": ("scale_out_bandwidth", "Gbit/s"),
    "gbitps_per_gpu": ("scale_out_bandwidth", "Gbit/s"),
    "gbitps_per_node": ("scale_out_per_node", "Gbit/s"),
    "vpc_gbitps_per_node": ("vpc_per_node", "Gbit/s"),
}


def system_card(fact: Fact) -> dict[str, Any]:
    """One system."""
    name = IDS.get(str(fact["id"]), str(fact["id"]))
    status = "announced" if name in ANNOUNCED else "paper" if name == "ub_mesh_pod" else "shipped"
    card: dict[str, Any] = {"id": name, "name": fact["name"]}
    if name in ALIASES:
        card["aliases"] = list(ALIASES[name])
    card |= {"vendor": fact["vendor"], "country": fact["country"], "status": status}
    missing: list[str] = []
    for key, value in fact.items():
        if isinstance(value, dict):
            if value["v"] is None:
                missing.append(
                    f"{key.removesuffix('_kw')}: {reword(value.get('note', '')) or 'not published'}".rstrip(": ")
                )
            else:
                _place(card, key, value, name)
    if missing:
        card["not_found"] = missing
    return card


def _place(card: dict[str, Any], key: str, fact: Fact, name: str) -> None:
    value = fact["v"]
    if key in _HANDLERS:
        _HANDLERS[key](card, fact, name)
    elif key == "first_ship":
        card["first_ship"] = dated(fact)
    elif key == "price_usd":
        card["price"] = number(fact | {"v": {k: v for k, v in value.items() if k != "currency"}}, "USD")
    elif key in ("power_kw", "hbm_tb", "hbm_bw_tbps"):
        target = {"power_kw": "power", "hbm_tb": "memory_capacity", "hbm_bw_tbps": "memory_bandwidth"}[key]
        card[target] = number(fact, {"power_kw": "kW", "hbm_tb": "TB", "hbm_bw_tbps": "TB/s"}[key])
    elif key in ("topology", "max_grid"):
        card[key] = statement(fact)
    elif key in ("interconnect_cost_usd_per_chip", "interconnect_power_w_per_chip"):
        target, unit = (
            ("interconnect_cost_per_chip", "USD/chip") if "cost" in key else ("interconnect_power_per_chip", "W/chip")
        )
        card[target] = number(fact | {"v": value["cm384"]}, unit)
    else:
        raise KeyError(f"{name}: no place for {key}")


def _accelerators(card: dict[str, Any], fact: Fact, name: str) -> None:
    value = dict(fact["v"])
    if "chip" in value:
        chip, others = CHIPS.get(value["chip"], (value["chip"], ()))
        card["chip"] = chip
        if others:
            card["chip_alternatives"] = list(others)
    elif name == "atlas_950_supercluster":
        card["chip"] = "ascend_950dt"
        card["remarks"] = [{"value": f"{value['superpods']} Atlas 950 SuperPoDs"} | proof(fact)]
        value["count"] = value["npus"]
    elif name == "unicom_sanjiangyuan":
        card["members"] = {k: number(fact | {"v": v}, "chip") for k, v in value.items()}
    count = value.get("count", value.get("max_npus"))
    if count:
        card["count"] = number(fact | {"v": count}, "chip")
    per_node, domain = SHAPE.get(name, (None, None))
    if per_node:
        card["chips_per_node"] = number(fact | {"v": per_node}, "chip")
    if domain:
        card["scale_up_domain"] = number(fact | {"v": domain}, "chip")
    dies = value.get("dies")
    if dies:
        card["dies"] = number(fact | {"v": dies}, "die")
    if "dies_per_node" in value:
        card.setdefault("remarks", []).append({"value": f"{value['dies_per_node']} dies per node"} | proof(fact))


def _peak(card: dict[str, Any], fact: Fact, name: str) -> None:
    value = dict(fact["v"])
    if name == "unicom_sanjiangyuan":
        card["peak_by_member"] = {k: number(fact | {"v": v}, "PFLOP/s") for k, v in value.items()}
        return
    if "claimed_total" in value:
        card["peak_of_unstated_type"] = number(fact | {"v": value["claimed_total"]}, "PFLOP/s")
        return
    if "bf16_marketing" in value:
        value, fact = {"int8": value["int8"]}, fact | {"note": ""}
    card["peak"] = {k: number(fact | {"v": v}, rate_unit(k).replace("T", "P", 1)) for k, v in value.items()}


def _links(card: dict[str, Any], fact: Fact, name: str) -> None:
    for key, value in fact["v"].items():
        item = fact | {"v": value}
        if key in _RATES:
            target, unit = _RATES[key]
            card[target] = number(item, unit)
        elif key == "topology":
            card["topology"] = statement(item)
        elif key == "copper":
            card.setdefault("remarks", []).append({"value": "The scale-up links are copper"} | proof(fact))
        elif key == "grid":
            text = (
                "Grid of the vendor's modelling tool: "
                + " x ".join(map(str, value))
                + " (nodes, chips per node, dies per chip)"
            )
            card.setdefault("remarks", []).append({"value": text} | proof(fact))
        elif key == "lat_us":
            card["latency"] = {k: number(fact | {"v": v}, "us") for k, v in value.items()}
        elif key == "latency_us_512B_internode":
            item = fact | {"v": {"low": 1.2, "high": 2.2}}
            card["latency"] = {
                "inter_node_512B": number(item, "us", note="1.2 us in the node, plus less than 1 us between nodes")
            }
        elif key == "bw_degradation_internode":
            card["scale_up_loss"] = number(fact | {"v": 0.03}, "", note="between nodes; the paper says less than 3%")
        else:
            raise KeyError(f"{name}: no place for {key}")


def _measured(card: dict[str, Any], fact: Fact, name: str) -> None:
    for key, value in fact["v"].items():
        short = key.removesuffix("_gbps").replace("_gbps_per_die", "_per_die").replace("_gbps_per_link", "_per_link")
        if isinstance(value, str):
            latency, rate = value.split(" / ")
            card.setdefault("measured_latency", {})[short] = number(fact | {"v": float(latency.split()[0])}, "us")
            card.setdefault("scale_up_measured", {})[short] = number(fact | {"v": float(rate.split()[0])}, "GB/s")
        else:
            card.setdefault("scale_up_measured", {})[short] = number(fact | {"v": value}, "GB/s")


def _counts(card: dict[str, Any], fact: Fact, name: str) -> None:
    value = fact["v"]
    if "nodes" in value:
        card["nodes"] = number(fact | {"v": value["nodes"]}, "node")
    else:
        card["nodes"] = number(fact | {"v": value["trays"]}, "node", note="compute trays")
        card["trays"] = {"nvswitch": number(fact | {"v": value["nvswitch_trays"]}, "")}


def _racks(card: dict[str, Any], fact: Fact, name: str) -> None:
    value = dict(fact["v"])
    area = value.pop("area_m2", None)
    card["racks"] = {k: number(fact | {"v": v}, "rack") for k, v in value.items()}
    if area:
        card["floor_area"] = number(fact | {"v": area}, "m^2")


def _optics(card: dict[str, Any], fact: Fact, name: str) -> None:
    value = fact["v"]
    card["optics"] = statement(fact | {"v": value["type"]})
    card["transceivers"] = number(fact | {"v": value["transceivers"]}, "")
    card["transceivers_per_chip"] = number(fact | {"v": value["per_chip"]}, "")


def _modelling(card: dict[str, Any], fact: Fact, name: str) -> None:
    value = dict(fact["v"])
    static, latency = value.pop("static_cost_us"), value.pop("lat_us")
    between = value.pop("inter_node_gbps")
    card["model_defaults"] = {k: number(fact | {"v": v}, "") for k, v in value.items()}
    times = {f"static_{k}": v for k, v in static.items()} | {f"{k}_node": v for k, v in latency.items()}
    card["latency"] = {
        k: number(fact | {"v": v}, "us", note="default of the vendor's modelling tool") for k, v in times.items()
    }
    text = f"The vendor's modelling tool assumes {between} GB/s per chip between nodes"
    card.setdefault("remarks", []).append({"value": text} | proof(fact))


def _rental(card: dict[str, Any], fact: Fact, name: str) -> None:
    card["rental"] = {k: number(fact | {"v": v}, "CNY/chip/h") for k, v in fact["v"].items()}


def _ratios(card: dict[str, Any], fact: Fact, name: str) -> None:
    if "dense" in fact["v"]:
        card["claimed_utilisation"] = {k: number(fact | {"v": v}, "") for k, v in fact["v"].items()}
        return
    flops = number(fact | {"v": {"low": 2.3, "high": 2.6}}, "", note="times worse per watt than GB200 NVL72")
    memory = number(fact | {"v": 1.8}, "", note="times worse per watt than GB200 NVL72")
    card["comparison"] = {"flops_per_watt_deficit": flops, "memory_bandwidth_per_watt_deficit": memory}


def _serving(card: dict[str, Any], fact: Fact, name: str) -> None:
    item = number(fact | {"v": 633e3}, "token/s", note="DeepSeek-R1, FlexNPU, whole system")
    card["measured_throughput"] = {"deepseek_r1": item}


def _cpus(card: dict[str, Any], fact: Fact, name: str) -> None:
    card["host_cpus"] = {k: number(fact | {"v": v}, "") for k, v in fact["v"].items()}


def _variant(card: dict[str, Any], fact: Fact, name: str) -> None:
    value = fact["v"]
    text = (
        f"A form of 1,024 chips has {value['compute_cabinets']} compute and {value['lingqu_cabinets']} interconnect "
        f"cabinets and {value['aggregate_PBps']} PB/s of aggregate scale-up bandwidth"
    )
    card.setdefault("remarks", []).append({"value": text} | proof(fact))


_HANDLERS = {
    "accelerators": _accelerators,
    "peak_pflops": _peak,
    "scale_up": _links,
    "scale_out": _links,
    "scale_up_measured": _measured,
    "nodes": _counts,
    "racks": _racks,
    "optics": _optics,
    "msmodeling_defaults": _modelling,
    "rental_rmb_per_npu_hour": _rental,
    "comparison": _ratios,
    "claimed_mfu": _ratios,
    "measured_serving": _serving,
    "host_cpus": _cpus,
    "variant_1024": _variant,
}


def system_cards(facts: list[Fact]) -> list[dict[str, Any]]:
    """All system cards."""
    cards = [system_card(fact) for fact in facts]
    by_id = {card["id"]: card for card in cards}
    cloud = next(f for f in facts if f["id"] == "cloudmatrix_384")
    for key, target, unit in (
        ("interconnect_cost_usd_per_chip", "interconnect_cost_per_chip", "USD/chip"),
        ("interconnect_power_w_per_chip", "interconnect_power_per_chip", "W/chip"),
    ):
        rival = cloud[key] | {"v": cloud[key]["v"]["gb200_nvl72"]}
        by_id["gb200_nvl72"][target] = number(rival, unit)
    for name, claims in SYSTEM_CLAIMS.items():
        for path, value in claims.items():
            *parents, last = path.split(".")
            place = by_id[name]
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
    return cards
