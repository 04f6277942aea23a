"""How a model is spread over accelerators and run: the configuration of one serving instance."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from wafer2token.catalog import get
from wafer2token.evidence.errors import InputError, Problem, unknown
from wafer2token.workload import ModelShape, canonical_dtype

from .routing import imbalance, usual_routing

BALANCES = ("given", "none", "eplb")


@dataclass(frozen=True)
class Plan:
    """One serving instance. Ranks are devices as the software counts them: dies of an Ascend package, else chips.

    Attributes:
        tp, pp, dp: tensor and pipeline split of one replica of the attention side; replicas of it in the instance.
        ep: ranks over which the experts are spread whole (1: every expert split ``tp`` ways).
        weights, activations, kv, experts: number formats; experts default to ``weights``.
        drafts: draft tokens per step (MTP, EAGLE); ``accepted`` of them on average.
        imbalance: load of the busiest expert rank over the mean, where ``expert_balance`` is "given".
        expert_balance: "given", or drawn by ``routing``: "none" (experts in order), "eplb" (placed by a balancer).
        redundant_experts: further expert slots of a layer that hold copies of the busiest.
        overlap: two micro-batches, the communication of one beside the computation of the other.
        graph: steps are replayed from captured graphs; False: eager.
        memory_utilisation: share of device memory the engine may fill (``--gpu-memory-utilization``).
    """

    tp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int = 1
    weights: str = "bf16"
    activations: str = ""
    kv: str = ""
    experts: str = ""
    drafts: int = 0
    accepted: float = 0.0
    imbalance: float = 1.0
    expert_balance: str = "given"
    redundant_experts: int = 0
    overlap: bool = False
    graph: bool = True
    memory_utilisation: float = 0.9
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 8192

    @property
    def ranks(self) -> int:
        """Devices of the instance."""
        return self.tp * self.pp * self.dp

    @property
    def expert_tp(self) -> int:
        """Ranks that share one expert: those of the instance that expert parallelism leaves."""
        return max(self.tp * self.dp // self.ep, 1)

    @property
    def tokens_per_step(self) -> float:
        """Output tokens of one sequence in one decode step."""
        return 1.0 + self.accepted

    def imbalance_at(self, shape: ModelShape, tokens: Any, phase: str) -> Any:
        """Load of the busiest expert rank over the mean in steps of ``tokens`` through the layers of the instance.

        A step of the ``phase`` "decode" with more tokens than sequences can decode holds prompts as well.
        """
        if self.expert_balance == "given" or self.ep <= 1 or not shape.is_moe:
            return self.imbalance
        spare = max(self.redundant_experts, self.ep - shape.n_routed_experts, 0)
        of_prompts, decoding = (
            imbalance(usual_routing(self.expert_balance == "eplb", spare, prompts), shape.n_routed_experts, shape.num_experts_per_tok, self.ep).at(tokens)
            for prompts in (True, False)
        )
        most = self.max_num_seqs * (1 + self.drafts)
        return np.where((np.asarray(tokens) > most) | (phase == "prefill"), of_prompts, decoding)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def checked(plan: Plan, shape: ModelShape) -> Plan:
    """The plan with its formats filled in; InputError with all that is wrong with it for this model."""
    wrong = []
    for name in ("tp", "pp", "dp", "ep", "max_num_seqs", "max_num_batched_tokens"):
        if getattr(plan, name) < 1:
            wrong.append(Problem(f"{name} must be at least 1", f"plan.{name}", getattr(plan, name)))
    if not wrong and plan.tp * plan.dp % plan.ep:
        wrong.append(Problem("ep must divide tp x dp", "plan.ep", plan.ep, f"divisors of {plan.tp * plan.dp}"))
    if plan.ep > 1 and not shape.is_moe:
        wrong.append(Problem(f"{shape.id} has no experts", "plan.ep", plan.ep, "1"))
    if plan.tp > shape.num_attention_heads:
        wrong.append(Problem("more tensor-parallel ranks than heads", "plan.tp", plan.tp, f"at most {shape.num_attention_heads}"))
    if plan.pp > shape.num_hidden_layers:
        wrong.append(Problem("more stages than layers", "plan.pp", plan.pp, f"at most {shape.num_hidden_layers}"))
    if not 0.0 <= plan.accepted <= plan.drafts:
        wrong.append(Problem("accepted tokens out of range", "plan.accepted", plan.accepted, f"0 to {plan.drafts}"))
    if not 0.0 < plan.memory_utilisation <= 1.0:
        wrong.append(Problem("memory_utilisation out of range", "plan.memory_utilisation", plan.memory_utilisation, "0 to 1"))
    if plan.imbalance < 1.0:
        wrong.append(Problem("imbalance is the busiest rank over the mean", "plan.imbalance", plan.imbalance, "1 or more"))
    if plan.expert_balance not in BALANCES:
        wrong.append(unknown("expert balance", plan.expert_balance, BALANCES, "plan.expert_balance"))
    if plan.expert_balance != "given" and not shape.is_moe:
        wrong.append(Problem(f"{shape.id} has no experts to balance", "plan.expert_balance", plan.expert_balance, "given"))
    if plan.redundant_experts < 0 or (plan.redundant_experts and plan.ep <= 1):
        wrong.append(Problem("redundant experts need expert parallelism", "plan.redundant_experts", plan.redundant_experts, "0, or ep above 1"))
    if wrong:
        raise InputError(wrong)
    weights = canonical_dtype(plan.weights)
    return replace(
        plan,
        weights=weights,
        activations=canonical_dtype(plan.activations or computed_format(weights)),
        kv=canonical_dtype(plan.kv or "bf16"),
        experts=canonical_dtype(plan.experts or weights),
    )


def default_limits(stack: str, chip_id: str) -> tuple[int, int]:
    """Sequences at once and tokens per step of an engine's server where no flag sets them; vLLM's depend on the device."""
    memory = get("chip", chip_id).memory.capacity
    large = memory is not None and float(memory) >= 70e9 and not chip_id.startswith("a100")
    known = {"trtllm": (2048, 8192), "sglang": (1024, 8192), "sglang-ascend": (1024, 8192), "vllm": (1024, 8192) if large else (256, 2048)}
    return known.get(stack, (256, 8192))


def computed_format(weights: str) -> str:
    """The format activations usually have beside weights of a format: weight-only formats compute in 16 bits."""
    if weights.startswith("int4"):
        return "bf16"
    return {"mxfp4": "bf16", "nvfp4": "fp4", "mxfp8": "fp8"}.get(weights, weights)


def rank_unit(chip_id: str) -> str:
    """What software counts as one device of a chip: "die" of a multi-die Ascend package, else "chip"."""
    card = get("chip", chip_id)
    several = card.compute_dies is not None and float(card.compute_dies) > 1
    return "die" if several and card.vendor.startswith("Huawei") else "chip"


def ranks_per_chip(chip_id: str) -> int:
    """Devices in one chip as sold: 2 for a 910C, 1 for a GPU."""
    return round(float(get("chip", chip_id).compute_dies)) if rank_unit(chip_id) == "die" else 1
