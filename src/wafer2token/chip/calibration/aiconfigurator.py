"""The measurement tables of aiconfigurator (PyPI ``aiconfigurator-core``, Apache-2.0) as kernel tables.

The package is read where it is installed or unpacked; nothing of it is shipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import get
from wafer2token.chip.calibration.tables import KernelTable
from wafer2token.chip.calibration.warm import cold
from wafer2token.chip.formats import stored_bytes
from wafer2token.evidence.errors import InputError, Problem

Array = npt.NDArray[np.float64]

SOURCE = "aiconfigurator_core"
CHIPS = {
    "a100_sxm": "a100_sxm_80", "h100_sxm": "h100_sxm", "h200_sxm": "h200_sxm", "b200_sxm": "b200_sxm",
    "b300_sxm": "b300_sxm", "gb200": "gb200", "gb300": "gb300", "l40s": "l40s",
    "rtx_pro_6000_server": "rtx_pro_6000_server",
}  # fmt: skip
"""Folder of the package -> chip id."""
SHORTEST_PREFILL = 16
"""Prompts below this run as decode; their rows say nothing of prefill kernels."""
WIDEST_HEAD = 256
"""Head sizes above this have kernels of their own, which no model here uses outside latent attention."""
INDEX_HEADS = {"glm5": 32.0, "dsv4_paged": 64.0}
"""Heads of the sparse index of the models in the package's tables (their config.json)."""
INDEX_HEAD = 128.0
_LIBRARIES = ("flashinfer",)
DTYPES = {"bfloat16": "bf16", "float16": "fp16", "half": "fp16", "fp8": "fp8", "nvfp4": "fp4", "int8": "int8"}
"""The package's data types that mean the same here; the others (block-scaled, weight-only) are left out."""


_EXPERT_DTYPES = {"bfloat16": "bf16", "fp8_block": "fp8", "fp8": "fp8", "nvfp4": "fp4"}
"""The package's data types of mixtures of experts, the better one first where two mean the same."""


def package_data(where: str | None = None) -> Path:
    """The folder ``systems/data`` of the package, installed or at ``where`` (package, wheel contents or data folder).

    Raises:
        InputError: not there.
    """
    if where is None:
        from importlib.util import find_spec

        spec = find_spec("aiconfigurator_core")
        roots = [Path(spec.origin).parent] if spec and spec.origin else []
    else:
        roots = [Path(where), Path(where) / "aiconfigurator_core"]
    for root in roots:
        for folder in (root / "systems" / "data", root):
            if any((folder / name / "gemm").is_dir() for name in CHIPS):
                return folder
    raise InputError(
        Problem("no aiconfigurator tables", got=where, remedy="pip install aiconfigurator-core, or name its folder")
    )


def read(folder: Path, experts: bool = False) -> Iterator[KernelTable]:
    """Every table that the model can express, newest version of each stack.

    Args:
        folder: of the package's data.
        experts: also the fused mixtures of experts of inference engines; their kernels are far slower than the grouped
            products of training libraries, which stand in for them otherwise.
    """
    for name, chip in CHIPS.items():
        for family, reader in _READERS.items():
            if family == "moe" and not experts:
                continue
            for stack_folder in sorted((folder / name / family).glob("*")):
                versions = sorted({f.parent for f in stack_folder.glob("*/*.parquet")}, key=_version)
                if versions and stack_folder.name in ("vllm", "trtllm", "sglang"):
                    yield from (rows for t in reader(chip, stack_folder.name, versions[-1]) if len(rows := cold(t)))


def _version(folder: Path) -> tuple[int, ...]:
    digits = "".join(c if c.isdigit() else " " for c in folder.name)
    return tuple(int(d) for d in digits.split())


