import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafer2token.evidence.errors import InputError
from wafer2token.evidence.units import convert, format_quantity, format_range, parse_quantity, unit_scale


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("50 ms", "s", 0.05),
        ("3.2 TB/s", "B/s", 3.2e12),
        ("400 Gbit/s", "B/s", 50e9),
        ("750 TFLOP/s", "FLOP/s", 7.5e14),
        ("750 TFLOPS", "FLOP/s", 7.5e14),
        ("16 GiB", "B", 16 * 2**30),
        ("16 GB", "B", 16e9),
        ("814 mm^2", "m^2", 814e-6),
        ("0.25 1/cm^2", "1/m^2", 2500),
        ("0.09 USD/kWh", "USD/J", 0.09 / 3.6e6),
        ("20,000 wafer/month", "wafer/month", 20000 / (365.25 * 86400 / 12)),
        ("75 %", "1", 0.75),
        ("0.75", "1", 0.75),
        ("2 year", "s", 2 * 365.25 * 86400),
        ("8.2e6 USD", "USD", 8.2e6),
        ("1.2 us", "s", 1.2e-6),
        ("275 wafer/h", "wafer/s", 275 / 3600),
    ],
)
def test_parse(text, unit, value):
    assert parse_quantity(text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("text", ["50", 50, "50 GB", "fifty ms", "50 mz", True, None, "nan s", "50 die"])
def test_what_is_refused(text):
    with pytest.raises(InputError) as caught:
        parse_quantity(text, "s", "$.slo.ttft")
    assert "$.slo.ttft" in str(caught.value)


def test_a_bare_number_names_the_unit_to_add():
    with pytest.raises(InputError, match=r'write "50 s"'):
        parse_quantity("50", "s")


def test_dies_do_not_add_to_wafers():
    assert unit_scale("die")[1] != unit_scale("wafer")[1]


@given(st.floats(1e-12, 1e20), st.sampled_from(["B/s", "FLOP/s", "W", "B", "s", "USD", "m^2", "1"]))
def test_round_trip(value, unit):
    assert convert(parse_quantity(f"{value!r} {unit}", unit), unit) == pytest.approx(value)
    assert parse_quantity(format_quantity(value, unit, digits=12).replace("h", "h"), unit) == pytest.approx(
        value, rel=1e-9
    )


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (3.2e12, "B/s", "3.2 TB/s"),
        (0.05, "s", "50 ms"),
        (989e12, "FLOP/s", "989 TFLOP/s"),
        (700, "W", "700 W"),
        (8.2e6, "USD", "8.2 M$"),
        (0.4567, "1", "0.457"),
        (5 * 86400, "s", "5 days"),
        (0, "W", "0 W"),
    ],
)
def test_format(value, unit, text):
    assert format_quantity(value, unit) == text


def test_not_finite_is_shown():
    assert format_quantity(math.inf, "s") == "inf s"


@pytest.mark.parametrize(
    ("triple", "unit", "text"),
    [
        ((2.7e17, 2.72e17, 3.04e17), "FLOP/s", "272 (270-304) PFLOP/s"),
        ((885e9, 1.01e12, 1.37e12), "FLOP/s/W", "1.01 (0.885-1.37) TFLOP/s/W"),
        ((1, 1, 1), "W", "1 W"),
        ((800, 1180, 1460), "USD", "1,180 (800-1,460) USD"),
        ((0.3, 0.4, 0.5), "1", "0.4 (0.3-0.5)"),
        ((50 * 86400, 54 * 86400, 80 * 86400), "s", "54 (50-80) days"),
    ],
)
def test_range_in_one_unit(triple, unit, text):
    assert format_range(*triple, unit) == text
