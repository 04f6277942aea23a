"""``allow``: dates, views, places, parties, gaps and messages."""

from datetime import date

import pytest

from wafer2token.controls import allow
from wafer2token.controls.items import item_card
from wafer2token.evidence.errors import InputError


def verdict(item, on, **options):
    return allow(item, on=on, **options).verdict


@pytest.mark.parametrize(
    ("item", "on", "expected"),
    [
        ("A800", "2023-11-16", "free"), ("A800", "2023-11-17", "denied"),
        ("H20", "2025-04-08", "free"), ("H20", "2025-04-09", "licence"),
        ("A100", "2022-08-25", "free"), ("A100", "2022-08-26", "licence"), ("A100", "2022-10-21", "denied"),
        ("H200", "2026-01-14", "denied"), ("H200", "2026-01-15", "licence"),
        ("B200", "2026-01-15", "denied"), ("MI325X", "2026-01-15", "licence"), ("Gaudi 3", "2026-01-15", "denied"),
        ("MI308X", "2025-04-14", "free"), ("MI308X", "2025-04-15", "licence"),
        ("RTX 4090", "2023-11-16", "free"), ("RTX 4090", "2023-11-17", "licence"), ("RTX 4090 D", "2024-02-01", "free"),
        ("RTX 5090 D", "2025-06-01", "indeterminate"), ("RTX 5090 D V2", "2025-09-01", "free"),
    ],
)  # fmt: skip
def test_days_that_matter(item, on, expected):
    assert verdict(item, on) == expected


def test_memory_between_effect_and_compliance():
    assert verdict("HBM3", "2024-12-30") == "free"
    assert verdict("HBM3", "2024-12-30", view="codified") == "denied"
    assert verdict("HBM3", "2024-12-31") == "denied"
    assert verdict("HBM3", "2025-01-15", from_="KR") == "denied"


def test_the_diffusion_rule_is_codified_and_not_enforced():
    assert verdict("H100", "2025-06-01", to="CH") == "free"
    codified = allow("H100", "CH", "2025-06-01", view="codified")
    assert codified.verdict == "licence"
    assert [f.rule for f in codified.matched] == ["us_diffusion_2025"]
    ally = allow("H100", "DE", "2025-06-01", view="codified")
    assert (ally.verdict, ally.exception) == ("licence", "AIA")
    enforced = {f.rule: f for f in allow("H100", "CH", "2025-06-01").findings}
    assert enforced["us_diffusion_2025"].standing == "codified, not enforced"


def test_the_letter_from_memory_is_off_unless_asked_for():
    assert verdict("A800", "2023-10-23") == "free"
    assert verdict("A800", "2023-10-23", with_unverified=True) == "licence"


def test_time_limited_rules_are_unknown_beyond_the_facts():
    options = {"to": "US", "from_": "CN"}
    assert verdict("gallium", "2025-06-01", **options) == "denied"
    assert verdict("gallium", "2026-03-01", **options) == "licence"
    assert verdict("gallium", "2026-11-22", **options) == "unknown"
    assert verdict("gallium", "2026-11-22", after_horizon="snap_back", **options) == "denied"
    assert verdict("gallium", "2026-11-22", after_horizon="extended", **options) == "licence"
    assert verdict("dysprosium", "2026-11-22", **options) == "licence"  # not time-limited


def test_affiliates_of_listed_parties():
    owned = {"given": {"owned_pct": (60.0, 60.0)}}
    assert verdict("L20", "2025-09-28", **owned) == "free"
    assert verdict("L20", "2025-09-29", **owned) == "licence"
    assert verdict("L20", "2025-11-10", **owned) == "free"  # suspended
    assert verdict("L20", "2026-11-22", **owned) == "unknown"


def test_headquarters_reach_abroad():
    assert verdict("H100", "2026-07-01", to="MY") == "free"
    assert verdict("H100", "2026-07-01", to="MY", party="ByteDance") == "licence"
    assert verdict("H100", "2026-07-01", to="MY", hq="Macau") == "licence"


def test_places():
    assert verdict("H100", "2024-06-01", to="Hong Kong") == "denied"
    assert verdict("H100", "2024-06-01", to="MO") == "denied"  # not in D:5, named beside it
    assert verdict("H100", "2023-11-01", to="RU") == "free"  # the 2022 rule reached China and Macau only
    viet = allow("H100", "Vietnam", "2024-06-01")
    assert (viet.verdict, viet.review) == ("licence", "presumption of approval")
    assert allow("RTX 4090", "Vietnam", "2024-06-01").exception == "ACA"
    assert verdict("H100", "2024-06-01", to="Israel") == "free"  # D:4, carved out by A:6
    assert verdict("H100", "2025-06-01", to="UAE") == "licence"


