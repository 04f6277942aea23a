"""Predictions for published cases: the step, the static batch, the served load, the pools of a disaggregated system."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from wafer2token.evidence.errors import InfeasibleError
from wafer2token.workload import COMMUNICATION, kv_bytes_per_token, operators

from .engine.run import Cluster, Outcome, Pool, Requests, StepTable, simulate
from .machine import Site, site
from .memory import memory
from .metrics import Summary, summarise
from .overhead import Overhead
from .plan import Plan
from .points import Case
from .requests import lengths, make, poisson_arrivals, with_shared_prefix
from .steptime import Machine, decode_step_time, prefill_step_time
from .surrogate import step_table

BLOCK = 16
PREFIX_BLOCK = 512
MOST_REQUESTS = 30_000
POLICY = {"sglang": "sglang", "sglang-ascend": "sglang", "trtllm": "trtllm"}
DRAWN: dict[str, tuple[float, float, str, int]] = {
    "fixed": (1.0, 0.0, "fixed", 1 << 30), "normal": (1.0, 0.3, "normal", 1 << 30),
    "submitted": (1.0, 0.7, "lognormal", 1024), "sharegpt": (1.0, 1.0, "lognormal", 1024), "inferencex": (0.9, 1 / 9, "uniform", 1 << 30),
}  # fmt: skip
"""How clients draw lengths: mean over the stated length, relative spread, distribution, longest. InferenceX runs vLLM's
client with ``--random-range-ratio 0.8``, which draws evenly from 0.8 to 1.0 of the length; vLLM's sampling of ShareGPT
drops prompts above 1,024 tokens and pairs above 2,048."""
WAVES, WAVES_INFERENCEX = 5, 10
"""Requests of a closed loop over its concurrency where their number is not stated; the scripts of InferenceX send ten."""
RESERVE = {"trtllm": 1.0, "sglang": 0.7, "sglang-ascend": 0.7}


@dataclass
class Predictor:
    """Predicts cases; keeps sites and step tables, which many cases share. ``overheads`` replaces engine cards."""

    overheads: Mapping[tuple[str, str], Overhead] = field(default_factory=dict)
    sites: dict[tuple[str, str], Site] = field(default_factory=dict)
    tables: dict[Any, StepTable] = field(default_factory=dict)
    known: dict[Any, dict[str, float]] = field(default_factory=dict)

    def place(self, case: Case) -> Site:
        """Chip, fabric and engine of a case."""
        key = (case.chip, case.stack)
        if key not in self.sites:
            found = site(case.chip, case.stack)
            over = self.overheads.get(key) or self.overheads.get(("", case.stack))
            if over is not None:
                found = replace(found, machine=replace(found.machine, overhead=over))
            self.sites[key] = found
        return self.sites[key]

    def predict(self, case: Case) -> dict[str, float]:
        """Predicted values under the names of the measured ones (SI but for the milliseconds of ``_ms``)."""
        kinds = {"decode": self.decode, "prefill": self.prefill, "static": self.static, "served": self.served, "pools": self.pools, "best": self.best}
        return kinds[case.kind](case)

    def decode(self, case: Case) -> dict[str, float]:
        """One decode step at the stated batch; where only the time per token is stated, the batch that keeps it."""
        machine, plan = self.place(case).machine, case.plan
        replicas = max(case.ranks / plan.ranks, 1.0)
        batch = case.batch / replicas
        if not batch:
            return self._decode_at_tpot(case, machine)
        step = float(np.ravel(decode_step_time(case.shape, machine, plan, np.array([batch]), np.array([case.kv_len])).total)[0])
        values = _rates(case, batch * replicas, step / plan.tokens_per_step, step)
        forward = step - float(machine.overhead.sequence_s) * batch / plan.dp  # without sampling and answering each sequence
        return values | {"step_ms": forward * 1e3}

    def _decode_at_tpot(self, case: Case, machine: Machine) -> dict[str, float]:
        goal = case.measured["tpot_ms"] / 1e3
        grid = np.geomspace(1.0, 4096.0, 60) * case.plan.dp
        total = decode_step_time(case.shape, machine, case.plan, grid, np.full(60, case.kv_len)).total / case.plan.tokens_per_step
        batch = float(np.interp(goal, total, grid))
        return _rates(case, batch * max(case.ranks / case.plan.ranks, 1.0), goal, goal * case.plan.tokens_per_step)

    def prefill(self, case: Case) -> dict[str, float]:
        """One prefill of the stated prompts, in steps of at most the token budget."""
        machine = self.place(case).machine
        plan = case.plan
        replicas = max(case.ranks / plan.ranks, 1.0)
        prompts = max(case.batch / replicas, 1.0)
        seconds = float(prefill_seconds(case, machine, plan, prompts, case.isl * (1.0 - case.prefix_hit)))
        tokens = prompts * case.isl * replicas
        latency = seconds + float(machine.overhead.request_s) * bool(case.concurrency)
        return {
            "ttft_ms": latency * 1e3, "step_ms": seconds * 1e3, "latency_ms": latency * 1e3, "input_tok_s": tokens / seconds,
            "input_tok_s_per_device": tokens / seconds / case.devices, "total_tok_s": tokens / seconds,
        }  # fmt: skip

    def static(self, case: Case) -> dict[str, float]:
        """A batch from its prompts to its last token, all together."""
        machine, plan = self.place(case).machine, case.plan
        replicas = max(case.ranks / plan.ranks, 1.0)
        batch = case.batch / replicas
        first = float(prefill_seconds(case, machine, plan, batch, case.isl))
        steps = (case.osl - 1) / plan.tokens_per_step
        kv = case.isl + np.linspace(0.0, 1.0, 9) * case.osl
        each = np.ravel(decode_step_time(case.shape, machine, plan, np.full(9, batch), kv).total)
        decode = steps * float(np.trapezoid(each, dx=1 / 8))
        out = case.batch * case.osl / (first + decode)
        tpot = decode / max(case.osl - 1, 1)
        return {
            "output_tok_s": out, "output_tok_s_per_device": out / case.devices, "ttft_ms": first * 1e3, "tpot_ms": tpot * 1e3,
            "itl_ms": tpot * 1e3, "total_tok_s": out * (1 + case.isl / case.osl), "latency_ms": (first + decode) * 1e3,
        }  # fmt: skip

    def served(self, case: Case) -> dict[str, float]:
        """A load through the engine: a closed loop, a rate, or everything at once."""
        plan = instance_plan(case.plan)
        replicas = max(round(case.ranks / plan.ranks), 1)
        pool = self.pool(case, plan, replicas, "both")
        cluster = Cluster((pool,), policy=POLICY.get(case.stack, "vllm"), reserve=RESERVE.get(case.stack, 0.0), block_size=BLOCK,
                          tokens_per_step=plan.tokens_per_step, max_concurrency=round(case.concurrency) or 1 << 40,
                          prefix_cache=True, response_s=float(self.place(case).machine.overhead.request_s))  # fmt: skip
        gap = front_end_s(case, self.place(case).machine.overhead, replicas)
        return self.summary(case, simulate(load(case, pool, replicas, gap), cluster))

    def best(self, case: Case) -> dict[str, float]:
        """The tensor-parallel split with most throughput, replicas on the other devices."""
        key = (case.chip, case.stack, case.shape.id, case.plan, case.isl, case.osl, case.devices)
        if key in self.known:
            return self.known[key]
        found: list[dict[str, float]] = []
        for tp in (1, 2, 4, 8):
            plan = replace(case.plan, tp=tp)
            one = replace(case, plan=plan)
            if case.ranks % tp == 0 and memory(case.shape, plan, self.place(case).hbm_bytes, case.isl + case.osl).fits:
                found.append(self.served(one))
        if not found:
            raise InfeasibleError(f"{case.shape.id} fits no split on {case.ranks} devices")
        self.known[key] = max(found, key=lambda values: values["output_tok_s"])
        return self.known[key]

    def pools(self, case: Case) -> dict[str, float]:
        """Prefill and decode pools with the cache sent over the links between them."""
        if case.prefill is None or case.decode is None:
            return self.served(case)
        filling = self.pool(case, replace(case.prefill[1], drafts=0, accepted=0.0), case.prefill[0], "prefill")
        decoding = self.pool(case, case.decode[1], case.decode[0], "decode")
        plan = case.decode[1]
        out_rate = float(np.mean(self.place(case).machine.fab.scale_out.bandwidth)) or float(
            np.mean(self.place(case).machine.fab.scale_up.bandwidth)
        )
        per_token = float(kv_bytes_per_token(case.shape, 2.0)) / (out_rate * case.prefill[1].ranks)
        cluster = Cluster((filling, decoding), policy=POLICY.get(case.stack, "vllm"), block_size=BLOCK,
                          tokens_per_step=plan.tokens_per_step, transfer_s_per_token=per_token, transfer_latency_s=2e-3,
                          max_concurrency=round(case.concurrency) or 1 << 40)  # fmt: skip
        gap = front_end_s(case, self.place(case).machine.overhead, 1)
        return self.summary(case, simulate(load(case, decoding, case.decode[0], gap), cluster))

    def pool(self, case: Case, plan: Plan, replicas: int, role: str) -> Pool:
        """Replicas of a plan with their table and cache."""
        place = self.place(case)
        room = memory(case.shape, plan, place.hbm_bytes, case.isl + 0.5 * case.osl)
        longest = case.isl + case.osl
        key = (case.chip, case.stack, case.shape.id, plan, round(math.log2(case.isl + 1)), round(math.log2(longest + 1)))
        if key not in self.tables:
            self.tables[key] = step_table(case.shape, place.machine, plan, case.isl, longest)
        blocks = max(int(room.kv_tokens // BLOCK), int((case.isl + case.osl) // BLOCK) + 8)
        return Pool(self.tables[key], replicas, role, plan.max_num_seqs, plan.max_num_batched_tokens, blocks)

    def summary(self, case: Case, outcome: Outcome) -> dict[str, float]:
        """The published metrics of a run; its first requests were sent together and waited for the front end."""
        if case.concurrency:
            first = np.arange(len(outcome.issue_s)) < case.concurrency
            outcome = replace(outcome, issue_s=np.where(first & (outcome.issue_s >= 0.0), 0.0, outcome.issue_s))
        s: Summary = summarise(outcome)
        request = float(self.place(case).machine.overhead.request_s)
        out = steady_output(outcome) if saturated(case) else s.output_throughput
        return {
            "output_tok_s": out, "output_tok_s_per_device": out / case.devices, "requests_s": s.request_throughput,
            "total_tok_s": out * (1 + s.input_tokens / max(s.output_tokens, 1)),
            "total_tok_s_per_device": out * (1 + s.input_tokens / max(s.output_tokens, 1)) / case.devices,
            "ttft_ms": 1e3 * (s.ttft.mean + request), "ttft_p50_ms": 1e3 * (s.ttft.p50 + request),
            "ttft_p99_ms": 1e3 * (s.ttft.p99 + request), "tpot_ms": 1e3 * s.tpot.mean, "tpot_p50_ms": 1e3 * s.tpot.p50,
            "tpot_p99_ms": 1e3 * s.tpot.p99, "itl_ms": 1e3 * s.itl.mean, "itl_p50_ms": 1e3 * s.itl.p50,
            "latency_ms": 1e3 * (s.e2e.mean + request), "duration_s": s.duration_s,
        }  # fmt: skip


def instance_plan(plan: Plan) -> Plan:
    """Limits of the whole instance: each data-parallel rank has its own scheduler."""
    return replace(plan, max_num_seqs=plan.max_num_seqs * plan.dp, max_num_batched_tokens=plan.max_num_batched_tokens * plan.dp)


def saturated(case: Case) -> bool:
    """Whether everything is sent at once and no number of requests is stated, so that the plateau was measured."""
    return not case.concurrency and case.rate == float("inf") and not case.num_requests


def steady_output(outcome: Outcome) -> float:
    """Output tokens per second between the first fifth and the last fifth of the completions."""
    order = np.argsort(outcome.finish_s)
    ends = outcome.finish_s[order]
    made = np.cumsum(np.asarray(outcome.requests.osl)[order])
    low, high = int(0.2 * len(ends)), int(0.8 * len(ends)) - 1
    if high <= low or ends[high] <= ends[low]:
        return float(made[-1] / ends[-1])
    plateau = float((made[high] - made[low]) / (ends[high] - ends[low]))
    return min(plateau, 1.2 * float(made[-1] / ends[-1]))


def drawn(spread: str, mean: float, n: int, name: str) -> Any:
    """Lengths as a client draws them; the filter of ShareGPT cuts off long ones and the stated mean is that of the rest."""
    part, width, kind, most = DRAWN[spread]
    found = lengths(part * mean, n, width, kind, 0, name)
    if most >= found.max():
        return found
    for _ in range(4):  # cutting lowers the mean, so that the distribution before it has a higher one
        part *= mean / float(np.minimum(found, most).mean())
        found = lengths(part * mean, n, width, kind, 0, name)
    return np.minimum(found, most).astype(found.dtype)


def front_end_s(case: Case, over: Overhead, replicas: int) -> float:
    """Time between two requests that the front end of a replica passes on to the engine (tokenisation, HTTP) [s].

    Throughput tables of offline benchmarks, without concurrency or rate, have no front end.
    """
    return float(over.front_end * over.request_s) / replicas if case.concurrency and case.rate == float("inf") else 0.0


def load(case: Case, pool: Pool, replicas: int, gap_s: float = 0.0) -> Requests:
    """The requests of a case: as many as stated, else enough for a steady state.

    Requests that are ready together reach the engine ``gap_s`` apart; where a client sends its whole run at once, the
    front end passes nothing on and returns no token before it has taken them all.
    """
    if case.concurrency:
        n = case.num_requests or (WAVES_INFERENCEX if case.spread == "inferencex" else WAVES) * round(case.concurrency) + 16
    elif case.rate < float("inf"):
        n = case.num_requests or 500
    else:
        room = pool.kv_blocks * BLOCK / (case.isl + 0.5 * case.osl)
        n = case.num_requests or 4 * int(min(pool.max_num_seqs, room)) * replicas + 32
    n = min(n, MOST_REQUESTS)
    isl, osl = (drawn(case.spread, mean, n, name) for mean, name in ((case.isl, "isl"), (case.osl, "osl")))
    arrival = (np.full(n, gap_s * n) if n <= case.concurrency else gap_s * np.minimum(np.arange(n), case.concurrency)) if case.rate == float("inf") else poisson_arrivals(case.rate, n)
    made = make(arrival, isl, osl, case.id)
    return with_shared_prefix(made, case.prefix_hit, 1, PREFIX_BLOCK) if case.prefix_hit > 0 else made


def prefill_seconds(case: Case, machine: Machine, plan: Plan, prompts: float, isl: float) -> float:
    """Prefill of ``prompts`` of ``isl`` tokens by the instance, split into steps of at most 16k tokens per rank."""
    past = case.isl - isl
    budget = max(16384.0, plan.max_num_batched_tokens) * plan.dp * plan.pp
    tokens = prompts * isl
    steps = max(math.ceil(tokens / budget - 1e-9), 1)
    if prompts >= steps:
        time = prefill_step_time(case.shape, machine, plan, np.array([prompts / steps]), np.array([isl]), np.array([past]))
        return steps * float(np.ravel(time.total)[0])
    chunk = isl * prompts / steps
    before = past + chunk * np.arange(steps)
    time = prefill_step_time(case.shape, machine, plan, np.ones(steps), np.full(steps, chunk), before)
    return float(np.sum(time.total))


def _rates(case: Case, batch: float, tpot: float, step: float) -> dict[str, float]:
    out = batch / tpot
    return {
        "tpot_ms": tpot * 1e3, "itl_ms": tpot * 1e3, "step_ms": step * 1e3, "output_tok_s": out,
        "output_tok_s_per_device": out / case.devices, "output_tok_s_per_die": out / case.ranks,
        "tok_s_per_node": out / case.devices * 8,
    }  # fmt: skip


def roofline(case: Case, site_: Site, hbm: float) -> dict[str, float]:
    """The baseline: every step is its arithmetic over the peak or its bytes over the memory bandwidth, nothing else."""
    plan = case.plan
    acc = site_.machine.acc

    def seconds(phase: str, sequences: float, q: float, kv: float) -> float:
        own = max(sequences / plan.dp / plan.pp, 1.0)
        ops = operators(case.shape, phase, own * q, own, q, kv, plan.tp, plan.ep, weight_dtype=plan.weights,
                        act_dtype=plan.activations, kv_dtype=plan.kv, expert_tp=plan.expert_tp, expert_dtype=plan.experts)  # fmt: skip
        work = [op for op in ops if op.family not in COMMUNICATION]
        peak = float(np.mean(acc.peaks.get(plan.activations, acc.peaks.get("bf16", max(acc.peaks.values())))))
        flops = sum(float(np.sum(op.count * op.flops)) for op in work)
        moved = sum(float(np.sum(op.count * op.bytes)) for op in work)
        return max(flops / peak, moved / float(np.mean(acc.hbm_bytes_per_s)))

    replicas = max(case.ranks / plan.ranks, 1.0)
    if case.kind == "prefill":
        prompts = max(case.batch / replicas, 1.0)
        time = seconds("prefill", prompts, case.isl, case.isl)
        tokens = prompts * case.isl * replicas
        return {"ttft_ms": time * 1e3, "step_ms": time * 1e3, "latency_ms": time * 1e3, "input_tok_s": tokens / time,
                "input_tok_s_per_device": tokens / time / case.devices, "total_tok_s": tokens / time}  # fmt: skip
    room = memory(case.shape, plan, hbm, case.isl + 0.5 * case.osl).kv_tokens / max(case.isl + 0.5 * case.osl, 1.0)
    batch = (case.batch or case.concurrency) / replicas or min(room, plan.max_num_seqs * plan.dp)
    if case.kind == "decode":
        step = seconds("decode", batch, 1 + plan.drafts, case.kv_len + 1 + plan.drafts)
        return _rates(case, batch * replicas, step / plan.tokens_per_step, step)
    batch = min(batch, max(room, 1.0))
    first = seconds("prefill", 1.0, case.isl, case.isl)
    tpot = seconds("decode", batch, 1 + plan.drafts, case.isl + 0.5 * case.osl) / plan.tokens_per_step
    tpot += batch * first / case.osl
    rates = _rates(case, batch * replicas, tpot, tpot)
    return rates | {"ttft_ms": first * 1e3, "ttft_p50_ms": first * 1e3, "requests_s": rates["output_tok_s"] / case.osl,
                    "total_tok_s": rates["output_tok_s"] * (1 + case.isl / case.osl),
                    "tpot_p50_ms": tpot * 1e3, "itl_p50_ms": tpot * 1e3}  # fmt: skip
