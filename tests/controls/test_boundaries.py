"""Every threshold of every rule, just under, at and just over; the table is read from the law, not from the cards."""

import math
from datetime import date

import pytest

from wafer2token.catalog.expression import Compare, Const, Text, Var, walk
from wafer2token.catalog.rule_variables import TYPES
from wafer2token.controls.judge import judge, missing_defaults
from wafer2token.controls.logic import MISSING, SCALAR, Reading, truth
from wafer2token.controls.rulebook import bundled, formulas, parameter_value

NO, OPEN, YES = 0, 1, 2
CHIP = {"datacenter": YES, "tpp": 3000.0, "pd": 4.0, "io_gbs": 900.0, "link_gbs": 100.0, "dram_bw_gbs": 1000.0}
SCAN = {"lithography": "optical", "wavelength_nm": 193.0, "na": 1.35, "dco_nm": 1.0}
IMPRINT = {"lithography": "imprint", "overlay_nm": 2.0, "imprint_feature_nm": 100.0}
# rule, limb, other values, variable, threshold, truth under / at / over
TABLE = [
    ("us_isinformed_2022_08", "equal", {"io_gbs": 600}, "tpp", 4992, NO, YES, YES),
    ("us_isinformed_2022_08", "equal", {"tpp": 4992}, "io_gbs", 600, NO, YES, YES),
    ("us_3a090_2022", "a", {"tpp": 5000}, "io_gbs", 600, NO, YES, YES),
    ("us_3a090_2022", "a", {"io_gbs": 600}, "tpp", 4800, NO, YES, YES),
    ("us_acs_accelerated_2023_10", "a1", {}, "tpp", 4800, NO, YES, YES),
    ("us_3a090_2023", "a1", {}, "tpp", 4800, NO, YES, YES),
    ("us_3a090_2023", "a2", {"pd": 6}, "tpp", 1600, NO, YES, YES),
    ("us_3a090_2023", "a2", {"tpp": 2000}, "pd", 5.92, NO, YES, YES),
    ("us_3a090_2023", "b1", {"pd": 2}, "tpp", 2400, NO, YES, YES),
    ("us_3a090_2023", "b1", {"pd": 2}, "tpp", 4800, YES, NO, NO),
    ("us_3a090_2023", "b1", {"tpp": 3000}, "pd", 1.6, NO, YES, YES),
    ("us_3a090_2023", "b1", {"tpp": 3000}, "pd", 5.92, YES, NO, NO),
    ("us_3a090_2023", "b2", {"pd": 4}, "tpp", 1600, NO, YES, YES),
    ("us_3a090_2023", "b2", {"tpp": 2000}, "pd", 3.2, NO, YES, YES),
    ("us_3a090_2023", "b2", {"tpp": 2000}, "pd", 5.92, YES, NO, NO),
    ("us_3a090_2023", "exclude", {"datacenter": NO}, "tpp", 4800, YES, NO, NO),
    ("us_hbm_2024", "c", {}, "mbd", 2.0, NO, NO, YES),
    ("us_hbm_2024", "define exception_density", {}, "mbd", 3.3, YES, NO, NO),
    ("us_diffusion_2025", "a1", {}, "tpp", 4800, NO, YES, YES),
    ("us_diffusion_2025", "a2", {"pd": 6}, "tpp", 1600, NO, YES, YES),
    ("us_diffusion_2025", "a2", {"tpp": 2000}, "pd", 5.92, NO, YES, YES),
    ("us_diffusion_2025", "exclude", {"datacenter": NO}, "tpp", 4800, YES, NO, NO),
    ("us_gp10_ascend_2025", "a1", {}, "tpp", 4800, NO, YES, YES),
    ("us_gp10_ascend_2025", "a2", {"pd": 6}, "tpp", 1600, NO, YES, YES),
    ("us_gp10_ascend_2025", "a2", {"tpp": 2000}, "pd", 5.92, NO, YES, YES),
    ("us_gp10_ascend_2025", "b", {"pd": 2}, "tpp", 2400, NO, YES, YES),
    ("us_gp10_ascend_2025", "b", {"pd": 2}, "tpp", 4800, YES, NO, NO),
    ("us_gp10_ascend_2025", "b", {"tpp": 3000}, "pd", 1.6, NO, YES, YES),
    ("us_gp10_ascend_2025", "b", {"tpp": 3000}, "pd", 5.92, YES, NO, NO),
    ("us_gp10_ascend_2025", "b", {"pd": 4}, "tpp", 1600, NO, YES, YES),
    ("us_gp10_ascend_2025", "b", {"tpp": 2000}, "pd", 3.2, NO, YES, YES),
    ("us_gp10_ascend_2025", "exclude", {"datacenter": NO}, "tpp", 4800, YES, NO, NO),
    ("us_h20_isinformed_2025", "memory", {}, "dram_bw_gbs", 1400, NO, OPEN, OPEN),
    ("us_h20_isinformed_2025", "memory", {}, "dram_bw_gbs", 1800, OPEN, YES, YES),
    ("us_h20_isinformed_2025", "link", {}, "link_gbs", 900, NO, YES, YES),
    ("us_h200_2026", "define a1", {}, "tpp", 4800, NO, YES, YES),
    ("us_h200_2026", "define a2", {"pd": 6}, "tpp", 1600, NO, YES, YES),
    ("us_h200_2026", "define a2", {"tpp": 2000}, "pd", 5.92, NO, YES, YES),
    ("us_h200_2026", "lane", {"dram_bw_gbs": 4800}, "tpp", 21000, YES, NO, NO),
    ("us_h200_2026", "lane", {"tpp": 15832}, "dram_bw_gbs", 6500, YES, NO, NO),
    ("us_tariff_2026", "band1", {"dram_bw_gbs": 4800}, "tpp", 14000, NO, NO, YES),
    ("us_tariff_2026", "band1", {"dram_bw_gbs": 4800}, "tpp", 17500, YES, NO, NO),
    ("us_tariff_2026", "band1", {"tpp": 15000}, "dram_bw_gbs", 4500, NO, NO, YES),
    ("us_tariff_2026", "band1", {"tpp": 15000}, "dram_bw_gbs", 5000, YES, NO, NO),
    ("us_tariff_2026", "band2", {"dram_bw_gbs": 6000}, "tpp", 20800, NO, NO, YES),
    ("us_tariff_2026", "band2", {"dram_bw_gbs": 6000}, "tpp", 21100, YES, NO, NO),
    ("us_tariff_2026", "band2", {"tpp": 20900}, "dram_bw_gbs", 5800, NO, NO, YES),
    ("us_tariff_2026", "band2", {"tpp": 20900}, "dram_bw_gbs", 6200, YES, NO, NO),
    ("us_foundry_dd_2025", "presumed", {"has_hbm": YES}, "xtor_b", 30, NO, YES, YES),
    ("us_foundry_dd_2025", "presumed@2027-06-01", {"has_hbm": NO}, "xtor_b", 35, NO, YES, YES),
    ("us_foundry_dd_2025", "presumed@2028-06-01", {"has_hbm": NO}, "xtor_b", 35, NO, OPEN, OPEN),
    ("us_foundry_dd_2025", "presumed@2028-06-01", {"has_hbm": NO}, "xtor_b", 40, OPEN, YES, YES),
    ("us_foundry_dd_2025", "presumed@2029-06-01", {"has_hbm": NO}, "xtor_b", 40, NO, YES, YES),
    ("us_el_smic_2020", "define listed_scanner", SCAN, "wavelength_nm", 193, YES, YES, YES),
    ("us_el_smic_2020", "define listed_scanner", SCAN, "dco_nm", 2.40, YES, YES, NO),
    ("us_el_smic_2020", "define listed_scanner", SCAN, "mrf_nm", 45, YES, YES, NO),
    ("us_el_smic_2020", "outcome", SCAN, "wavelength_nm", 193, YES, NO, NO),
    ("us_fdp_2024", "advanced_dram", {}, "dram_cell_um2", 0.0019, YES, NO, NO),
    ("us_fdp_2024", "advanced_dram", {}, "dram_gbit_mm2", 0.288, NO, NO, YES),
    ("us_fdp_2024", "advanced_dram", {}, "tsv_per_die", 3000, NO, NO, YES),
    ("us_affiliates_2025", "owned", {}, "owned_pct", 50, NO, YES, YES),
    ("wassenaar_3b001_f1b", "f1a", SCAN, "wavelength_nm", 193, YES, NO, NO),
    ("wassenaar_3b001_f1b", "f1b", {**SCAN, "na": 1.6}, "wavelength_nm", 193, NO, YES, YES),
    ("wassenaar_3b001_f1b", "f1b", SCAN, "mrf_nm", 45, YES, YES, NO),
    ("us_sme_2023", "f1a", SCAN, "wavelength_nm", 193, YES, NO, NO),
    ("us_sme_2023", "f1b", SCAN, "wavelength_nm", 193, NO, YES, YES),
    ("us_sme_2023", "f1b", SCAN, "mrf_nm", 45, YES, YES, NO),
    ("us_sme_2023", "f1b", SCAN, "dco_nm", 1.50, YES, YES, NO),
    ("us_sme_2023_mid", "mid", {**SCAN, "dco_nm": 2.0}, "wavelength_nm", 193, NO, YES, YES),
    ("us_sme_2023_mid", "mid", {**SCAN, "dco_nm": 2.0}, "mrf_nm", 45, YES, YES, NO),
    ("us_sme_2023_mid", "mid", SCAN, "dco_nm", 1.50, NO, NO, YES),
    ("us_sme_2023_mid", "mid", SCAN, "dco_nm", 2.40, YES, YES, NO),
    ("us_3b993_f1", "f1", {**SCAN, "dco_nm": 2.0}, "wavelength_nm", 193, NO, YES, YES),
    ("us_3b993_f1", "f1", {**SCAN, "dco_nm": 2.0}, "mrf_nm", 45, YES, YES, NO),
    ("us_3b993_f1", "f1", SCAN, "dco_nm", 1.50, NO, NO, YES),
    ("us_3b993_f1", "f1", SCAN, "dco_nm", 2.40, YES, YES, NO),
    ("us_3b001_f5_f6", "f5", IMPRINT, "overlay_nm", 1.5, YES, NO, NO),
    ("us_3b001_f5_f6", "f2", IMPRINT, "imprint_feature_nm", 45, YES, YES, NO),
    ("us_3b001_f5_f6", "f6", {"equipment": "upgrade", "lowers_mrf": YES}, "upgraded_dco_nm", 1.5, YES, YES, NO),
    ("us_3b001_f5_f6", "m2", IMPRINT, "overlay_nm", 1.5, NO, NO, YES),
    ("us_3b001_f5_f6", "m2", IMPRINT, "overlay_nm", 4.0, YES, YES, NO),
    ("us_3b001_f5_f6", "m3", {"equipment": "upgrade"}, "throughput_gain_pct", 1, NO, NO, YES),
    ("us_3b001_f5_f6", "m4", {"equipment": "upgrade", "lowers_mrf": YES}, "upgraded_dco_nm", 1.5, NO, NO, YES),
    ("us_3b001_f5_f6", "m4", {"equipment": "upgrade", "lowers_mrf": YES}, "upgraded_dco_nm", 2.4, YES, YES, NO),
    ("us_3b001_other_numeric", "c1a", {"equipment": "etch_isotropic"}, "sige_si_selectivity", 100, NO, YES, YES),
    ("us_3b001_other_numeric", "c1c", {"equipment": "etch_anisotropic", "pulsed_rf": YES, "esc_zones": 20}, "gas_switch_ms", 300, YES, NO, NO),
    ("us_3b001_other_numeric", "c1c", {"equipment": "etch_anisotropic", "pulsed_rf": YES, "gas_switch_ms": 100}, "esc_zones", 20, NO, YES, YES),
    ("us_3b001_other_numeric", "c4", {"equipment": "etch_tsv", "wiw_nonuniformity_pct": 1, "aspect_ratio": 10}, "etch_um_min", 7, NO, NO, YES),
    ("us_3b001_other_numeric", "c4", {"equipment": "etch_tsv", "etch_um_min": 8, "aspect_ratio": 10}, "wiw_nonuniformity_pct", 2, YES, YES, NO),
    ("us_3b001_other_numeric", "c4", {"equipment": "etch_tsv", "etch_um_min": 8, "wiw_nonuniformity_pct": 1}, "aspect_ratio", 10, NO, YES, YES),
    ("us_3b001_other_numeric", "d5", {"equipment": "deposition", "carbon_density_g_cm3": 1.8}, "hardmask_um", 2, NO, NO, YES),
    ("us_3b001_other_numeric", "d5", {"equipment": "deposition", "hardmask_um": 3}, "carbon_density_g_cm3", 1.7, NO, NO, YES),
    ("us_3b001_other_numeric", "mc1", {"equipment": "etch_dielectric", "top_dim_nm": 50, "pulsed_rf": YES, "gas_switch_ms": 100}, "aspect_ratio", 30, NO, NO, YES),
    ("us_3b001_other_numeric", "mc1", {"equipment": "etch_dielectric", "aspect_ratio": 40, "pulsed_rf": YES, "gas_switch_ms": 100}, "top_dim_nm", 100, YES, NO, NO),
    ("us_3b001_other_numeric", "mc1", {"equipment": "etch_dielectric", "aspect_ratio": 40, "pulsed_rf": YES, "top_dim_nm": 50}, "gas_switch_ms", 300, YES, NO, NO),
    ("us_3b001_other_numeric", "mc2", {"equipment": "etch_dielectric", "top_dim_nm": 30}, "aspect_ratio", 30, NO, NO, YES),
    ("us_3b001_other_numeric", "mc2", {"equipment": "etch_dielectric", "aspect_ratio": 40}, "top_dim_nm", 40, YES, NO, NO),
    ("us_3b001_other_numeric", "mc3", {"equipment": "etch_anisotropic", "pulsed_rf": YES, "esc_zones": 10}, "gas_switch_ms", 500, YES, NO, NO),
    ("us_3b001_other_numeric", "mc3", {"equipment": "etch_anisotropic", "pulsed_rf": YES, "gas_switch_ms": 100}, "esc_zones", 10, NO, YES, YES),
    ("us_3b001_other_numeric", "md3", {"equipment": "deposition"}, "carbon_density_g_cm3", 1.6, NO, NO, YES),
    ("us_3b001_other_numeric", "mq1", {"equipment": "inspection", "defect_nm": 20, "light_nm": 300}, "wafer_mm", 300, NO, YES, YES),
    ("us_3b001_other_numeric", "mq1", {"equipment": "inspection", "wafer_mm": 300, "light_nm": 300}, "defect_nm", 21, YES, YES, NO),
    ("us_3b001_other_numeric", "mq1", {"equipment": "inspection", "wafer_mm": 300, "defect_nm": 20, "cold_field_emission": NO, "n_beams": 1, "ebeam_res_nm": 9}, "light_nm", 400, YES, NO, NO),
    ("us_3b001_other_numeric", "mq1", {"equipment": "inspection", "wafer_mm": 300, "defect_nm": 20, "cold_field_emission": NO, "n_beams": 1, "light_nm": 500}, "ebeam_res_nm", 1.65, YES, YES, NO),
    ("us_3b001_other_numeric", "mq1", {"equipment": "inspection", "wafer_mm": 300, "defect_nm": 20, "cold_field_emission": NO, "ebeam_res_nm": 9, "light_nm": 500}, "n_beams", 2, NO, YES, YES),
    ("us_3b001_other_numeric", "mq2b", {"equipment": "overlay_metrology", "track_integrated": YES}, "overlay_accuracy_nm", 0.5, YES, YES, NO),
    ("us_3b001_other_numeric", "mq2b", {"equipment": "overlay_metrology", "track_integrated": NO, "overlay_accuracy_nm": 0.4}, "wavelength_switch_ms", 25, YES, NO, NO),
    ("nl_2023", "scanner", SCAN, "wavelength_nm", 193, NO, YES, YES),
    ("nl_2023", "scanner", SCAN, "mrf_nm", 45, YES, YES, NO),
    ("nl_2023", "scanner", SCAN, "dco_nm", 1.50, YES, YES, NO),
    ("nl_2024", "scanner", SCAN, "wavelength_nm", 193, NO, YES, YES),
    ("nl_2024", "scanner", SCAN, "mrf_nm", 45, YES, YES, NO),
    ("nl_2024", "scanner", SCAN, "dco_nm", 2.40, YES, YES, NO),
    ("eu_3b501_2025", "f1b", SCAN, "wavelength_nm", 193, NO, OPEN, OPEN),
    ("eu_3b501_2025", "f1b", SCAN, "mrf_nm", 45, OPEN, OPEN, NO),
    ("cn_2025_55_62", "floor", {}, "chinese_value_share", 0.001, NO, YES, YES),
    ("cn_statefunded_2025", "outcome", {}, "completion", 0.30, YES, NO, NO),
]  # fmt: skip


