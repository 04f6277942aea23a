"""The operators of a step, recorded with torch's fake tensors: no memory, no device, no weights."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wafer2token.evidence.errors import InputError, Problem
from wafer2token.stack.audit.trace import Call

_NAMESPACES = {"prim", "profiler", "prims"}
_PRODUCTS = {"mm", "bmm", "addmm", "baddbmm"}


@dataclass
class Recorded:
    """The calls of a step in order, the phases that were completed and, where one failed, why."""

    torch: str
    calls: list[Call] = field(default_factory=list)
    phases: tuple[str, ...] = ()
    problem: str = ""


def record(what: str, root: Path, batch: int, seq_len: int, train: bool) -> Recorded:
    """Builds a module on fake tensors and records forward, loss, backward and an AdamW step.

    Raises InputError where torch is not installed or ``what`` names nothing; whatever the module itself raises ends the
    recording and is told in ``problem``.
    """
    try:
        import torch
        from torch._subclasses.fake_tensor import FakeTensorMode
    except ImportError as error:
        remedy = "pip install 'wafer2token[trace]'"
        raise InputError(Problem("tracing needs torch, which is not installed", "--trace", remedy=remedy)) from error
    recorded = Recorded(str(torch.__version__))
    build = _builder(what, root, batch, seq_len)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), _npu_attention():
            module, inputs = build()
            for phase, run in _phases(module, inputs, train):
                with _recorder(recorded.calls):
                    run()
                recorded.phases = (*recorded.phases, phase)
    except Exception as error:
        recorded.problem = f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
    return recorded


def _phases(module: Any, inputs: Any, train: bool) -> Iterator[tuple[str, Callable[[], None]]]:
    """Forward, backward and optimizer as steps to run one after the other."""
    import torch

    outcome: list[Any] = []

    def forward() -> None:
        outcome.append(module(**inputs) if isinstance(inputs, dict) else module(*inputs))

    yield "forward", forward
    if not train or not any(p.requires_grad for p in module.parameters()):
        return
    yield "backward", lambda: _scalar(outcome[0]).backward()
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], foreach=True)
    optimizer.step()  # the first step also makes the state; the recorded one is like all later ones
    yield "optimizer", lambda: optimizer.step()


def _scalar(outcome: Any) -> Any:
    """The loss of an outcome, or the sum of its first floating tensor."""
    loss = getattr(outcome, "loss", None)
    if loss is not None:
        return loss
    tensors = outcome if isinstance(outcome, (tuple, list)) else [outcome]
    if hasattr(outcome, "to_tuple"):
        tensors = outcome.to_tuple()
    return next(t for t in tensors if hasattr(t, "is_floating_point") and t.is_floating_point()).float().sum()


def _builder(what: str, root: Path, batch: int, seq_len: int) -> Callable[[], tuple[Any, Any]]:
    """A function that builds the module and its inputs, called inside the fake mode."""
    for path in (Path(what), root / what):
        file = path / "config.json" if path.is_dir() else path
        if file.suffix == ".json" and file.is_file():
            return lambda: _from_config(file, batch, seq_len)
    module_name, colon, factory = what.partition(":")
    if not colon:
        allowed = "a config.json, a folder that holds one, or module:factory"
        raise InputError(Problem("nothing to trace by this name", "--trace", got=what, allowed=allowed))
    return lambda: _from_factory(module_name, factory, root)


def _from_config(file: Path, batch: int, seq_len: int) -> tuple[Any, Any]:
    """A causal language model of a Hugging Face configuration in bfloat16, with tokens and labels; never the network."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    document = json.loads(file.read_text(encoding="utf-8"))
    document.pop("quantization_config", None)
    document.pop("auto_map", None)
    kind = document.pop("model_type")
    config = AutoConfig.for_model(kind, **document)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        causal = type(config) in AutoModelForCausalLM._model_mapping
        maker = AutoModelForCausalLM if causal else AutoModel
        module = maker.from_config(config, attn_implementation="sdpa")
    finally:
        torch.set_default_dtype(before)
    module.train()
    tokens = torch.zeros(batch, seq_len, dtype=torch.long)
    inputs = {"input_ids": tokens, **({"labels": tokens} if causal else {})}
    if hasattr(config, "use_cache"):
        inputs["use_cache"] = False
    return module, inputs


