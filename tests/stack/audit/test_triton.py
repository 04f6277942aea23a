"""Triton kernels against the limits of an Ascend core; bytes counted by hand."""

import ast
from textwrap import dedent

import pytest

from wafer2token.stack.audit.target import target
from wafer2token.stack.audit.triton_checks import check_kernels, kernel_sites
from wafer2token.stack.audit.triton_shapes import KernelReader, evaluate


def kernel(body: str, parameters: str = "x_ptr, y_ptr, BLOCK: tl.constexpr") -> KernelReader:
    source = f"def k({parameters}):\n" + "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())
    (function,) = ast.parse(source).body
    return KernelReader(function)


def test_one_load_and_one_result_are_alive_together():
    tiles = kernel("""
        offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + offsets, mask=offsets < n)
        y = x * 2.0
        tl.store(y_ptr + offsets, y)
    """).tiles
    # x (2 or 4 bytes) and y (2 to 4 bytes) are both alive where y is made; offsets are indices, not data
    assert tiles.live_bytes({"BLOCK": 1024}) == (1024 * (2 + 2), 1024 * (4 + 4))
    assert tiles.names() == {"BLOCK"}


def test_a_tile_that_is_dead_is_not_counted():
    tiles = kernel("""
        offsets = tl.arange(0, BLOCK)
        a = tl.load(x_ptr + offsets).to(tl.float32)
        s = tl.sum(a, axis=0)
        b = tl.load(y_ptr + offsets).to(tl.float32)
        tl.store(y_ptr + offsets, b * s)
    """).tiles
    assert tiles.live_bytes({"BLOCK": 512}) == (512 * 4, 512 * 4)


def test_a_product_holds_both_operands_and_the_accumulator():
    tiles = kernel(
        """
        rm = tl.arange(0, BM)
        rn = tl.arange(0, BN)
        rk = tl.arange(0, BK)
        acc = tl.zeros((BM, BN), dtype=tl.float32)
        for k in range(0, K, BK):
            a = tl.load(x_ptr + rm[:, None] * K + rk[None, :])
            b = tl.load(y_ptr + rk[:, None] * N + rn[None, :])
            acc += tl.dot(a, b)
        tl.store(y_ptr + rm[:, None] * N + rn[None, :], acc)
    """,
        "x_ptr, y_ptr, K, N, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr",
    ).tiles
    sizes = {"BM": 128, "BN": 64, "BK": 32}
    assert tiles.live_bytes(sizes) == (2 * (128 * 32 + 32 * 64) + 4 * 128 * 64, 4 * (128 * 32 + 32 * 64) + 4 * 128 * 64)


@pytest.mark.parametrize(
    ("text", "value"),
    [("4 * 1024", 4096), ("65536 // 2", 32768), ("triton.cdiv(10, 4)", 3), ("triton.next_power_of_2(1000)", 1024),
     ("min(4096, n)", 4096), ("2048 if fast else 4096", 4096), ("n * 2", None), ("1 << 14", 16384)],
)  # fmt: skip
def test_integers_and_bounds(text, value):
    assert evaluate(ast.parse(text, mode="eval").body, {}) == value


MODULE = """
import triton
import triton.language as tl

MAX = 65536

@triton.jit
def copy(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offsets, mask=offsets < n)
    y = x + 1
    tl.store(y_ptr + offsets, y, mask=offsets < n)

def run(x, y, n):
    BLOCK = {block}
    copy[{grid}](x, y, n, BLOCK=BLOCK)
"""


def found(block: str, grid: str, chip: str = "ascend_910c") -> dict[str, str]:
    tree = ast.parse(MODULE.format(block=block, grid=grid))
    return {s.text: s.detail for s in check_kernels(kernel_sites(tree), target(chip))}


def test_a_tile_beyond_the_buffer_is_certain_or_possible():
    assert "ub" in found("min(MAX, triton.next_power_of_2(n))", "(8,)")
    assert "ub possible" in found("32768", "(8,)")
    assert found("1024", "(8,)") == {}


def test_unknown_block_sizes_give_the_largest_that_fits():
    assert "BLOCK = 16384" in found("pick(n)", "(8,)")["ub symbolic"]


def test_grids():
    assert "grid" in found("1024", "(70000,)")
    assert "grid" in found("1024", "(300, 300)")
    assert "n" in found("1024", "(n,)")["grid possible"]
    assert "triton.cdiv(n, BLOCK)" in found("1024", "lambda meta: (triton.cdiv(n, BLOCK),)")["grid possible"]


def test_a_generation_without_its_own_figure_says_so():
    assert "none was found for 950" in found("65536", "(8,)", "ascend_950dt")["ub"]


def test_configurations_of_the_autotuner_are_tried(audited):
    text = MODULE.replace(
        "@triton.jit",
        "@triton.autotune([triton.Config({{'BLOCK': 1024}}), triton.Config({{'BLOCK': 131072}})], key=[])\n@triton.jit",
    )
    report = audited({"k.py": text.format(block="None", grid="(8,)").replace(", BLOCK=BLOCK", "")})
    assert [f.severity for f in report.findings if f.rule == "E07"] == ["high"]
    assert "BLOCK=131072" in next(f.message for f in report.findings if f.rule == "E07")


def test_a_kernel_with_anything_in_it_is_read(audited):
    text = """
    import triton, triton.language as tl
    @triton.jit
    def odd(p, *, N: tl.constexpr = 16):
        while True:
            a, b = tl.load(p), 3
            c: tl.tensor = a[None, :]
            if a: d = tl.sum(c)
            with tl.x(): pass
            p[0] = c
        return tl.where(a > 0, c, -c)
    def go(): odd[1](0)
    """
    assert "E06" in {f.rule for f in audited({"odd.py": text}).findings}
