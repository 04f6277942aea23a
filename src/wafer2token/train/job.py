"""A training job with its open ends settled, and what follows from its rate: utilisation, days, energy, cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import all_cards, get
from wafer2token.evidence.errors import EvidenceError, InputError, Problem, unknown
from wafer2token.train.calibration import Calibrated, calibrated, family_of, planner, stack_of, vendor_of
from wafer2token.train.failures import DAY_S, availability, drawn, reliability_card
from wafer2token.train.layer import gemm_dtype
from wafer2token.train.machine import Machine, machine, with_scale_out
from wafer2token.train.memory import Memory, StateBytes, memory, state_bytes
from wafer2token.train.parse import Stated, settle
from wafer2token.train.plan import Plan, PlanTable
from wafer2token.train.search import price
from wafer2token.train.spellings import PRECISIONS
from wafer2token.train.step import StepTime
from wafer2token.workload import ModelShape, train_flops_per_token

Array = npt.NDArray[np.float64]
FLAVOURS = ("megatron", "palm", "6n", "causal")


@dataclass(frozen=True)
class Asked:
    """A job with everything settled but the plan: model, machine, software, batch, and what was assumed on the way."""

    shape: ModelShape
    on: str
    place: Machine
    how: Calibrated
    chips: int
    tokens: float
    seq_len: int
    global_batch: int
    dtype: str
    imbalance: float
    state: StateBytes
    assumed: tuple[str, ...]

    def bytes_of(self, plan: Plan | PlanTable) -> Memory:
        """Memory of a rank under a plan of this job."""
        scores = not self.how.software.fused_attention
        return memory(self.shape, plan, self.seq_len, self.state, scores=scores)

    def time_of(self, plans: PlanTable, shape: ModelShape | None = None) -> StepTime:
        """Step times of plans of this job, or of the same job with another number of layers."""
        how = self.how.software
        return price(shape or self.shape, self.place, plans, self.seq_len, how, self.imbalance, self.state)

    @property
    def ranks(self) -> int:
        """Ranks of the job."""
        return self.chips * self.place.dies


def settle_job(
    shape: ModelShape,
    on: str,
    chips: int,
    tokens: float,
    dtype: str | None,
    seq_len: int | None,
    global_batch: int | None,
    imbalance: float,
    stack: str | None,
    assume: bool,
    stated: Stated | None = None,
    gradients: str | None = None,
    moments: str | None = None,
) -> Asked:
    """The question with its open ends settled; EvidenceError where the cards do not carry an answer."""
    place = machine(on)
    if stated is not None:
        dtype = dtype or stated.fields.get("precision")
        seq_len = seq_len or stated.later.get("seq_len")
        gradients = gradients or stated.later.get("gradients")
        moments = moments or stated.later.get("moments")
        global_batch = global_batch or stated_batch(stated, shape, chips * place.dies, place.node)
    dtype = (dtype or "bf16").lower()
    if dtype not in PRECISIONS:
        raise InputError(unknown("number format", dtype, list(PRECISIONS), "--dtype"))
    length, batch, open_ends = open_batch(shape, chips, seq_len, global_batch)
    if stated is not None and stated.ignored:
        open_ends += (
            f"{len(stated.ignored)} flags that say nothing of the plan left out ({', '.join(stated.ignored[:3])} ...)",
        )
    how = calibrated(place.chip, place.vendor, dtype, stack or stack_of("", vendor_of(place.vendor)))
    weak = evidence_of(place, how, assume)
    place, network = network_of(place, chips * place.dies, assume)
    open_ends += _unknown_cost(place)
    state = state_bytes(gradients or "fp32", moments or "fp32")
    return Asked(
        shape, on, place, how, chips, float(tokens), length, batch, dtype, imbalance, state, open_ends + weak + network
    )


def _unknown_cost(place: Machine) -> tuple[str, ...]:
    """What cannot be told of energy and cost because the chip's card is silent."""
    card = get("chip", place.chip)
    if not card.tdp:
        return (f"no power on the card of {card.id}: no energy and no cost",)
    return () if card.price else (f"no price on the card of {card.id}: no cost",)


