"""Contested quantities of the supply side: who says what, and how much each counts.

Unless the note gives a reason, claimants weigh the same and the first is the central value.
"""

from __future__ import annotations

from typing import Any

from facts_import.evidence import claim

Entry = tuple[str, Any, float, str, list[str]] | tuple[str, Any, float, str, list[str], str]


def _of(unit: str, *entries: Entry, note: str) -> dict[str, Any]:
    return {"claims": [claim(e[0], e[1], unit, *e[2:]) for e in entries], "note": note}


_EQUAL = "claimants weigh the same"
QUANTITY_CLAIMS: dict[str, dict[str, Any]] = {
    "ascend_units_2024": _of(
        "chip",
        ("Financial Times, 2025-02", 200000, 0.25, "press", ["digitimes_910c_yield"], "910B units made"),
        ("SemiAnalysis", 507000, 0.25, "assumed", ["mem"], "from memory"),
        ("Financial Times and SemiAnalysis, 2024", 550000, 0.25, "analyst", ["ft_h20_million"], "planned 910B purchases"),
        ("Chinese media", [400000, 500000], 0.25, "press", ["asiatimes_910b"], "910B target"),
        note="one count, one recollection, a plan and a target; " + _EQUAL,
    ),
    "ascend_units_2025": _of(
        "chip",
        ("IDC through Reuters, 2026-04", 812000, 0.34, "analyst", ["idc_2025"], "cards shipped; counted after the year"),
        ("SemiAnalysis, 2025-09", 805000, 0.165, "analyst", ["sa_digest", "notebookcheck_910c"],
         "653,000 of them 910C; 152,000 910B from memory"),
        ("Bloomberg, 2025-09", 700000, 0.165, "press", ["bloomberg_huawei_2026"],
         "derived: 300,000 910C of two dies, and the other 400,000 of about 1.0 million dies as 910B"),
        ("Financial Times, 2025-02", 400000, 0.165, "press", ["digitimes_910c_yield"], "plan: 100,000 910C and 300,000 910B"),
        ("US Commerce (Kessler), 2025-06", 200000, 0.165, "press", ["commerce_200k"], "at most; a statement of capacity"),
        note="the count made after the year weighs double; the plans and estimates made before its end weigh the same",
    ),
    "ascend_units_2026": _of(
        "chip",
        ("Bloomberg, 2025-09", 1000000, 0.34, "press", ["bloomberg_huawei_2026"],
         "plan; derived: 600,000 910C of two dies, and the other 400,000 of 1.6 million dies as single-die chips"),
        ("SemiAnalysis, 2025-09", 300000, 0.33, "analyst", ["sa_digest"], "without smuggling and without a CXMT ramp"),
        ("derived from a revenue forecast", 1200000, 0.33, "assumed", ["w2t", "ft_huawei_revenue"],
         "12 bn USD (Financial Times, 2026-04) over about 10,000 USD a card; the price is assumed"),
        note=_EQUAL,
    ),
    "tsmc_die_bank": _of(
        "die",
        ("SemiAnalysis, 2025-09", 2900000, 0.5, "analyst", ["sa_digest"], "more than"),
        ("CSIS, 2025-03", 2000000, 0.5, "analyst", ["tomshardware_huawei_reportedly_acquired"],
         "more than; from government officials"),
        note=_EQUAL + "; who fabbed the dies of 910B and 910C turns on this number",
    ),
    "yield_smic_910b": _of(
        "",
        ("Reuters, 2024-11", 0.5, 0.5, "press", ["reuters_910c_2024"], "about"),
        ("Chosun Biz, 2024-06", 0.2, 0.5, "press", ["chosun_910b"],
         "four of five defective; may count dies that are usable with cores disabled"),
        note=_EQUAL + "; the two may be the same wafers counted with and without harvesting",
    ),
    "yield_smic_910c_2025": _of(
        "",
        ("Financial Times, 2025-02", 0.4, 0.5, "press", ["digitimes_910c_yield"], "target 60%"),
        ("Morgan Stanley", 0.3, 0.5, "analyst", ["sdf_ms_yield"], "until the end of 2025"),
        note=_EQUAL,
    ),
    "yield_smic_n2_ai_die_2026": _of(
        "",
        ("aggregator, 2026-06", [0.3, 0.4], 0.34, "press", ["rbtfl_smic"]),
        ("Bloomberg, 2025-12", 0.2, 0.33, "press", ["techradar_this_chinese_chip"], "Cambricon 590 and 690"),
        ("engineers on Zhihu", 0.7, 0.33, "press", ["highcapacity_podcast_chinas_semiconductor"], "more than; disputed"),
        note=_EQUAL,
    ),
    "capacity_smic_advanced_2025": _of(
        "wafer/month",
        ("Nikkei, 2026-02", 20000, 0.34, "press", ["businesstimes_top_chinese_chipmakers"], "less than, all Chinese 7 and 5 nm"),
        ("SemiAnalysis, 2025-09", [45000, 50000], 0.33, "analyst", ["sa_digest"], "45,000 is its conservative figure"),
        ("a leaker", 5000, 0.33, "press", ["sdf_smic_capacity"], "N+2 only"),
        note=_EQUAL + "; definitions differ by a factor of ten: N+2 only, 7 and 5 nm, or all FinFET with 14 nm",
    ),
    "capacity_smic_advanced_2027": _of(
        "wafer/month",
        ("SemiAnalysis, 2025-09", 80000, 0.34, "analyst", ["sa_digest"]),
        ("Nikkei, 2026-02", 100000, 0.33, "press", ["tomshardware_china_increase_leading"], "target within one to two years"),
        ("the catalogue's low case", 40000, 0.33, "assumed", ["assumption"]),
        note=_EQUAL,
    ),
    "wafer_price_tsmc_3nm_2025": _of(
        "USD/wafer",
        ("Investor.com through TrendForce", [25000, 27000], 0.5, "press", ["trendforce_wafer_price"]),
        ("The Information Network", 19865, 0.5, "analyst", ["trendforce_wafer_price"]),
        note=_EQUAL,
    ),
    "cxmt_hbm_stacks_2026": _of(
        "stack",
        ("SemiAnalysis, 2025-09", 2000000, 0.5, "analyst", ["sa_digest", "csc"], "250,000 to 300,000 910C"),
        ("reports of April 2026: still sampling", {"low": 0, "mid": 0, "high": 1000000}, 0.5, "press",
         ["dailyalpha_chinas_cxmt_hbm3"], "the upper end is the catalogue's own"),
        note=_EQUAL,
    ),
    "nvl72_price": _of(
        "USD",
        ("common figure", 3000000, 0.34, "press", ["beehiiv_huawei_s_cloudmatrix"]),
        ("a newsletter", 2700000, 0.33, "press", ["beehiiv_huawei_s_cloudmatrix"]),
        ("How AI Chips Are Made, 2026", 5000000, 0.33, "analyst", ["csc"], "Grace Blackwell rack; 7.8 M USD for Vera Rubin"),
        note=_EQUAL,
    ),
    "ascend_910b_peak": _of(
        "TFLOP/s",
        ("the fleet is of form 910B3", 294.9, 0.25, "vendor", ["cann"]),
        ("the fleet is of form 910B2", 353.9, 0.25, "vendor", ["cann"]),
        ("the fleet is of form 910B1", 363.7, 0.25, "vendor", ["cann"]),
        ("the fleet is of form 910B4", 245.8, 0.25, "vendor", ["cann"]),
        note="dense bf16 per chip, cores x 8192 x clock; how the fleet splits by form is not published, so forms weigh the same",
    ),
}  # fmt: skip
