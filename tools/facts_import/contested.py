"""Where sources disagree: each claimant with a weight and the reason for the weights.

Unless the note gives a reason, claimants weigh the same; the first of the heaviest is the central value.
"""

from __future__ import annotations

from typing import Any

from facts_import.evidence import claim

Claims = dict[str, Any]


def _of(unit: str, *entries: tuple[str, Any, float, str, list[str]], note: str) -> Claims:
    return {"claims": [claim(by, value, unit, w, grade, src) for by, value, w, grade, src in entries], "note": note}


_DIE_SHARE = (
    ("Tom's Hardware on the die shot", "SMIC N+1", 0.25, "press", ["dieshot"]),
    ("CSET; Hardwareluxx", "SMIC N+2", 0.5, "analyst", ["cset"]),
    ("TechInsights: early lots through third parties", "TSMC N7", 0.25, "teardown", ["techins"]),
)
_FOUNDRY = _of("", *_DIE_SHARE, note="who made the dies is contested; one part of weight per publication named")
_BIN_NOTE = (
    "marketing and the vendor's modelling tool against cores x 8192 x clock; the ratio of 1.06 to 1.14 is unexplained"
)


def _bin(arithmetic: float, marketing: float) -> Claims:
    return _of(
        "TFLOP/s",
        ("Huawei msmodeling and marketing", marketing, 0.5, "vendor", ["msm", "epoch"]),
        ("cube arithmetic from the CANN platform files", arithmetic, 0.5, "vendor", ["cann"]),
        note=_BIN_NOTE,
    )


def _card_power() -> Claims:
    return _of(
        "W",
        ("Epoch AI", 400, 0.5, "analyst", ["epoch"]),
        ("lower published reading; FlagPerf measured 364.6 W per card under matrix products", 350, 0.5, "analyst",
         ["epoch", "flagperf"]),
        note="350 to 400 W are published; no split by bin",
    )  # fmt: skip


def _910b(arithmetic: float, marketing: float) -> dict[str, Claims]:
    return {"process": _FOUNDRY, "peak.fp16": _bin(arithmetic, marketing), "tdp": _card_power()}