def stated_batch(stated: Stated, shape: ModelShape, ranks: int, node: int) -> int | None:
    """The global batch that a text states, or that follows from its micro-batches."""
    batch = stated.later.get("global_batch")
    if batch is None and "micro_batches" in stated.fields:
        fields = settle(stated, shape.num_hidden_layers, ranks, node)
        cut = fields.get("tp", 1) * fields.get("pp", 1) * fields.get("cp", 1)
        return int(max(ranks // cut, 1) * fields.get("micro_batch", 1) * fields["micro_batches"])
    return batch


def flops_per_token(shape: ModelShape, seq_len: int) -> dict[str, float]:
    """Model FLOPs per token in every definition of utilisation; PaLM's knows no prediction layers."""
    ahead = shape.num_nextn_predict_layers > 0
    return {
        name: float(train_flops_per_token(shape, seq_len, name, **({} if name == "palm" else {"mtp": ahead})))
        for name in FLAVOURS
    }


def check_job(chips: int, tokens: float, imbalance: float, samples: int | None = None) -> None:
    problems = []
    if samples is not None and samples < 1:
        problems.append(Problem("an interval needs samples", "--samples", samples, "1 or more, or --point"))
    if chips < 1:
        problems.append(Problem("a job needs at least one chip", "--chips", chips))
    if not tokens > 0:
        problems.append(Problem("a job needs tokens", "--tokens", tokens, "above zero"))
    if imbalance < 1:
        problems.append(
            Problem("the busiest expert cannot have less than the mean", "--imbalance", imbalance, "1 or more")
        )
    if problems:
        raise InputError(problems)


def open_batch(
    shape: ModelShape, chips: int, seq_len: int | None, global_batch: int | None
) -> tuple[int, int, tuple[str, ...]]:
    """Sequence length and global batch, with what was assumed about them."""
    assumed: tuple[str, ...] = ()
    if min(1 if seq_len is None else seq_len, 1 if global_batch is None else global_batch) < 1:
        raise InputError(
            Problem(
                "sequence length and global batch are at least 1", "--seq-len, --global-batch", (seq_len, global_batch)
            )
        )
    if seq_len is None:
        seq_len = round(planner("seq_len"))
        assumed += (f"sequences of {seq_len} tokens",)
    if global_batch is None:
        tokens_per_step = round(max(planner("step_tokens"), chips * planner("step_tokens_per_chip")))
        global_batch = round_batch(max(tokens_per_step // seq_len, 1), chips)
        assumed += (f"{global_batch} sequences per step ({global_batch * seq_len / 1e6:.1f}M tokens)",)
    return seq_len, global_batch, assumed


def round_batch(batch: int, chips: int) -> int:
    """The wanted batch rounded to the odd part of the number of chips times a power of two, so that plans divide it."""
    odd = chips
    while odd % 2 == 0:
        odd //= 2
    return int(odd * 2 ** max(round(np.log2(batch / odd)), 0))


def evidence_of(place: Machine, how: Calibrated, assume: bool) -> tuple[str, ...]:
    if how.measured_family:
        return ()
    text = f"no training measurement of {family_of(place.chip)}: its software is taken from {', '.join(how.cards) or 'no card'}"
    if not how.cards and not assume:
        raise EvidenceError(f"{text}; --assume goes on with kernels alone")
    return (text,)


def network_of(place: Machine, ranks: int, assume: bool) -> tuple[Machine, tuple[str, ...]]:
    """The machine with a network between its domains; where its cards know none, that of the vendor's other chips if assumed."""
    if ranks <= place.domain or place.fab.scale_out.bandwidth:
        return place, ()
    others = [c for c in all_cards("chip").values() if c.vendor == place.vendor and c.scale_out_bandwidth is not None]
    text = f"no network between the domains of {place.system} ({place.domain} ranks each) is on its card"
    if not others or not assume:
        raise EvidenceError(f"{text}; --assume takes that of the vendor's other chips")
    other = max(others, key=lambda c: float(c.scale_out_bandwidth))
    rate = float(other.scale_out_bandwidth)
    return with_scale_out(place, rate / place.dies), (f"{text}: {rate / 1e9:.0f} GB/s per chip taken from {other.id}",)


def peak_ratios(place: Machine, dtype: str, samples: int | None, seed: int) -> dict[str, Array]:
    """Drawn dense peaks over the central ones, for the formats of the matrix products and of attention."""
    kinds = {gemm_dtype(place.acc, dtype), gemm_dtype(place.acc, "bf16")}
    if samples is None:
        return {kind: np.ones(1) for kind in kinds}
    from wafer2token.evidence.sampling import draw

    card = get("chip", place.chip)
    return {
        k: draw(card.peak[k], f"chip.{card.id}.peak.{k}", samples, seed) / float(card.peak[k]) for k in sorted(kinds)
    }


def dense_peak(place: Machine, dtype: str) -> float:
    """Dense peak of one rank that utilisation is taken of."""
    return float(place.acc.peaks[gemm_dtype(place.acc, dtype)])


def life(place: Machine, chips: int, tokens: float, rate: Array, samples: int | None, seed: int) -> dict[str, Array]:
    """What the whole job takes: useful share of the time, days, interruptions, spare nodes, energy and cost."""
    card, chip = reliability_card(place.chip), get("chip", place.chip)
    up = availability(card, chips, samples, seed, max(place.node // place.dies, 1))
    seconds = tokens / rate / up.goodput

    def of(name: str) -> Array:
        return drawn(getattr(card, name), f"reliability.{card.id}.{name}", samples, seed)

    nan = np.full_like(seconds, np.nan)
    power = (
        drawn(chip.tdp, f"chip.{chip.id}.tdp", samples, seed) * of("host_power") * of("overhead_power") * chips
        if chip.tdp
        else nan
    )
    energy = power * seconds
    capital = drawn(chip.price, f"chip.{chip.id}.price", samples, seed) * of("host_cost") * chips if chip.price else nan
    values = {
        "goodput": up.goodput,
        "days": seconds / DAY_S,
        "interruptions_per_day": up.rate_per_day,
        "spare_nodes": up.spare_nodes,
        "slow_loss": up.slow_loss,
        "energy_j": energy,
        "cost_usd": capital * seconds * (1 / of("life") + of("running_cost")) + energy * of("electricity"),
    }
    return {name: np.broadcast_to(value, np.shape(seconds)) for name, value in values.items()}