def test_listed_parties():
    assert verdict("T4", "2023-10-16", party="Biren") == "free"
    assert verdict("T4", "2023-10-17", party="Biren") == "denied"
    assert verdict("T4", "2019-05-16", party="Huawei") == "denied"
    assert verdict("T4", "2019-05-16", party="CXMT") == "free"
    taiwan = allow("T4", "CN", "2020-09-01", party="HiSilicon", from_="TW")
    assert "us_fdpr_huawei_2020_08" in [f.rule for f in taiwan.matched]
    assert verdict("T4", "2021-06-01", party="SMIC") == "indeterminate"  # case by case, or denial at 10 nm and below
    assert verdict("T4", "2021-06-01", party="SMIC", end_use="mature_node") == "licence"


def test_equipment_depends_on_use_and_origin():
    assert verdict("NXT:1980i", "2026-07-01") == "indeterminate"
    assert verdict("NXT:1980i", "2026-07-01", end_use="mature_node") == "free"
    assert verdict("NXT:1980i", "2026-07-01", end_use="advanced_node") == "licence"
    assert verdict("NXT:1980i", "2026-07-01", party="SMIC") == "denied"
    dutch = allow("NXT:2000i", "CN", "2023-12-01", from_="NL", end_use="advanced_node")
    assert {f.authority for f in dutch.matched} == {
        "NL Minister for Foreign Trade"
    }  # the home list displaces 0% de minimis
    assert verdict("XT:1460K", "2026-07-01", from_="NL") == "free"
    assert verdict("NXT:1965Ci", "2026-07-01", from_="NL") == "indeterminate"


def test_the_chinese_side_is_kept_apart():
    h200 = allow("H200", on="2026-01-20")
    assert (h200.verdict, h200.import_verdict) == ("licence", "denied")
    assert allow("H200", on="2026-02-15").import_verdict == "licence"
    d = allow("RTX 6000D", on="2025-10-01")
    assert (d.verdict, d.import_verdict) == ("free", "denied")


def test_chips_designed_in_china():
    assert verdict("910C", "2025-06-01", from_="CN") == "free"  # a domestic sale
    assert verdict("910C", "2025-06-01", from_="CN", to="MY") == "licence"
    assert verdict("910C", "2025-05-12", from_="CN", to="MY") == "free"


def test_the_2026_lane_replaces_the_policy_and_not_the_classification():
    found = {f.rule: f for f in allow("H200", on="2026-02-15").findings}
    assert found["us_3a090_2023"].replaced_by == "us_h200_2026"
    assert [leg.label for leg in found["us_3a090_2023"].legs if leg.met == "yes"] == ["3A090.a.1", "3A090.a.2"]
    assert allow("H200", on="2026-02-15").duty == 0.25
    assert verdict("H200", "2026-02-15", from_="TW") == "denied"  # from the United States only
    assert verdict("H800", "2026-02-15") == "indeterminate"  # on the market in the United States? doubtful


def test_margins_and_flips():
    near = {f.rule: f for f in allow("L20", on="2024-06-01").near}["us_3a090_2023"]
    margin = next(m for m in near.margins if m.variable == "pd" and m.leg == "3A090.b.2" and m.op == ">=")
    assert margin.relative == pytest.approx(1912 / 609 / 3.2 - 1)
    assert margin.flip_area_mm2 == pytest.approx(597.5)


def test_a_rule_that_is_not_met_still_shows_its_margins():
    considered = {f.rule: f for f in allow("V100", on="2025-06-01").considered}
    assert set(considered) == {"us_3a090_2023", "us_h20_isinformed_2025"}
    margins = [m for m in considered["us_3a090_2023"].margins if m.leg == "3A090.b.1" and m.variable == "tpp"]
    assert margins[0].relative == pytest.approx(2000 / 2400 - 1)
    assert allow("V100", on="2025-06-01").to_dict()["considered"][0]["margins"]


def test_an_uncertain_threshold_gives_a_probability():
    letter = next(f for f in allow("MI210", on="2025-06-01").matched if f.rule == "us_h20_isinformed_2025")
    margin = next(m for m in letter.margins if m.variable == "dram_bw_gbs")
    assert margin.probability == pytest.approx(1 - (1800 - 1638) ** 2 / 400**2)
    assert margin.met == "open"