BASE = {
    **CHIP, "owned_pct": 0.0, "designer_approved": NO, "packaged_outside_d5m": YES, "processing_dominant": NO,
    "nonplanar": YES, "end_use": "mature_node", "dram_cell_um2": 1.0, "dram_gbit_mm2": 0.1, "tsv_per_die": 1.0,
}  # fmt: skip


def read(value, kind):
    return (float(value), float(value)) if kind in ("number", "date") else value


def at(rule_id, limb, values, variable, number):
    """The truth of a limb (or an exclusion, a definition, the last outcome with a comparison) at one value."""
    limb, _, day = limb.partition("@")
    rule = bundled().rules[rule_id]
    on = date.fromisoformat(day or "2026-07-01")
    found = {n: parameter_value(p, on) or MISSING for n, p in rule.parameter.items()}
    if variable == "mrf_nm":  # moved through the numerical aperture, K being the rule's own
        variable, number = "na", 193.0 * found["k"][0] / number
    known = {**BASE, "on": on.toordinal(), **values, variable: number}
    env = {**missing_defaults(), **{k: read(v, TYPES[k]) for k, v in known.items()}}
    judged = judge(rule, 2, env, found, SCALAR)
    if limb == "exclude":
        return judged.excluded
    if limb == "outcome":
        last = [o for o in rule.outcome if any(isinstance(n, Compare) for n in walk(o.when.tree))][-1]
        return truth(last.when.tree, judged.values, Reading(SCALAR))
    return judged.values[limb.removeprefix("define ")] if limb.startswith("define") else judged.legs[limb]


