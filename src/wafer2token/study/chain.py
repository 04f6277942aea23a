"""How the rooms join: the engines as jobs, and where their results appear."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wafer2token.study.comparison import Measure
from wafer2token.study.graph import Graph
from wafer2token.study.jobs import Job, Outcome
from wafer2token.study.scenario import Scenario, Service, Training, entity, positive
from wafer2token.study.supply_job import supply_job
from wafer2token.study.use_jobs import serving_job, training_job

TRAIN_MEASURES = (
    Measure("step_time", "training: step time", "s", False),
    Measure("mfu", "training: MFU", "1", True),
    Measure("tokens_per_s_per_chip", "training: tokens/s per chip", "token/s", True),
    Measure("time", "training: time", "s", False),
    Measure("cost", "training: cost", "USD", False),
)
SERVE_MEASURES = (
    Measure("prefill_per_chip", "serving: prefill tokens/s per chip", "token/s", True),
    Measure("decode_per_chip", "serving: decode tokens/s per chip", "token/s", True),
    Measure("cost_per_mtok", "serving: cost per Mtok out", "USD", False),
)


def jobs(scenario: Scenario) -> list[Job]:
    """The engines that a scenario calls, in the order of the chain."""
    out: list[Job] = []
    if scenario.supply is not None:
        settings = {k: v for k, v in scenario.settings.items() if k.startswith("supply.")}
        out.append(Job("supply", "the quarterly stock-and-flow of wafers, dies, HBM and packages", supply_job,
                       {"name": scenario.supply.scenario, "until": scenario.supply.until, "settings": settings,
                        "samples": scenario.samples, "seed": scenario.seed}))  # fmt: skip
    for training in scenario.training:
        out += training_jobs(training, scenario.samples, scenario.seed)
    for service in scenario.serving:
        out += serving_jobs(service, scenario.samples, scenario.seed)
    return out


def training_jobs(training: Training, samples: int, seed: int) -> list[Job]:
    """One job per fleet."""
    model = slug(training.model)
    return [
        Job(f"train.{model}.{entity(f.on)[1].id}_x{f.chips}", f"best plan for {model} on {f.chips} chips of {f.on}", training_job,
            {"model": training.model, "on": f.on, "chips": f.chips, "tokens": positive(training.tokens, "token"), "plan": f.plan or None, "dtype": f.dtype,
             "samples": samples, "seed": seed})
        for f in training.fleets
    ]  # fmt: skip


def serving_jobs(service: Service, samples: int, seed: int) -> list[Job]:
    """One job per system."""
    model = slug(service.model)
    return [
        Job(f"serve.{model}.{entity(on)[1].id}", f"steady state of {model} on {on}", serving_job,
            {"model": service.model, "on": on, "isl": service.isl, "osl": service.osl, "tpot": positive(service.tpot, "s"), "samples": samples, "seed": seed})
        for on in service.on
    ]  # fmt: skip


def slug(model: str) -> str:
    """A model's name as part of a dotted name: "deepseek-ai/DeepSeek-R1" -> "deepseek_r1"."""
    return re.sub(r"[^a-z0-9]+", "_", model.rsplit("/", 1)[-1].lower()).strip("_")


def rows(outcome: Outcome) -> list[tuple[str, str, str, str]]:
    """(section, item, measure, quantity) of the rows that an outcome gives."""
    section, _, item = outcome.prefix.partition(".")
    labels: Mapping[str, str] = outcome.details.get("labels", {})
    shown = {m.key: m.label.partition(": ")[2] for m in (*TRAIN_MEASURES, *SERVE_MEASURES)} | dict(labels)
    return [
        (section, item or section, shown[key], f"{outcome.prefix}.{key}") for key in outcome.results if key in shown
    ]


def headline(graph: Graph) -> list[str]:
    """The results whose drivers are worth a tornado: last year of supply, first training time and first service."""
    out = [n for n in graph.quantities if n.startswith("supply.units_")][-2:-1]
    for section, key in (("train", "time"), ("serve", "decode_per_chip")):
        out += [n for n in graph.quantities if n.startswith(f"{section}.") and n.endswith(f".{key}")][:2]
    return out


def series(graph: Graph, details: Mapping[str, Any]) -> dict[str, Any]:
    """What goes by quarter, as percentiles: name -> {unit, quarters, p5, p50, p95}."""
    quarters = details.get("supply", {}).get("quarters", [])
    out = {}
    for name, values in graph.values.items():
        if values.ndim == 2 and values.shape[1] == len(quarters):
            p5, p50, p95 = np.percentile(values, [5, 50, 95], axis=0)
            out[name] = {"unit": graph.quantities[name].unit, "quarters": quarters, "p5": p5, "p50": p50, "p95": p95}
    return out


def model_jobs(
    model: str, ids: Sequence[str], chips: int | None, isl: int, osl: int, tpot: str, samples: int, seed: int
) -> list[Job]:
    """Training and serving of a model on two chips or systems, for ``compare --model``."""
    out: list[Job] = []
    for name in ids:
        kind, card = entity(name)
        count = chips or (int(card.count.mid) if kind == "system" and card.count else 1024)
        tokens = {
            "model": model,
            "on": name,
            "chips": count,
            "tokens": 1e12,
            "plan": None,
            "dtype": "bf16",
            "samples": samples,
            "seed": seed,
        }
        out.append(Job(f"train.{name}", f"training on {count} chips", training_job, tokens))
        service = {
            "model": model,
            "on": name,
            "isl": isl,
            "osl": osl,
            "tpot": positive(tpot, "s"),
            "samples": samples,
            "seed": seed,
        }
        out.append(Job(f"serve.{name}", "serving", serving_job, service))
    return out


def model_measures(outcomes: Sequence[Outcome]) -> list[tuple[Measure, tuple[str, str]]]:
    """The measures of ``model_jobs`` with the names of both sides."""
    train, serve = outcomes[0::2], outcomes[1::2]
    pairs = [(train, m) for m in TRAIN_MEASURES if m.key not in ("time", "cost")] + [(serve, m) for m in SERVE_MEASURES]
    return [
        (m, (f"{two[0].prefix}.{m.key}", f"{two[1].prefix}.{m.key}"))
        for two, m in pairs
        if any(m.key in o.results for o in two)
    ]  # fmt: skip