def test_an_incomplete_record_is_not_cleared():
    tpu = allow("TPU v5e", on="2022-11-15")
    assert (tpu.verdict, tpu.missing) == ("indeterminate", ("io_gbs",))
    rule = next(f for f in tpu.matched if f.rule == "us_3a090_2022")
    assert rule.settled == "no"  # TPP alone rules it out: said, and used on request
    assert verdict("TPU v5e", "2022-11-15", settle=True) == "free"
    assert allow("MTT S4000", on="2024-02-01").missing == ("pd",)


def test_what_is_missing_is_only_what_matters():
    smic = allow("T4", on="2025-06-01", party="SMIC")
    assert (smic.verdict, smic.at_least, smic.missing) == ("indeterminate", "licence", ("end_use",))
    assert allow("RTX 5090 D", on="2025-06-01").missing == ("dram_limit_gbs",)
    assert allow("network ASIC 38B", on="2028-06-01").missing == ("cap_b",)
    assert "shipped to China without a licence" in " ".join(allow("MI308X", on="2024-06-01").notes)


def test_a_computer_follows_the_strictest_ic_inside():
    from wafer2token.catalog.kinds.item import ItemCard

    box = ItemCard(id="box", name="box", category="computer", contains=("h20", "h100_sxm"), source=("w2t",))
    assert verdict(box, "2024-06-01") == "denied"
    assert "4A090" in allow(box, on="2024-06-01").notes[-1]
    with pytest.raises(InputError, match="needs what it contains"):
        allow(box.model_copy(update={"contains": ()}), on="2024-06-01")


def test_a_system_of_the_catalogue():
    assert allow("gb200_nvl72", on="2026-02-15").verdict == "denied"


def test_before_the_facts_begin():
    early = allow("H100", on="2018-01-01")
    assert early.verdict == "unknown"
    assert "facts begin" in " ".join(early.notes)


def test_evidence_and_disclaimer():
    ruling = allow("H20", on="2025-04-09")
    assert ruling.weakest_evidence == "primary"
    assert ruling.weakest_grade == "press"  # the reported threshold and the secondary numbers of the H20
    assert all(f.citation and f.sources for f in ruling.findings)
    assert "Not legal advice" in ruling.to_dict()["disclaimer"]


def test_the_default_date_is_the_last_day_of_the_facts():
    assert allow("H20").on == date(2026, 8, 22)


def test_json_keys():
    found = allow("H20", on="2025-04-09").to_dict()
    assert found["verdict"] == "licence"
    assert {"item", "from", "to", "on", "party", "matched", "near", "metrics", "missing", "assumptions"} <= set(found)
    assert {"rule", "citation", "margins", "legs", "sources", "evidence", "authority"} <= set(found["matched"][0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "2025-02-30"}, "impossible date"), ({"on": "soon"}, "impossible date"), ({"to": "Chna"}, "did you mean 'China'"),
        ({"from_": "Utopia"}, "unknown destination"), ({"party": "Hwawei"}, "did you mean 'huawei'"),
        ({"view": "both"}, "unknown view"), ({"end_use": "fun"}, "unknown end_use"), ({"after_horizon": "x"}, "unknown after_horizon"),
    ],
)  # fmt: skip
def test_clear_errors(options, message):
    with pytest.raises(InputError, match=message):
        allow("H20", **options)


def test_unknown_item_shows_the_nearest():
    with pytest.raises(InputError, match="did you mean 'H200'"):
        allow("H2000")


def test_several_wrong_options_come_at_once():
    with pytest.raises(InputError) as error:
        allow("H20", view="x", end_use="y")
    assert len(error.value.problems) == 2


def test_every_item_can_be_judged_on_every_date_that_matters():
    from wafer2token.catalog import all_cards
    from wafer2token.controls.rulebook import bundled

    days = bundled().dates()[::6]
    for name in (
        "h100_sxm",
        "mi308x",
        "ascend_910c",
        "hbm2_2_4",
        "network_asic_32b",
        "nxt_1980i",
        "fpa_1200nz2c",
        "gallium",
    ):
        for day in days:
            assert allow(name, on=day).verdict in ("free", "licence", "denied", "indeterminate", "unknown")
    assert item_card("h100_sxm").id in all_cards("item")