def _columns(file: Path) -> dict[str, npt.NDArray[Any]]:
    import pyarrow.parquet as parquet

    if not file.is_file():
        return {}
    table = parquet.read_table(file)
    out = {c: table[c].to_numpy(zero_copy_only=False) for c in table.column_names}
    device = out.get("device")
    keep = out["latency"].astype(float) > 0
    if device is not None and "b300_sxm" in str(file):
        keep &= np.array(["GB300" not in str(d) for d in device])
    return {c: v[keep] for c, v in out.items()}


def _floats(
    data: Mapping[str, npt.NDArray[Any]], names: Mapping[str, str], keep: npt.NDArray[np.bool_]
) -> dict[str, Array]:
    return {ours: data[theirs][keep].astype(float) for ours, theirs in names.items()}


def _gemm(chip: str, stack: str, folder: Path) -> Iterator[KernelTable]:
    data = _columns(folder / "gemm_perf.parquet")
    if not data:
        return
    valid = (data["m"].astype(float) > 0) & (data["n"].astype(float) > 0) & (data["k"].astype(float) > 0)
    for theirs, dtype in DTYPES.items():
        keep = valid & (data["gemm_dtype"] == theirs)
        if keep.any():
            columns = _floats(data, {"m": "m", "n": "n", "k": "k"}, keep)
            columns["copies"] = weight_copies(chip, stack, dtype, columns["n"] * columns["k"])
            narrow = stored_bytes(dtype) < 2.0
            yield KernelTable(
                chip, stack, folder.name, "gemm", dtype, columns, _seconds(data, keep), SOURCE, cast=narrow
            )


def weight_copies(chip: str, stack: str, dtype: str, elements: Array) -> Array:
    """Copies of the weights that the package's benchmark of a product cycles through, as its collectors say.

    TensorRT-LLM: as many as exceed the last-level cache, five at most; vLLM: one for fp4, else six; SGLang: six.
    Capacities that are printed in MB are units of 2**20 bytes.
    """
    if stack == "trtllm":
        cache = float(get("chip", chip).l2 or 0.0) / 1e6 * 2**20
        return np.clip(np.ceil(cache / (elements * stored_bytes(dtype))), 1.0, 5.0)
    return np.full(len(elements), 1.0 if (stack, dtype) == ("vllm", "fp4") else 6.0)


def _seconds(data: Mapping[str, npt.NDArray[Any]], keep: npt.NDArray[np.bool_]) -> Array:
    return np.asarray(data["latency"][keep].astype(float) * 1e-3)


def _attention(chip: str, stack: str, folder: Path) -> Iterator[KernelTable]:
    """Attention of grouped heads, a table per arithmetic, cache and kernel.

    Where a stack uses several kernels, the one with most rows speaks for it; the rows of the others are those of the
    kernel's own library (`_LIBRARIES`), whichever stack called it; portable Triton kernels stay out.
    """
    for family, file in (("attention_prefill", "context"), ("attention_decode", "generation")):
        data = _columns(folder / f"{file}_attention_perf.parquet")
        if not data:
            continue
        sane = data["head_dim"].astype(float) <= WIDEST_HEAD
        if family == "attention_prefill":
            sane &= data["isl"].astype(float) >= SHORTEST_PREFILL
        kernels = np.array([str(k) for k in data["kernel_source"]])
        names, counts = np.unique(kernels, return_counts=True)
        library = {n: stack if n == names[counts.argmax()] else _library(str(n), stack) for n in names}
        for theirs, dtype in (("bfloat16", "bf16"), ("fp8", "fp8")):
            for cache_theirs, cache in (("bfloat16", "bf16"), ("fp8", "fp8")):
                keep = sane & (data["attn_dtype"] == theirs) & (data["kv_cache_dtype"] == cache_theirs)
                for name in np.unique(kernels[keep]):
                    rows = keep & (kernels == name)
                    if library[name]:
                        yield _attention_table(chip, library[name], folder.name, family, data, rows, dtype, cache)


