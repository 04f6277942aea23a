"""Software progress: the curve rises, saturates, and starts again."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafer2token.evidence.errors import InputError
from wafer2token.stack import efficiency, maturity, progress, saturating, slowdown

SINCE = date(2024, 1, 1)


@given(start=st.floats(0, 1), gain=st.floats(0, 1), tau=st.floats(1e5, 1e8), a=st.floats(0, 1e9), b=st.floats(0, 1e9))
def test_the_curve_rises_from_start_to_final(start, gain, tau, a, b):
    final = start + gain
    early, late = sorted((a, b))
    assert start - 1e-12 <= saturating(early, start, final, tau) <= saturating(late, start, final, tau) + 1e-12
    assert saturating(late, start, final, tau) <= final + 1e-12


def test_the_observed_case_comes_back():
    """25% to 73% of an A800 in about six months on the same Ascend chips: the curve passes near both."""
    assert maturity("cann", "dense_training", SINCE, SINCE) == pytest.approx(0.3)
    assert maturity("cann", "dense_training", date(2024, 7, 1), SINCE) == pytest.approx(0.8, abs=0.1)


def test_a_new_workload_starts_again():
    old = maturity("cann", "serving", date(2026, 1, 1), SINCE)
    new = maturity("cann", "serving", date(2026, 1, 1), date(2025, 12, 1))
    assert new < 0.7 * old


def test_slowdown_is_one_for_software_of_the_measured_date():
    assert slowdown("cann", "serving", date(2025, 1, 1), SINCE, measured=date(2025, 1, 1)) == pytest.approx(1.0)
    assert slowdown("cann", "serving", date(2024, 3, 1), SINCE) > 1.2


def test_samples_spread_and_releases_add_noise():
    plain = maturity("cann", "serving", date(2025, 1, 1), SINCE, samples=500)
    noisy = maturity("cann", "serving", date(2025, 1, 1), SINCE, samples=500, releases=True)
    assert plain.shape == noisy.shape == (500,)
    assert np.std(np.log(noisy)) > np.std(np.log(plain))


def test_an_unobserved_platform_is_wider():
    seen, unseen = (progress(p, "serving", samples=400) for p in ("cann", "rocm"))
    assert np.std(unseen.start) > np.std(seen.start)


def test_efficiencies_say_where_they_come_from():
    own = efficiency("h100_sxm", "gemm")
    assert {e.basis for e in own if e.dtype == "bf16"} == {"calibrated"}
    assert all(e.low < e.high and e.points > 0 for e in own)
    assert {e.basis for e in efficiency("mi300x")} == {"class"}


def test_bad_requests_are_said_plainly():
    with pytest.raises(InputError, match="unknown class of workload"):
        progress("cann", "surfing")
    with pytest.raises(InputError, match="before the workload"):
        maturity("cann", "serving", date(2023, 1, 1), SINCE)
