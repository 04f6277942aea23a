"""Rows of measurement tables: read, or listed with the reason why not."""

import math

import pytest

from wafer2token.chip.points import as_tables, resolve_chip, rows_of
from wafer2token.chip.validate import kernel_points
from wafer2token.evidence.errors import InputError
from wafer2token.evidence.tables import read_entries, read_rows
from wafer2token.study.kernels import validate

GEMM = {"chip": "H100 SXM", "dtype": "bf16", "op": "gemm", "m": "4096", "n": "4096", "k": "4096", "latency_us": "180"}
DECODE = {"chip": "Ascend 910C (die, CM384)", "kind": "gqa", "phase": "decode", "dtype": "bf16", "batch": "8", "q_len": "1", "kv_len": "4096",
          "heads_q": "32", "heads_kv": "0", "dim_qk": "128", "dim_v": "128", "causal": "False", "latency_us": "100"}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("H100 SXM", ("h100_sxm", "chip")),
        ("Ascend 910C (die)", ("ascend_910c", "die")),
        ("Ascend 910C package (CM384)", ("ascend_910c", "chip")),
        ("Ascend 910B3 (Atlas 800T A2)", ("ascend_910b3", "chip")),
        ("A100 PCIe 80GB", ("a100_pcie_80", "chip")),
        ("abacus", ("", "chip")),
    ],
)
def test_names_of_measured_devices(name, expected):
    assert resolve_chip(name) == expected


def test_a_good_row_and_its_prediction():
    (row,) = rows_of([GEMM])
    assert (row.chip, row.family) == ("h100_sxm", "gemm")
    assert row.seconds == pytest.approx(180e-6)
    (point,) = kernel_points([row])
    assert point.predicted == pytest.approx(180e-6, rel=0.15)
    assert point.p10 < point.predicted < point.p90
    assert not math.isnan(point.baseline)


def test_a_rate_becomes_a_time():
    (row,) = rows_of([{**GEMM, "latency_us": "", "tflops": "700"}])
    assert row.seconds == pytest.approx(2 * 4096**3 / 700e12)


def test_key_heads_of_zero_mean_as_many_as_queries():
    (row,) = rows_of([DECODE])
    assert (row.per, row.columns["kv_heads"]) == ("die", 32)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chip": "abacus"}, "no chip card"),
        ({"dtype": "fp4"}, "has no fp4"),
        ({"m": "0"}, "zero or less"),
        ({"m": ""}, "no shape"),
        ({"m": "many"}, "not a number"),
        ({"latency_us": ""}, "no latency_us and no tflops"),
        ({"op": "gemm_peak_rate"}, "a rate, not the time"),
        ({"op": "fft"}, "unknown operation"),
        ({"grade": "derived"}, "not measured"),
    ],
)
def test_what_cannot_be_predicted_is_listed_with_the_reason(change, reason):
    (row,) = rows_of([{**GEMM, **change}])
    assert reason in row.skipped
    (point,) = kernel_points([row])
    assert point.skipped == row.skipped


def test_flagged_rows_stay_out_of_fits_and_stand_apart():
    rows = rows_of([GEMM, {**GEMM, "quality_flag": "suspect"}])
    assert [len(t) for t in as_tables(rows)] == [1]
    assert [p.group for p in kernel_points(rows)] == ["h100_sxm gemm", "h100_sxm gemm (flagged)"]


def test_tables_of_every_format_and_broken_ones(tmp_path):
    table = tmp_path / "points.json"
    table.write_text('[{"chip": "H100 SXM", "m": 1}]')
    assert read_rows(table) == [{"chip": "H100 SXM", "m": "1"}]
    table.write_text('{"entries": [{"kind": "moe_dispatch"}]}')
    assert read_entries(table) == [{"kind": "moe_dispatch"}]
    for text in ("", "{", '{"a": 1}'):
        table.write_text(text)
        with pytest.raises(InputError):
            read_entries(table)
    empty = tmp_path / "empty.csv"
    empty.write_text("chip,m\n")
    with pytest.raises(InputError, match="no rows"):
        read_rows(empty)
    with pytest.raises(InputError, match="cannot read"):
        read_rows(tmp_path / "missing.csv")


def test_validation_of_own_points(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(
        ",".join(GEMM) + "\n" + ",".join(GEMM.values()) + "\n" + ",".join({**GEMM, "chip": "abacus"}.values()) + "\n"
    )
    result = validate(str(file))
    total = result.groups[0]
    assert (total.n, total.skipped) == (1, 1)
    assert result.to_dict()["skipped"][0]["reason"].startswith("no chip card")