def _library(kernel: str, stack: str) -> str:
    """The library that a kernel belongs to, as a stack; the stack itself where the kernel is one of its own."""
    found = next((name for name in _LIBRARIES if name in kernel), "")
    return found if found else stack if kernel.startswith("torch_flow") else ""


def _attention_table(
    chip: str, stack: str, version: str, family: str, data: Mapping[str, npt.NDArray[Any]],
    keep: npt.NDArray[np.bool_], dtype: str, cache: str,
) -> KernelTable:  # fmt: skip
    raw = _floats(data, {"batch": "batch_size", "isl": "isl", "heads": "num_heads", "kv_heads": "num_key_value_heads", "dim": "head_dim", "step": "step"}, keep)  # fmt: skip
    window = data["window_size"][keep].astype(float) if "window_size" in data else np.zeros(len(raw["isl"]))
    columns = {
        "batch": raw["batch"],
        "q_len": raw["isl"],
        "kv_len": raw["isl"] + raw["step"],
        "heads": raw["heads"],
        "kv_heads": np.where(raw["kv_heads"] > 0, raw["kv_heads"], raw["heads"]),
        "qk_dim": raw["dim"],
        "v_dim": raw["dim"],
        "window": window,
    }
    return KernelTable(
        chip, stack, version, family, dtype, columns, _seconds(data, keep), SOURCE,
        kv_dtype=cache if cache != dtype else "",
    )  # fmt: skip


def _quantise(chip: str, stack: str, folder: Path) -> Iterator[KernelTable]:
    data = _columns(folder / "scale_matrix_perf.parquet")
    if data:
        elements = data["m"].astype(float) * data["k"].astype(float)
        keep = elements > 0
        yield KernelTable(
            chip, stack, folder.name, "quantise", "", {"elements": elements[keep]}, _seconds(data, keep), SOURCE
        )


def _latent(chip: str, stack: str, folder: Path) -> Iterator[KernelTable]:
    """DeepSeek's latent attention: prefill with keys and values of every head, decode on the latents themselves."""
    for family, file in (("mla_prefill", "context_mla"), ("mla_decode", "generation_mla")):
        data = _columns(folder / f"{file}_perf.parquet")
        if not data:
            continue
        decode = family == "mla_decode"
        for cache_theirs, cache in (("bfloat16", ""), ("fp8", "fp8")):
            keep = (data["mla_dtype"] == "bfloat16") & (data["kv_cache_dtype"] == cache_theirs)
            if not decode:
                keep &= data["isl"].astype(float) >= SHORTEST_PREFILL
            raw = _floats(data, {"batch": "batch_size", "isl": "isl", "heads": "num_heads", "step": "step"}, keep)
            even = np.ones(len(raw["isl"]))
            columns = {
                "batch": raw["batch"], "q_len": raw["isl"], "kv_len": raw["isl"] + raw["step"], "heads": raw["heads"],
                "kv_heads": even if decode else raw["heads"], "qk_dim": even * (576.0 if decode else 192.0),
                "v_dim": even * (512.0 if decode else 128.0),
            }  # fmt: skip
            if keep.any():
                times = _seconds(data, keep)
                yield KernelTable(chip, stack, folder.name, family, "bf16", columns, times, SOURCE, kv_dtype=cache)


def _recurrent(chip: str, stack: str, folder: Path) -> Iterator[KernelTable]:
    """Gated delta rules: in chunks over prompts, token by token in decoding; their short convolutions stay out."""
    data = _columns(folder / "gdn_perf.parquet")
    if not data:
        return
    kernels = np.array([str(k) for k in data["kernel_source"]])
    for family, phase, kernel in (
        ("linear_prefill", "context", "chunk_"),
        ("linear_decode", "generation", "fused_recurrent"),
    ):
        keep = (data["phase"] == phase) & np.char.startswith(kernels, kernel)
        if family == "linear_prefill":
            keep &= data["seq_len"].astype(float) >= SHORTEST_PREFILL
        if keep.any():
            columns = _floats(data, {"batch": "batch_size", "q_len": "seq_len", "heads": "num_v_heads", "qk_dim": "head_k_dim", "v_dim": "head_v_dim"}, keep)  # fmt: skip
            dtype = "bf16" if family == "linear_prefill" else ""
            yield KernelTable(chip, stack, folder.name, family, dtype, columns, _seconds(data, keep), SOURCE)


