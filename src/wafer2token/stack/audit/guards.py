"""The conditions around a place in the code: optional imports, device tests, branches that already serve the NPU."""

from __future__ import annotations

import ast
import re

OPTIONAL = "optional import"
CUDA_ONLY = "under a CUDA test"
NOT_CUDA = "where CUDA is absent"
NPU_BRANCH = "beside an NPU branch"
OTHER_ACCELERATOR = "for another accelerator"
TYPING = "type checking only"
LAZY = "inside a function"
EXTRA = "optional extra"

_CUDA = re.compile(r"cuda|is_gpu|has_gpu|nccl|is_rocm|is_hip|flash_attn|xformers|triton|nvidia", re.IGNORECASE)
_NPU = re.compile(r"(?<![a-z])npu|_npu|ascend|hccl|privateuse", re.IGNORECASE)
_OTHER = re.compile(
    r"is_(torch_)?(xpu|mps|tpu|mlu|xla|hpu|musa|neuron|hip|rocm)|\b(xpu|mps|tpu|mlu|hpu|musa)\b", re.IGNORECASE
)
_PRESENT = re.compile(r"is_\w+_(available|installed|found|greater_or_equal\w*)\b|find_spec|\bHAS_\w+|\b_?has_[a-z]\w+")
_DEVICE = re.compile(
    r"is_(torch_)?(cuda|gpu|xpu|mps|tpu|mlu|xla|hpu|musa|neuron\w*|hip|rocm|nccl)_|has_cuda|has_gpu|torch cuda"
)
_NEUTRAL = re.compile(r"torch\.accelerator|current_accelerator|device_module")
_IMPORT_ERRORS = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException", "RuntimeError", "OSError"}


def words(node: ast.AST) -> str:
    """The identifiers and strings of an expression, for tests on what it speaks of."""
    found: list[str] = []
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            found.append(part.id)
        elif isinstance(part, ast.Attribute):
            found.append(part.attr)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            found.append(part.value)
    return " ".join(found)


def speaks_of_npu(text: str) -> bool:
    """Whether a text names the NPU, Ascend, HCCL or a device-neutral accelerator API."""
    return bool(_NPU.search(text) or _NEUTRAL.search(text))


def of_test(test: ast.expr) -> tuple[frozenset[str], frozenset[str]]:
    """The guards that a condition puts on its body and on its else branch."""
    text = words(test)
    if "TYPE_CHECKING" in text:
        return frozenset({TYPING}), frozenset()
    negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    if speaks_of_npu(text):
        return frozenset({NPU_BRANCH}), frozenset({NPU_BRANCH})
    if _PRESENT.search(text) and not _DEVICE.search(text):
        body, other = frozenset({OPTIONAL}), frozenset[str]()
        return (other, body) if negated else (body, other)
    if _CUDA.search(text):
        body, other = frozenset({CUDA_ONLY}), frozenset({NOT_CUDA})
        return (other, body) if negated else (body, other)
    if _OTHER.search(text):
        body, other = frozenset({OTHER_ACCELERATOR}), frozenset[str]()
        return (other, body) if negated else (body, other)
    return frozenset(), frozenset()


def chain_knows_npu(node: ast.If) -> bool:
    """Whether any condition of an if/elif chain speaks of the NPU."""
    link: ast.stmt | None = node
    while isinstance(link, ast.If):
        if speaks_of_npu(words(link.test)):
            return True
        link = link.orelse[0] if len(link.orelse) == 1 else None
    return False


def catches_imports(node: ast.Try) -> bool:
    """Whether a try statement lets an import fail."""
    for handler in node.handlers:
        if handler.type is None:
            return True
        if set(words(handler.type).split()) & _IMPORT_ERRORS:
            return True
    return False