CHIP_CLAIMS: dict[str, dict[str, Claims]] = {
    "ascend_910b1": _910b(363.7, 400),
    "ascend_910b2": _910b(353.9, 376),
    "ascend_910b3": _910b(294.9, 313),
    "ascend_910b4": _910b(245.8, 280)
    | {
        "boost_clock": _of(
            "MHz",
            ("CANN platform files", 1500, 0.5, "vendor", ["cann"]),
            ("CSET; Epoch AI", 1650, 0.5, "analyst", ["cset", "epoch"]),
            note="two published clocks",
        )
    },
    "ascend_910c": {
        "process": _of(
            "",
            ("SemiAnalysis", "SMIC N+2", 0.5, "analyst", ["semi"]),
            ("TechInsights teardown", "TSMC N7-origin dies", 0.5, "teardown", ["techins"]),
            note="both kinds of die are in use; the shares are unknown, see the card tsmc_die_bank of kind quantity",
        ),
        "peak.bf16": _of(
            "TFLOP/s",
            ("cube arithmetic: 2 dies x 24 cores x 8192 x 1.8 GHz", 707.8, 0.6, "vendor", ["cann", "msm"]),
            ("CloudMatrix paper and msmodeling (their fp16 figure)", 752, 0.25, "vendor", ["cm384", "msm"]),
            ("SemiAnalysis and press", [780, 800], 0.15, "analyst", ["semi"]),
            note="a public paper on 910C attention kernels uses 707.4; utilisation quoted against 780 reads up to 13% lower",
        ),
        "peak.fp16": _of(
            "TFLOP/s",
            ("CloudMatrix paper and msmodeling: 2 x 376", 752, 0.5, "vendor", ["cm384", "msm"]),
            ("cube arithmetic: 2 dies x 24 cores x 8192 x 1.8 GHz", 707.8, 0.35, "vendor", ["cann"]),
            ("SemiAnalysis and press", [780, 800], 0.15, "analyst", ["semi"]),
            note="the vendor's own figures first; press figures carry the least weight",
        ),
        "tdp": _of(
            "W",
            ("Epoch AI", 700, 0.5, "analyst", ["epoch"]),
            ("lower reading for the dual-die part", 550, 0.25, "press", ["epoch", "semi"]),
            ("upper reading from system power", 800, 0.25, "analyst", ["epoch", "semi"]),
            ("press: the figure of the single-die 910", 310, 0.0, "press", ["epoch"]),
            note="no official figure; 310 W is wrong for the dual-die part and weighs nothing",
        ),
        "die_to_die_bandwidth": _of(
            "GB/s",
            ("CANN SHMEM documentation", 270, 0.5, "vendor", ["shmem"]),
            ("Huawei msmodeling", 224, 0.5, "vendor", ["msm"]),
            note="per direction; 186.6 GB/s measured with SDMA copies",
        ),
    },
    "ascend_950pr_announced": {
        "peak.fp8": _of(
            "TFLOP/s",
            ("Huawei Connect 2025 keynote", 1000, 0.5, "vendor", ["roadmap"]),
            ("cube arithmetic for 32 cores", 865, 0.5, "vendor", ["cann"]),
            note="roadmap figure against cores x clock",
        )
    },
    "ascend_950dt": {
        "peak.bf16": _of(
            "TFLOP/s",
            ("hiascend page of the 64-card server", 486, 0.5, "vendor", ["hiasc"]),
            ("cube arithmetic for 32 cores", 432.5, 0.5, "vendor", ["cann"]),
            note="the keynote gives no bf16 figure",
        ),
        "peak.fp8": _of(
            "TFLOP/s",
            ("Huawei Connect 2025 keynote", 1000, 0.5, "vendor", ["roadmap"]),
            ("hiascend page of the 64-card server", 919, 0.5, "vendor", ["hiasc"]),
            note="roadmap against the later product page",
        ),
        "peak.fp4": _of(
            "TFLOP/s",
            ("Huawei Connect 2025 keynote", 2000, 0.5, "vendor", ["roadmap"]),
            ("hiascend page of the 64-card server", 1783, 0.5, "vendor", ["hiasc"]),
            note="roadmap against the later product page",
        ),
        "memory.capacity": _of(
            "GB",
            ("Huawei Connect 2025 keynote", 144, 0.5, "vendor", ["roadmap"]),
            ("lower form in the CANN files and on the hiascend page", 96, 0.5, "vendor", ["cann", "hiasc"]),
            note="two forms of the product are listed",
        ),
        "memory.bandwidth": _of(
            "GB/s",
            ("Huawei Connect 2025 keynote", 4000, 0.5, "vendor", ["roadmap"]),
            ("CANN platform files", [3200, 4200], 0.5, "vendor", ["cann"]),
            note="roadmap against two configurations",
        ),
        "scale_up_bandwidth": _of(
            "GB/s",
            ("Huawei Connect 2025 keynote: 2 TB/s both directions", 1000, 0.5, "vendor", ["roadmap"]),
            ("hiascend page: 1.68 TB/s both directions", 840, 0.5, "vendor", ["hiasc"]),
            note="per direction",
        ),
    },
    "b200_sxm": {
        "memory.bandwidth": _of(
            "GB/s",
            ("aiconfigurator; Epoch AI", 7700, 0.5, "vendor", ["aicy", "epoch"]),
            ("ml-engineering tables", 8000, 0.5, "vendor", ["stas"]),
            note="both are quoted for the HGX part",
        )
    },
    "b300_sxm": {
        "peak.fp4": _of(
            "TFLOP/s",
            ("aiconfigurator; Epoch AI", {"low": 13500, "mid": 14000, "high": 14000}, 0.4, "vendor", ["aicy", "epoch"]),
            ("ml-engineering tables", 12600, 0.4, "vendor", ["stas"]),
            ("marketing", 15000, 0.2, "vendor", ["aicy"]),
            note="dense; the marketing figure carries half the weight of the tables",
        ),
        "tdp": _of(
            "W",
            ("aiconfigurator; Epoch AI", 1100, 0.34, "vendor", ["aicy", "epoch"]),
            ("ml-engineering tables (TGP)", 1000, 0.33, "vendor", ["stas"]),
            ("TechPowerUp", 1400, 0.33, "vendor", ["tpu"]),
            note="three published figures",
        ),
    },
    "h800_sxm": {
        "peak.fp64": _of(
            "TFLOP/s",
            ("Epoch AI", 29.65, 0.5, "analyst", ["epoch"]),
            ("recollection: cut to about 1 TFLOP/s", 1, 0.5, "assumed", ["mem"]),
            note="not settled; irrelevant to training and serving",
        ),
        "boost_clock": _of(
            "MHz",
            ("TechPowerUp", 1755, 0.5, "vendor", ["tpu"]),
            ("Alibaba InferSim", 1980, 0.5, "analyst", ["infersim"]),
            note="two published clocks",
        ),
    },
    "h20": {
        "tdp": _of(
            "W",
            ("Epoch AI (data sheet)", 400, 0.9, "vendor", ["epoch"]),
            ("CCTV chart of September 2025", 550, 0.1, "press", ["cctv"]),
            note="a television chart against the data sheet",
        )
    },
    "l40s": {
        "l2": _of(
            "MB",
            ("aiconfigurator and the full AD102 die", 96, 0.5, "vendor", ["aicy"]),
            ("TechPowerUp", 48, 0.5, "vendor", ["tpu"]),
            note="two published figures",
        )
    },
    "mi355x": {
        "peak.bf16": _of(
            "TFLOP/s",
            ("Epoch AI; data sheet", 2516.6, 0.5, "vendor", ["stas", "epoch"]),
            ("ml-engineering, base of its efficiency figures", 2300, 0.5, "vendor", ["stas"]),
            note="efficiencies quoted against 2300 read higher",
        )
    },
}

_CM384_NOTE = "300 = 384 x 780; 288.8 = 384 x 752 (fp16); 271.8 = 384 x 707.8; weights as on the chip card"
SYSTEM_CLAIMS: dict[str, dict[str, Claims]] = {
    "cloudmatrix384": {
        "peak.bf16": _of(
            "PFLOP/s",
            ("cube arithmetic of 384 chips", 271.8, 0.6, "vendor", ["cann"]),
            ("384 times the CloudMatrix paper's figure per chip", 288.8, 0.25, "vendor", ["cm384"]),
            ("SemiAnalysis and marketing", 300, 0.15, "analyst", ["semi"]),
            note=_CM384_NOTE,
        ),
        "power": _of(
            "kW",
            ("SemiAnalysis", 559.378, 0.5, "analyst", ["semi"]),
            ("press: about 500 kW, up to 600", {"low": 500, "mid": 500, "high": 600}, 0.5, "press", ["capmedia"]),
            note="no official figure",
        ),
    },
}