def _sparse_index(chip: str, stack: str, folder: Path) -> Iterator[KernelTable]:
    """Scores of a sparse index: of whole prompts (GLM-5) and of the newest tokens over compressed keys (DeepSeek-V4)."""
    for name, heads in INDEX_HEADS.items():
        data = _columns(folder / f"{name}_mqa_logits_module_perf.parquet")
        if not data:
            continue
        keep = data["isl"].astype(float) <= (SHORTEST_PREFILL if "paged" in name else np.inf)
        raw = _floats(data, {"batch": "batch_size", "q_len": "isl", "step": "step", "ratio": "compress_ratio"}, keep)
        even = np.ones(len(raw["batch"]))
        columns = {
            "batch": raw["batch"], "q_len": raw["q_len"], "heads": heads * even, "qk_dim": INDEX_HEAD * even,
            "kv_len": raw["q_len"] + raw["step"], "ratio": raw["ratio"],
        }  # fmt: skip
        yield KernelTable(chip, stack, folder.name, "attention_index", "fp8", columns, _seconds(data, keep), SOURCE)


def _experts(chip: str, stack: str, folder: Path) -> Iterator[KernelTable]:
    """Both products of a balanced mixture of experts in one time (gated: the first is twice as wide).

    The newest release that has a data type speaks for it. Ranks of an expert-parallel group are left out: the package
    gives each of them the tokens of all, which dispatch would have kept away. So are the kernels for least latency,
    which serve few tokens only. Block-scaled fp8 speaks for fp8 where both were measured: models ship in it.
    """
    seen: set[str] = set()
    for release in sorted(folder.parent.iterdir(), key=_version, reverse=True):
        data = _columns(release / "moe_perf.parquet")
        if not data:
            continue
        gated = np.array(["nongated" not in str(k) and "min_latency" not in str(k) for k in data["kernel_source"]])
        whole = gated & (data["distribution"] == "balanced") & (data["moe_ep_size"].astype(int) == 1)
        for theirs, dtype in _EXPERT_DTYPES.items():
            keep = whole & (data["moe_dtype"] == theirs)
            if keep.any() and dtype not in seen:
                seen.add(dtype)
                yield _expert_table(chip, stack, release.name, dtype, data, keep)


def _expert_table(
    chip: str, stack: str, version: str, dtype: str, data: Mapping[str, npt.NDArray[Any]], keep: npt.NDArray[np.bool_]
) -> KernelTable:
    raw = _floats(data, {"tokens": "num_tokens", "hidden": "hidden_size", "inter": "inter_size", "top_k": "topk", "all": "num_experts", "tp": "moe_tp_size"}, keep)  # fmt: skip
    columns = {
        "tokens_per_expert": raw["tokens"] * raw["top_k"] / raw["all"],
        "experts": raw["all"],
        "n": np.maximum(2.0 * raw["inter"] / raw["tp"], 1.0),
        "k": raw["hidden"],
        "down_k": np.maximum(raw["inter"] / raw["tp"], 1.0),
        "copies": np.ones(len(raw["all"])),
    }
    return KernelTable(chip, stack, version, "grouped_gemm", dtype, columns, _seconds(data, keep), SOURCE, cast=True)


_READERS = {
    "gemm": _gemm,
    "attention": _attention,
    "mla": _latent,
    "moe": _experts,
    "quantize": _quantise,
    "linear_attention": _recurrent,
    "sparse_attention": _sparse_index,
}
