"""The section on export rules speaks of the chips of the run that United States rules can reach."""

from types import SimpleNamespace

from wafer2token.report.run_rules import SINCE, chips_of, export_section


def a_run(*pairs, training=(), serving=()):
    return SimpleNamespace(pairs=lambda: list(pairs), scenario=SimpleNamespace(training=training, serving=serving))


def test_systems_count_by_their_chip_and_each_chip_once():
    fleet = SimpleNamespace(on="h20")
    run = a_run(
        ("gb200_nvl72", "h20"), training=[SimpleNamespace(fleets=[fleet])], serving=[SimpleNamespace(on=("a800",))]
    )
    assert chips_of(run) == ["gb200", "h20", "a800_sxm"]


def test_the_dates_of_h20():
    section = export_section(a_run(("h20", "ascend_910c")))
    rows = section.chart.data.rows
    assert {row["item"] for row in rows} == {"H20 SXM 96GB"}
    assert rows[0]["start"] == SINCE.isoformat()
    assert (rows[0]["status"], rows[0]["end"]) == ("free", "2025-04-09")
    assert rows[1]["status"] == "licence"
    assert "Not legal advice" in section.text


def test_no_section_without_such_chips():
    assert export_section(a_run(("ascend_910c", "ascend_910b3"))) is None