@pytest.mark.parametrize("case", TABLE, ids=lambda c: f"{c[0]}-{c[1]}-{c[3]}-{c[4]}")
def test_under_at_and_over(case):
    rule, limb, values, variable, threshold, *expected = case
    if variable == "mrf_nm":  # a quotient reaches the threshold only to rounding: a step of a billionth, no middle
        points, expected = [threshold * (1 - 1e-9), threshold * (1 + 1e-9)], [expected[0], expected[2]]
    else:
        points = [math.nextafter(threshold, -math.inf), threshold, math.nextafter(threshold, math.inf)]
    assert [at(rule, limb, values, variable, x) for x in points] == expected


def thresholds():
    """Every comparison of an item's number with a threshold in the bundled rules."""
    for rule in bundled():
        for formula in formulas(rule):
            for node in walk(formula.tree):
                if isinstance(node, Compare) and not isinstance(node.left, Text) and not isinstance(node.right, Text):
                    for name, other in ((node.left, node.right), (node.right, node.left)):
                        if isinstance(name, Var) and name.name not in rule.parameter:
                            yield from ((rule.id, name.name, x) for x in _numbers(other, rule))


def _numbers(node, rule):
    if isinstance(node, Const):
        return [node.value]
    if isinstance(node, Var) and node.name in rule.parameter:
        return [x for s in rule.parameter[node.name].step if s.value for x in (s.value.low, s.value.high)]
    return []


def test_no_threshold_is_left_out():
    tested = {(rule, variable, float(threshold)) for rule, _, _, variable, threshold, *_ in TABLE}
    unseen = {("nl_2025", "limit_nm", 0.0), ("jp_2023", "limit_nm", 0.0)}  # stand for numbers that nobody saw
    assert set(thresholds()) - tested - unseen == set()
