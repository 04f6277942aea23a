"""Traces on fake tensors, joined with the NPU's support."""

import json
import sys

import pytest

from wafer2token.evidence.errors import InputError
from wafer2token.stack.audit import audit
from wafer2token.stack.audit.target import target
from wafer2token.stack.audit.trace import Call, Trace, fused_gains, join, trace


def cost(call: Call) -> float:
    return call.bytes * 1e-12


def test_a_fallback_is_priced_by_copies_and_host_memory():
    calls = [Call("mm", 2e9, 1e6, ("bfloat16",)), Call("lgamma", 0.0, 31.5e6, ("float32",))]
    rows = {r.name: r for r in join(calls, target(), cost)}
    assert rows["mm"].support == "native"
    assert rows["mm"].seconds == pytest.approx(1e-6)
    assert rows["lgamma"].support == "CPU fallback"
    assert rows["lgamma"].host_seconds == pytest.approx(2 * 31.5e6 / 31.5e9 + 31.5e6 / 204.8e9)
    report = Trace("x", "2", ("forward",), tuple(rows.values()), (), 0.0, "test")
    assert report.share_at_risk == pytest.approx(rows["lgamma"].host_seconds / (rows["lgamma"].host_seconds + 1e-6))


def test_dtypes_outside_the_documented_list_are_told():
    (row,) = join([Call("abs_", 0.0, 8.0, ("float64",))], target(), cost)
    assert row.dtype_gap == ("fp64",)
    assert row.at_risk
    (row,) = join([Call("abs_", 0.0, 8.0, ("bfloat16",))], target(), cost)
    assert not row.dtype_gap


def test_chains_that_one_npu_operator_replaces():
    names = ["pow.Tensor_Scalar", "mean.dim", "add.Tensor", "rsqrt", "mul.Tensor", "mm", "silu", "mm", "mul.Tensor"]
    calls = [Call(n, 0.0, 1e6, ("bfloat16",)) for n in names]
    gains = {g.pattern: g for g in fused_gains(calls, target(), cost)}
    assert gains["RMSNorm"].chains == 1
    assert gains["RMSNorm"].saved_seconds == pytest.approx(4e-6)
    assert gains["SwiGLU"].fused == "npu_swiglu"


def test_a_fused_operator_that_the_wheel_lacks_is_told():
    calls = [Call("silu", 0.0, 1.0, ()), Call("mul.Tensor", 0.0, 1.0, ())]
    (gain,) = fused_gains(calls, target("ascend_910b", "2.1.0"), cost)
    assert (gain.in_target, gain.first_wheel) == (False, "2.1.0.post3")


def test_without_torch_the_trace_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="pip install"):
        trace("config.json", tmp_path, target())


def write_config(folder, **values):
    small = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, **values}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(small))


@pytest.mark.oracle
def test_a_language_model_runs_on_the_npu_but_for_nothing(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    write_config(tmp_path)
    found = trace("config.json", tmp_path, target("ascend_910c", "2.13"), price=cost)
    assert found.problem == ""
    assert found.phases == ("forward", "backward", "optimizer")
    assert {o.support for o in found.operators} <= {"native", "composite", "foreach loop"}
    chains = {f.pattern: f.chains for f in found.fused}
    assert chains["RMSNorm"] == 5
    assert chains["SwiGLU"] == 2
    products = sum(o.flops for o in found.operators if o.name == "mm")
    weights = 2 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128) + 64 * 100
    assert products == pytest.approx(3 * 2 * 512 * weights)


@pytest.mark.oracle
def test_a_module_of_the_project_is_traced(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "mine_traced.py").write_text(
        "import torch\n"
        "class M(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.w = torch.nn.Linear(8, 8)\n"
        "    def forward(self, x):\n        return torch.lgamma(self.w(x).double())\n"
        "def make():\n    return M(), (torch.ones(4, 8),)\n"
        "def stop():\n    return M(), (torch.ones(4, 7),)\n"
        "class Item(M):\n    def forward(self, x):\n        return x * self.w(x).sum().item()\n"
        "def item():\n    return Item(), (torch.ones(4, 8),)\n"
    )
    report = audit(tmp_path, trace="mine_traced:make")
    rows = {o.name: o for o in report.trace.operators}
    assert rows["lgamma"].support == "CPU fallback"
    assert report.trace.share_at_risk > 0.5
    assert "CPU fallback" in report.to_dict()["trace"]["summary"]
    for name in ("stop", "item"):
        assert audit(tmp_path, trace=f"mine_traced:{name}").trace.problem
    with pytest.raises(InputError, match="nothing to trace"):
        audit(tmp_path, trace="nothing")
