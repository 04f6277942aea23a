from datetime import date

import pytest
from click.testing import CliRunner

from wafer2token.chip import kernel
from wafer2token.cli.main import w2t
from wafer2token.evidence.errors import InputError
from wafer2token.study.software import software_of


def test_young_software_costs_more_and_catches_up():
    early, late = (software_of("ascend_950dt", date(y, 6, 1), since=date(2027, 4, 1)) for y in (2027, 2029))
    assert early.p50 > 1.4 > late.p50
    assert early.p10 < early.p50 < early.p90
    assert early.measured is None


def test_software_of_the_measured_date_costs_nothing_in_the_middle():
    today = software_of("h100_sxm", date(2026, 11, 22))
    assert today.p50 == pytest.approx(1.0, abs=0.02)
    assert today.since.year in (2022, 2023)


def test_a_date_before_the_chip_is_refused():
    with pytest.raises(InputError, match="before the workload"):
        software_of("h100_sxm", date(2020, 1, 1))


def test_kernels_take_the_factor_and_its_width():
    sizes = {"m": 4096, "n": 8192, "k": 8192}
    plain = kernel("gemm", "h100_sxm", **sizes).chips[0]
    slow = kernel("gemm", "h100_sxm", software=[(1.5, 2.0, 3.0)], **sizes).chips[0]
    assert slow.seconds == pytest.approx(2 * plain.seconds)
    assert slow.p90 / slow.seconds > plain.p90 / plain.seconds


def test_the_command_says_what_it_took():
    said = CliRunner().invoke(
        w2t, ["kernel", "gemm", "ascend_910c", "-m", "512", "-n", "4096", "-k", "4096", "--software-date", "2027-01-01"]
    )
    assert said.exit_code == 0
    assert "2027-01-01" in said.output
