"""What a user gets wrong is said plainly."""

import pytest

from wafer2token.chip import accelerator, attention_decode_time, host_overhead, kernel, matmul_time, op_time
from wafer2token.evidence.errors import EvidenceError, InputError


def test_a_data_type_that_the_chip_lacks():
    with pytest.raises(InputError, match="has no fp8.*allowed: .*bf16"):
        matmul_time(accelerator("a100_sxm_80"), 16, 16, 16, "fp8")
    with pytest.raises(InputError, match="has no fp8"):
        matmul_time(accelerator("ascend_910c"), 16, 16, 16, "fp8")


def test_int8_is_never_taken_for_fp8():
    b300 = accelerator("b300_sxm")
    assert b300.peak("int8") < b300.peak("fp8") / 10
    assert matmul_time(b300, 8192, 8192, 8192, "int8") > 5 * matmul_time(b300, 8192, 8192, 8192, "fp8")


@pytest.mark.parametrize("shape", [(0, 16, 16), (16, -1, 16), (16, 16, float("nan"))])
def test_a_shape_of_zero(shape):
    with pytest.raises(InputError, match="zero or less"):
        matmul_time(accelerator("h100_sxm"), *shape)


def test_zero_in_the_middle_of_an_array():
    with pytest.raises(InputError, match="kv_len"):
        attention_decode_time(accelerator("h100_sxm"), 1, [128, 0, 4096], 8, 8, 128, 128)


def test_unknown_names_come_with_the_nearest():
    with pytest.raises(InputError, match="did you mean"):
        accelerator("h100_smx")
    with pytest.raises(InputError, match="unknown stack"):
        matmul_time(accelerator("h100_sxm", stack="vlm"), 1, 1, 1)
    with pytest.raises(InputError, match="unknown mode"):
        host_overhead(accelerator("h100_sxm"), "graf")
    with pytest.raises(InputError, match="unknown number format"):
        matmul_time(accelerator("h100_sxm"), 1, 1, 1, weight_dtype="int3")


def test_a_card_without_bandwidth_cannot_be_timed():
    with pytest.raises(EvidenceError, match="no memory bandwidth"):
        accelerator("hygon_k100_ai")


def test_the_verb_names_every_missing_and_foreign_size_at_once():
    with pytest.raises(InputError) as caught:
        kernel("gemm", "h100_sxm", m=4096, heads=8)
    assert {p.where for p in caught.value.problems} == {"n", "k", "heads"}


def test_an_operator_family_that_nobody_knows():
    class Strange:
        family = "fft"
        args: dict = {}  # noqa: RUF012

    with pytest.raises(InputError, match="unknown operator family"):
        op_time(accelerator("h100_sxm"), Strange())
