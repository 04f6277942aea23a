"""Fits find known parameters again, and write cards that load."""

import math
from datetime import date

import numpy as np
import pytest

from wafer2token.catalog.calibration_cards import CardDraft, Fitted, write
from wafer2token.catalog.loader import parse
from wafer2token.chip import accelerator, matmul_time
from wafer2token.chip.calibration.aiconfigurator import read as read_package
from wafer2token.chip.calibration.fitting import SEARCH, fit_tables, using
from wafer2token.chip.calibration.others import read_msmodeling, read_vidur, read_vidur_streams
from wafer2token.chip.calibration.tables import KernelTable
from wafer2token.evidence.errors import InputError
from wafer2token.evidence.fitting import quantiles_80, search
from wafer2token.study.calibrate import calibrate


def synthetic(parameters: dict[str, float], rows: int = 600) -> KernelTable:
    rng = np.random.default_rng(1)
    m, n, k = (2.0 ** rng.integers(low, 14, rows) for low in (0, 9, 9))
    acc = using(accelerator("h100_sxm"), "gemm", "bf16", parameters)
    return KernelTable(
        "h100_sxm", "vllm", "", "gemm", "bf16", {"m": m, "n": n, "k": k}, matmul_time(acc, m, n, k), "w2t"
    )


def test_a_fit_reproduces_what_the_model_made():
    truth = {name: start for name, (_, start, _) in SEARCH["gemm"].items()} | {
        "floor": 7e-6,
        "compute": 0.6,
        "memory": 0.7,
        "sustained": 0.8,
    }
    fitted = fit_tables([synthetic(truth)], rows=300, evaluations=2500)
    assert fitted.error < 0.04
    assert fitted.held_out > 100
    assert fitted.parameters["floor"] == pytest.approx(7e-6, rel=0.15)
    assert fitted.low < 0 < fitted.high or fitted.error < 0.01


def test_halves_share_no_shape():
    table = synthetic({name: start for name, (_, start, _) in SEARCH["gemm"].items()})
    fitted, held = table.halves()
    pairs = [{(n, k) for n, k in zip(t.columns["n"], t.columns["k"], strict=True)} for t in (fitted, held)]
    assert pairs[0].isdisjoint(pairs[1])
    assert len(fitted) + len(held) == len(table)


def test_search_stays_within_bounds_and_repeats_itself():
    space = {"a": (0.0, 1.0, 2.0), "b": (-3.0, 0.1, -0.5 + 1.0)}
    found = search(lambda p: (p["a"] - 5) ** 2 + (p["b"] + 1) ** 2, space, 2000)
    assert found["a"] == pytest.approx(2.0, abs=0.01)
    assert found["b"] == pytest.approx(-1.0, abs=0.05)
    assert found == search(lambda p: (p["a"] - 5) ** 2 + (p["b"] + 1) ** 2, space, 2000)


def test_quantiles_give_each_table_the_same_weight():
    spread = quantiles_80([np.full(1000, -1.0), np.full(10, 1.0)])
    assert spread == (-1.0, 1.0)


def test_cards_that_are_written_load(tmp_path):
    result = Fitted("gemm", "bf16", {k: v[1] for k, v in SEARCH["gemm"].items()}, 100, 50, 0.07, -0.1, 0.12, 0.03)
    draft = CardDraft(
        "x_gemm", 'a "quoted" name', "chip", "h100_sxm", "vllm", result, ["w2t"], date(2026, 1, 2), True, "note"
    )
    file = write(tmp_path, "cards", [draft], "written by a test")
    (card,) = parse(file.read_text(), "calibration", file.name)
    assert card.name == 'a "quoted" name'
    assert float(card.times["floor"]) == 3e-6
    assert math.isclose(float(card.fit.low), -0.1)


def test_the_whole_pipeline_on_a_small_table(tmp_path):
    truth = {name: start for name, (_, start, _) in SEARCH["gemm"].items()} | {"floor": 2e-5, "compute": 0.62}
    table = synthetic(truth, 40)
    rows = ["chip,dtype,op,m,n,k,latency_us,software,quality_flag"]
    rows += [
        f"Ascend 910B2,fp16,gemm,{m:g},{n:g},{k:g},{s * 3e6:.4f},CANN,{'suspect' if i == 0 else ''}"
        for i, (m, n, k, s) in enumerate(zip(*table.columns.values(), table.seconds, strict=True))
    ]
    source = tmp_path / "gemm.csv"
    source.write_text("\n".join(rows))
    done = calibrate(out=str(tmp_path / "cards"), points=[str(source)], as_of=date(2026, 1, 2))
    assert len(done.files) == 2
    (card,) = parse((tmp_path / "cards" / "kernels_gemm.toml").read_text(), "calibration", "kernels_gemm.toml")
    assert card.fit.points == 39, "the flagged row stays out"
    assert card.target == "ascend_910b2"