def _from_factory(module_name: str, factory: str, root: Path) -> tuple[Any, Any]:
    sys.path.insert(0, str(root))
    try:
        made = getattr(importlib.import_module(module_name), factory)()
    finally:
        sys.path.remove(str(root))
    module, inputs = made
    return module, inputs if isinstance(inputs, (dict, tuple, list)) else (inputs,)


@contextmanager
def _npu_attention() -> Iterator[None]:
    """Sends scaled_dot_product_attention where a PrivateUse1 device sends it, not to the CPU's own kernel."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention
    from torch.overrides import TorchFunctionMode

    class Attention(TorchFunctionMode):  # type: ignore[misc,unused-ignore]
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if func is not scaled_dot_product_attention:
                return func(*args, **kwargs)
            return _attention(torch, *args, **kwargs)

    with Attention():
        yield


def _attention(torch: Any, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
               is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False) -> Any:  # fmt: skip
    if enable_gqa and query.shape[-3] != key.shape[-3]:
        groups = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros(attn_mask.shape, dtype=query.dtype).masked_fill(attn_mask.logical_not(), float("-inf"))
    operator = torch.ops.aten._scaled_dot_product_fused_attention_overrideable
    return operator(query, key, value, attn_mask, dropout_p, is_causal, scale=scale)[0]


@contextmanager
def _recorder(calls: list[Call]) -> Iterator[None]:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Recorder(TorchDispatchMode):  # type: ignore[misc,unused-ignore]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            out = func(*args, **kwargs)
            if func.namespace not in _NAMESPACES:
                calls.append(_call(func, args, kwargs, out))
            return out

    with Recorder():
        yield


def _call(func: Any, args: Any, kwargs: Any, out: Any) -> Call:
    import torch
    from torch.utils._pytree import tree_flatten

    inputs = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, torch.Tensor)]
    outputs = [t for t in tree_flatten(out)[0] if isinstance(t, torch.Tensor)]
    view = _is_view(func)
    moved = 0.0 if view else float(sum(t.numel() * t.element_size() for t in [*inputs, *outputs]))
    dtypes = tuple(sorted({str(t.dtype).removeprefix("torch.") for t in [*inputs, *outputs]}))
    name = str(func).removeprefix("aten.").removesuffix(".default")
    return Call(name, _flops(func, args, kwargs, out), moved, dtypes, _product(func, args))


def _is_view(func: Any) -> bool:
    """Whether every tensor that the schema returns is a view of an argument that is not written (or as good as one)."""
    if func._overloadpacket.__name__ == "_unsafe_view":
        return True
    returns = [r.alias_info for r in func._schema.returns]
    return bool(returns) and all(alias is not None and not alias.is_write for alias in returns)


def _flops(func: Any, args: Any, kwargs: Any, out: Any) -> float:
    from torch.utils.flop_counter import flop_registry

    packet = func._overloadpacket
    name = packet.__name__
    if name.startswith("_scaled_dot_product_fused_attention_overrideable"):
        first = 1 if name.endswith("backward") else 0
        query, key, value = args[first : first + 3] if first else args[:3]
        pairs = query.shape[0] * query.shape[1] * query.shape[2] * key.shape[2]
        forward = 2.0 * pairs * (query.shape[3] + value.shape[3])
        return float(2.5 * forward if first else forward)
    count = flop_registry.get(packet)
    if count is None:
        return 0.0
    return float(count(*args, **kwargs, out_val=out))


def _product(func: Any, args: Any) -> tuple[int, int, int, int] | None:
    name = func._overloadpacket.__name__
    if name not in _PRODUCTS:
        return None
    left, right = (args[1], args[2]) if "add" in name else (args[0], args[1])
    batch = int(left.shape[0]) if left.dim() == 3 else 1
    return batch, int(left.shape[-2]), int(right.shape[-1]), int(left.shape[-1])
