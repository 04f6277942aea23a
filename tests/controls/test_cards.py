"""The cards of rules, items, parties and destinations hang together and resolve."""

from wafer2token.catalog import all_cards
from wafer2token.catalog.loader import source_resolves
from wafer2token.controls.places import destination
from wafer2token.controls.rulebook import bundled

# the dated rules of the facts, then those on equipment
RULES = [
    "us_el_huawei_2019",
    "us_fdpr_huawei_2020_05",
    "us_fdpr_huawei_2020_08",
    "us_el_smic_2020",
    "us_el_other_china_ai",
    "us_isinformed_2022_08",
    "us_3a090_2022",
    "us_3a090_2023",
    "us_acs_accelerated_2023_10",
    "us_sme_2023",
    "us_apr2024",
    "us_hbm_2024",
    "us_fdp_2024",
    "us_diffusion_2025",
    "us_diffusion_rescission",
    "us_foundry_dd_2025",
    "us_h20_isinformed_2025",
    "us_h20_reversal_2025",
    "us_gp10_ascend_2025",
    "us_affiliates_2025",
    "us_veu_2025",
    "us_h200_2026",
    "us_tariff_2026",
    "us_guidance_2026_05",
    "us_legislation_2026",
    "nl_2023",
    "nl_licence_revocation_2024",
    "nl_2024",
    "nl_2025",
    "eu_3b501_2025",
    "jp_2023",
    "kr_hbm",
    "tw_2025",
    "cn_gage_2023",
    "cn_gage_ban_us_2024",
    "cn_2025_10",
    "cn_2025_18",
    "cn_2025_55_62",
    "cn_h20_discourage_2025",
    "cn_rtxpro6000d_2025",
    "cn_statefunded_2025",
    "cn_h200_2026",
    "us_3b993_f1",
    "us_3b001_f5_f6",
    "us_3b001_other_numeric",
    "us_sme_2023_mid",
    "wassenaar_3b001_f1b",
]


def test_every_rule_of_the_facts_is_a_card():
    assert sorted(bundled().rules) == sorted(RULES)
    assert len(RULES[:42]) == 42


def test_sources_and_references_resolve():
    rules, items = bundled().rules, all_cards("item")
    for kind in ("rule", "item", "party", "destination"):
        for card in all_cards(kind).values():
            assert [s for s in card.source if not source_resolves(s)] == [], card.id
    for rule in rules.values():
        assert not rule.superseded_by or rule.superseded_by in rules
        assert all(target in rules for outcome in rule.outcome for target in outcome.replaces)
        assert all(rule.citation), rule.id
    for item in items.values():
        assert all(d.rule in rules for d in item.declared)
        assert all(source_resolves(s) for g in item.golden for s in g.source)
        assert not item.chip or item.chip in all_cards("chip")
    for party in all_cards("party").values():
        assert destination(party.hq)
        assert all(source_resolves(s) for row in party.listing for s in row.source)


def test_superseded_rules_end_where_the_next_begins():
    rules = bundled().rules
    for rule in rules.values():
        if rule.superseded_by:
            assert rule.effective_to is not None
            assert (rules[rule.superseded_by].effective_from - rule.effective_to).days == 1, rule.id


def test_country_groups_count_as_in_the_supplement():
    cards = all_cards("destination").values()
    count = {g: sum(g in c.groups for c in cards) for g in ("D:1", "D:4", "D:5", "A:6", "EU", "AIA")}
    assert count == {"D:1": 24, "D:4": 21, "D:5": 22, "A:6": 8, "EU": 27, "AIA": 18}
    assert sum("A:5" in c.groups for c in cards) + 1 == 38  # with the United Arab Emirates, which moved


def test_items_agree_with_the_chips_they_are():
    """Bandwidth within 5% where a chip has its own card; two parts with a claim of their own apart."""
    chips = all_cards("chip")
    apart = {"rtx_pro_6000_server", "mi308x", "ascend_910"}
    for item in all_cards("item").values():
        if item.chip and item.dram_bandwidth and item.id not in apart and chips[item.chip].memory.bandwidth:
            assert abs(float(item.dram_bandwidth) / float(chips[item.chip].memory.bandwidth) - 1) < 0.05, item.id
