"""Attention kernels: units and waves, windows, packed tiles, kernels that take turns, linear attention, sparse indexes."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wafer2token.catalog.calibration_cards import CardDraft, Fitted
from wafer2token.chip import accelerator, attention_decode_time, attention_prefill_time
from wafer2token.chip.attention import DecodeFit, PrefillFit, cache_tiles, prefill_columns
from wafer2token.chip.calibration.decode_kernels import beside_vector, by_kernel, groups_served
from wafer2token.chip.calibration.fitting import fit_tables, predict, using
from wafer2token.chip.calibration.tables import KernelTable
from wafer2token.chip.calibration.warm import cold
from wafer2token.chip.fits import attention_format
from wafer2token.chip.kernels import VECTOR, attention_index_time, linear_attention_time

PREFILL = PrefillFit(1e-5, 2e-6, 0.65, 0.4, 0.3, 1.5, 0.4, 0.1, 0.0, 0.0)
DECODE = DecodeFit(6e-6, 2e-6, 2e-6, 0.0, 1e-7, 0.4, 0.9, 1.5, 3.0, 0.3, 1.5, 30.0, 16.0, 64.0, 1.0, 1024.0)
VECTORS = replace(DECODE, rows=1.0, step=16.0, start=1e-6, share=2.0)
H100 = accelerator("h100_sxm")


def decode_machine(**changes):
    matrix, vector = (
        {k: getattr(f, k) for k in DecodeFit.__dataclass_fields__} for f in (replace(DECODE, **changes), VECTORS)
    )
    return using(using(H100, VECTOR, "bf16", vector), "attention_decode", "bf16", matrix)


def test_a_window_reads_one_step_more_than_it_holds_and_never_more_than_there_is():
    tiles = cache_tiles(DECODE, np.array([32.0, 128.0, 300.0, 10000.0]), np.array(128.0))
    assert tiles.tolist() == [1, 2, 3, 3]
    assert cache_tiles(DECODE, np.array(10000.0), np.array(np.inf)) == np.ceil(10000 / 64)


def test_columns_of_packed_tiles_are_those_of_smaller_tiles():
    whole, longest = prefill_columns(np.array(512.0), np.array(512.0), np.array(np.inf), True, np.array(128.0), 0.0)
    assert (whole, longest) == (128 * (1 + 2 + 3 + 4), 512)
    packed, _ = prefill_columns(np.array(512.0), np.array(512.0), np.array(np.inf), True, np.array(32.0), 0.0)
    assert packed / 4 == pytest.approx(512 / 128 * (512 + 32) / 2)


def test_packing_pays_where_prompts_are_shorter_than_a_tile():
    shape = (64, 16, 16, 32, 4, 128, 128)
    alone, packed = (
        attention_prefill_time(using(H100, "attention_prefill", "bf16", vars(replace(PREFILL, packing=p))), *shape)
        for p in (0.0, 1.0)
    )
    assert packed < 0.6 * alone


def test_groups_beyond_the_matrix_kernel_run_on_the_vector_kernel():
    limited, free = decode_machine(group_least=2.0, group_most=32.0), decode_machine()
    inside, outside = (128, 8192, 32, 8, 128, 128), (128, 8192, 64, 1, 128, 128)
    assert attention_decode_time(limited, *inside) == attention_decode_time(free, *inside)
    assert attention_decode_time(limited, *outside) > 2 * attention_decode_time(free, *outside)
    single = (1, 64, 8, 8, 128, 128)
    assert attention_decode_time(limited, *single) != attention_decode_time(free, *single)


def test_arrays_across_the_switch_agree_with_scalars():
    limited = decode_machine(group_least=2.0, group_most=32.0)
    heads = np.array([8, 16, 256, 512])
    table = attention_decode_time(limited, 32, 4096, heads, 8, 128, 128)
    alone = [float(attention_decode_time(limited, 32, 4096, int(h), 8, 128, 128)) for h in heads]
    assert table.tolist() == pytest.approx(alone, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(batch=st.integers(1, 512), kv=st.integers(1, 65536), group=st.integers(1, 64), kv_heads=st.integers(1, 16),
       spread=st.floats(1, 8), quantisation=st.floats(0, 1), more=st.integers(0, 4096))  # fmt: skip
def test_more_sequences_or_tokens_are_never_faster_whatever_the_parameters(
    batch, kv, group, kv_heads, spread, quantisation, more
):
    acc = decode_machine(group_least=2.0, group_most=32.0, spread=spread, quantisation=quantisation)
    base = attention_decode_time(acc, batch, kv, group * kv_heads, kv_heads, 128, 128) * (1 - 1e-12)
    assert attention_decode_time(acc, batch + 1, kv, group * kv_heads, kv_heads, 128, 128) >= base
    assert attention_decode_time(acc, batch, kv + more, group * kv_heads, kv_heads, 128, 128) >= base


def test_the_format_of_attention_names_a_narrower_cache():
    assert attention_format("bf16", "bf16") == "bf16"
    assert attention_format("fp16", "bf16") == "fp16"
    assert attention_format("bf16", "fp8") == "bf16_fp8"
    assert attention_format("fp8", "fp8") == "fp8"
    assert H100.fit("attention_decode", "bf16_fp8").dtype == "bf16_fp8"
    assert H100.fit("attention_decode", "fp16_int8").dtype == "bf16_fp8"


def decode_table(acc, groups, chip="h100_sxm", stack="trtllm"):
    rng = np.random.default_rng(0)
    kv_heads = 2.0 ** rng.integers(0, 4, 900)
    columns = {
        "batch": 2.0 ** rng.integers(0, 9, 900), "q_len": np.ones(900), "kv_len": 2.0 ** rng.integers(1, 15, 900),
        "heads": kv_heads * rng.choice(groups, 900), "kv_heads": kv_heads, "qk_dim": np.full(900, 128.0),
        "v_dim": np.full(900, 128.0), "window": np.zeros(900),
    }  # fmt: skip
    empty = KernelTable(chip, stack, "", "attention_decode", "bf16", columns, np.ones(900), "w2t")
    return replace(empty, seconds=predict(acc, empty))


def test_the_rows_tell_which_kernel_serves_single_heads():
    table = decode_table(decode_machine(group_least=2.0, group_most=32.0), [1.0, 4.0, 16.0, 64.0])
    matrix, vector = by_kernel(table)
    assert groups_served([matrix]) == {"group_least": 4.0, "group_most": 16.0}
    assert set(vector.columns["heads"] / vector.columns["kv_heads"]) == {1.0, 64.0}
    assert by_kernel(replace(table, stack="vllm"))[0] is not None
    fitted = fit_tables([vector], rows=300, evaluations=1500)
    assert fitted.error < 0.15
    draft = CardDraft("v", "v", "chip", "h100_sxm", "trtllm", replace(fitted, dtype="bf16"), ["w2t"], date(2026, 1, 1))
    assert beside_vector([draft])(matrix).fit(VECTOR, "bf16").values.rows == 1.0
    assert isinstance(fitted, Fitted)


def test_rows_that_a_cache_held_are_told_apart_by_size():
    table = replace(decode_table(decode_machine(), [4.0], chip="l40s"), stack="vllm")
    c = table.columns
    size = c["batch"] * c["kv_heads"] * c["kv_len"] * 256 * 2
    kept = cold(table)
    left = kept.columns["batch"] * kept.columns["kv_heads"] * kept.columns["kv_len"] * 256 * 2
    assert len(kept) < len(table)
    assert not ((left > 20e6) & (left < 100e6)).any()
    assert (size > 200e6).sum() == (left > 200e6).sum()


@settings(max_examples=40, deadline=None)
@given(batch=st.integers(1, 64), q=st.integers(1, 8192), past=st.integers(0, 65536), more=st.integers(0, 4096))
def test_scores_of_a_sparse_index_keep_the_laws(batch, q, past, more):
    base = float(attention_index_time(H100, batch, q, q + past, 64, 128))
    assert attention_index_time(H100, batch, q, q + past + more, 64, 128) >= base * (1 - 1e-12)
    assert attention_index_time(H100, batch + 1, q, q + past, 64, 128) >= base
    assert 2.0 * batch * q * (past + (q + 1) / 2) * 64 * 128 / base <= H100.peak("fp8")


@settings(max_examples=40, deadline=None)
@given(batch=st.integers(1, 256), q=st.integers(1, 16384), heads=st.integers(1, 64), more=st.integers(0, 4096))
def test_linear_attention_keeps_the_laws_and_grows_with_its_tokens_only(batch, q, heads, more):
    base = float(linear_attention_time(H100, batch, q, heads, 128, 128))
    assert linear_attention_time(H100, batch, q + more, heads, 128, 128) >= base * (1 - 1e-12)
    assert linear_attention_time(H100, batch + 1, q, heads, 128, 128) >= base * (1 - 1e-12)
    assert 8.0 * batch * heads * 128 * 128 / base <= H100.hbm_bytes_per_s
    assert 7.0 * batch * q * heads * 128 * 128 / base <= H100.peak("bf16")