def test_nothing_to_calibrate_from_is_an_error():
    with pytest.raises(InputError, match="nothing to calibrate"):
        calibrate()
    with pytest.raises(InputError, match="CHIP=FILE"):
        calibrate(vidur=["mlp.csv"])
    with pytest.raises(InputError, match="no aiconfigurator tables"):
        calibrate(aiconfigurator="/nowhere")


def test_vidur_profiles_are_read(tmp_path):
    file = tmp_path / "mlp.csv"
    file.write_text(
        "n_head,n_kv_head,n_embd,n_expanded_embd,num_tensor_parallel_workers,use_gated_mlp,num_tokens,time_stats.attn_pre_proj.median,"
        "time_stats.mlp_down_proj.median\n32,8,4096,14336,2,True,64,0.02,0.03\n"
    )
    table = read_vidur(file, "a100_sxm_80")
    assert table.columns["n"].tolist() == [(32 + 16) / 2 * 128, 4096]
    assert table.columns["k"].tolist() == [4096, 7168]
    assert table.seconds.tolist() == pytest.approx([2e-5, 3e-5])


def test_vidur_streams_are_read_by_the_bytes_they_move(tmp_path):
    file = tmp_path / "mlp.csv"
    names = ("emb", "input_layernorm", "attn_rope", "mlp_act", "add")
    file.write_text(
        "n_head,n_kv_head,n_embd,n_expanded_embd,num_tensor_parallel_workers,use_gated_mlp,num_tokens,"
        + ",".join(f"time_stats.{n}.median" for n in names)
        + "\n64,8,8192,28672,1,True,4096,0.247,0.124,0.1,0.361,0.062\n"
    )
    table = read_vidur_streams(file, "h100_sxm")
    tokens = 4096 * 2
    assert table.columns["bytes"].tolist() == [tokens * n for n in (2 * 8192, 2 * 8192, 2 * 72 * 128, 3 * 28672, 3 * 8192)]
    reached = table.columns["bytes"] / table.seconds
    assert (reached < 3.35e12).all()
    (tmp_path / "empty.csv").write_text("num_tokens\n1\n")
    assert read_vidur_streams(tmp_path / "empty.csv", "h100_sxm") is None


def test_msmodeling_tables_are_read_and_pointers_are_not(tmp_path):
    file = tmp_path / "MatMulV2.csv"
    file.write_text('Input Shapes,Output Shapes,Duration(us)\n"128,4096;4096,1024","128,1024",31.5\n')
    (table,) = read_msmodeling(tmp_path)
    assert (table.per, table.dtype) == ("die", "bf16")
    assert [table.columns[c][0] for c in ("m", "n", "k")] == [128, 1024, 4096]
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(InputError, match="git lfs pull"):
        list(read_msmodeling(tmp_path))


def test_experts_of_the_package_are_read_whole_and_balanced(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    rows = [
        # release, type, source, distribution, expert-parallel ranks, latency
        ("0.24.0", "fp8_block", "triton", "balanced", 1, 0.2),
        ("0.24.0", "fp8", "cutlass", "balanced", 1, 0.3),
        ("0.24.0", "bfloat16", "triton_nongated", "balanced", 1, 0.4),
        ("0.24.0", "nvfp4", "min_latency", "balanced", 1, 0.5),
        ("0.19.0", "bfloat16", "triton", "balanced", 1, 0.6),
        ("0.19.0", "bfloat16", "triton", "balanced", 8, 0.7),
        ("0.19.0", "bfloat16", "triton", "power_law_1.2", 1, 0.8),
    ]
    for release in ("0.19.0", "0.24.0"):
        folder = tmp_path / "h100_sxm" / "moe" / "vllm" / release
        folder.mkdir(parents=True)
        own = [r for r in rows if r[0] == release]
        names = ("moe_dtype", "kernel_source", "distribution", "moe_ep_size", "latency")
        table = {n: [r[i + 1] for r in own] for i, n in enumerate(names)}
        shape = {"num_tokens": 64, "hidden_size": 4096, "inter_size": 1536, "topk": 8, "num_experts": 128, "moe_tp_size": 2}
        parquet.write_table(pa.table(table | {k: [v] * len(own) for k, v in shape.items()}), folder / "moe_perf.parquet")
    tables = {t.dtype: t for t in read_package(tmp_path, experts=True)}
    assert {d: t.seconds.tolist() for d, t in tables.items()} == {"fp8": pytest.approx([2e-4]), "bf16": pytest.approx([6e-4])}
    one = tables["fp8"]
    assert one.cast
    assert {k: v[0] for k, v in one.columns.items()} == {
        "tokens_per_expert": 4, "experts": 128, "n": 1536, "k": 4096, "down_k": 768, "copies": 1,
    }  # fmt: skip
