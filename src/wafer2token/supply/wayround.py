"""The least-cost way round what binds: a linear programme per sample, solved by HiGHS.

Chips are counted in 910C equivalents: one start of two dies each. What was made before the first purchase stays as the
run has it, and no other year may be robbed. Levers: wafers moved from phones, stacks bought at a premium, package
capacity bought with a lead time, B200 bought at a premium.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import highspy
import numpy as np
from numpy.typing import NDArray

from wafer2token import catalog
from wafer2token.evidence.errors import InfeasibleError, InputError, Problem
from wafer2token.evidence.sampling import draw
from wafer2token.supply.fleet import worth
from wafer2token.supply.result import SupplyResult
from wafer2token.supply.timeline import QUARTER_S

Array = NDArray[np.float64]
LEVERS = ("wafers", "stacks", "assembly", "chips")
UNITS = {"wafers": "wafer", "stacks": "stack", "assembly": "package/quarter", "chips": "chip"}
GREY_CHIP, GREY_PRICE, PER_SERVER = "b200_sxm", "quantity.b200_grey_price_china.value", 8.0
SLACK = 1e-6
INFINITY = highspy.kHighsInf


@dataclass(frozen=True)
class Case:
    """One sample as the programme sees it: [quarters] arrays of base supplies, prices and bounds of the levers."""

    starts: Array
    dies: Array
    stacks: Array
    assembly: Array
    attach: Array
    stacks_each: Array
    chip_worth: float
    dies_per_wafer: Array
    wafer_lag: int
    assembly_lag: int
    price: dict[str, float]
    limit: dict[str, Array]


@dataclass(frozen=True)
class Plan:
    """One sample's answer: bought by lever [quarters], cost [USD], and the price of the last chip [USD]."""

    feasible: bool
    bought: dict[str, Array]
    cost: float
    marginal: float
    most: float


@dataclass(frozen=True)
class WayRound:
    """Plans over samples for a target of chips in a year. ``share`` of samples can reach it at all."""

    year: int
    target: float
    share: float
    plans: tuple[Plan, ...]

    def total(self, lever: str) -> Array:
        """Bought of a lever over the run, [feasible samples]."""
        return np.array([plan.bought[lever].sum() for plan in self.plans if plan.feasible])

    @property
    def cost(self) -> Array:
        return np.array([plan.cost for plan in self.plans if plan.feasible])

    @property
    def marginal(self) -> Array:
        return np.array([plan.marginal for plan in self.plans if plan.feasible])


@dataclass(frozen=True)
class Shadow:
    """Chips that one more unit is worth at each stage and quarter: duals of the programme that maximises chips,
    [samples, quarters]."""

    dies: Array
    stacks: Array
    assembly: Array


def cases(result: SupplyResult, samples: int) -> list[Case]:
    """The first `samples` samples of a run as programmes (samples are exchangeable)."""
    inputs, arriving = result.inputs, result.arriving
    n = min(samples, result.samples)
    packed = result.packaging
    dies = sum(arriving.dies[k] for k in ("bank", "ascend_910", "ascend_950")) + sum(packed.dies_won.values())
    stacks = sum(arriving.stacks.values()) + packed.stacks_won
    starts = packed.starts_950 + packed.starts_pairs
    each = np.where(starts > 0, packed.stacks_used / np.where(starts > 0, starts, 1.0), inputs.now("stacks_910c"))
    equivalent = worth(GREY_CHIP, result.samples, result.seed).bf16 / result.worths["ascend_910c"].bf16
    history = result.timeline.history
    node = arriving.yields
    per_wafer = node.gross_910b[:, None] * node.usable_910b[:, history:]
    phones = arriving.wafers["phones"][:, history:]

    def card(name: str) -> Array:
        return draw(catalog.number(name), name, result.samples, result.seed)

    wafer, stack = card("quantity.wafer_price_smic_n2.value"), card("quantity.hbm2e_stack_price.value")
    chip, premium = card(GREY_PRICE) / PER_SERVER, inputs.one("grey_premium")
    count = result.timeline.count
    out = []
    for s in range(n):
        out.append(Case(
            starts=starts[s], dies=np.asarray(dies)[s], stacks=np.asarray(stacks)[s], assembly=arriving.assembly[s],
            attach=inputs.now("attach_yield")[s], stacks_each=each[s], chip_worth=float(equivalent[s]),
            dies_per_wafer=per_wafer[s], wafer_lag=round(float(inputs.one("output_lag")[s]) / QUARTER_S),
            assembly_lag=round(float(inputs.one("assembly_lead")[s]) / QUARTER_S),
            price={"wafers": float(wafer[s]), "stacks": float(stack[s] * premium[s]),
                   "assembly": float(inputs.one("assembly_capex")[s] / QUARTER_S), "chips": float(chip[s])},
            limit={"wafers": phones[s], "stacks": np.full(count, inputs.one("grey_stacks")[s] * QUARTER_S),
                   "assembly": np.full(count, INFINITY), "chips": np.full(count, inputs.one("grey_chips")[s] * QUARTER_S)},
        ))  # fmt: skip
    return out


class Programme:
    """The linear programme of one case: starts and purchases by quarter, cumulative stocks as rows."""

    def __init__(self, case: Case, since: int):
        self.case, self.count = case, len(case.dies)
        self.solver = highspy.Highs()  # type: ignore[no-untyped-call]
        self.solver.silent()
        fixed = [float(case.starts[q]) if q < since else None for q in range(self.count)]
        self.starts = [self._variable(INFINITY if at is None else at + SLACK, 0.0) for at in fixed]
        self.buys = {
            lever: [self._variable(float(case.limit[lever][q]) if q >= since else 0.0, 0.0) for q in range(self.count)]
            for lever in LEVERS
        }
        self.rows: dict[str, list[int]] = {"dies": [], "stacks": [], "assembly": []}
        for q in range(self.count):
            self._stage_rows(q)
            if fixed[q]:
                self.solver.changeColBounds(self.starts[q], case.starts[q] * (1 - SLACK), case.starts[q] + SLACK)

    def keep(self, quarters: range) -> None:
        """Leaves at least the run's own starts in some quarters, taken together."""
        own = float(self.case.starts[quarters.start : quarters.stop].sum()) * (1 - 1e-4)
        columns = self.starts[quarters.start : quarters.stop]
        self.solver.addRow(own, INFINITY, len(columns), np.array(columns, np.int32), np.ones(len(columns)))

    def _variable(self, upper: float, cost: float) -> int:
        self.solver.addVar(0.0, upper)
        index = int(self.solver.getNumCol()) - 1
        self.solver.changeColCost(index, cost)
        return index

    def _row(self, stage: str, upper: float, terms: dict[int, float]) -> None:
        self.solver.addRow(-INFINITY, upper, len(terms), np.array(list(terms), np.int32), np.array(list(terms.values())))
        self.rows[stage].append(int(self.solver.getNumRow()) - 1)

    def _stage_rows(self, q: int) -> None:
        case = self.case
        made = {self.buys["wafers"][j]: -float(case.dies_per_wafer[j]) for j in range(max(q - case.wafer_lag + 1, 0))}
        self._row("dies", float(case.dies[: q + 1].sum()), dict.fromkeys(self.starts[: q + 1], 2.0) | made)
        bought = dict.fromkeys(self.buys["stacks"][: q + 1], -1.0)
        self._row("stacks", float(case.stacks[: q + 1].sum()), dict(zip(self.starts[: q + 1], case.stacks_each, strict=False)) | bought)
        built = dict.fromkeys(self.buys["assembly"][: max(q - case.assembly_lag + 1, 0)], -1.0)
        self._row("assembly", float(case.assembly[q]), {self.starts[q]: 1.0} | built)

    def chips(self, quarters: range) -> dict[int, float]:
        """Terms of the chips had in some quarters: good packages and bought accelerators."""
        own = {self.starts[q]: float(self.case.attach[q]) for q in quarters}
        return own | {self.buys["chips"][q]: self.case.chip_worth for q in quarters}

    def most(self, quarters: range) -> float:
        """The most chips that can be had in some quarters."""
        terms = self.chips(quarters)
        for column, weight in terms.items():
            self.solver.changeColCost(column, -weight)
        self.solver.run()
        best = -float(self.solver.getInfo().objective_function_value)
        for column in terms:
            self.solver.changeColCost(column, 0.0)
        return best

    def cheapest(self, quarters: range, target: float) -> tuple[float, float, dict[str, Array]]:
        """Cost, price of the last chip, and purchases of the cheapest plan that has `target` chips in some quarters."""
        for lever in LEVERS:
            for column in self.buys[lever]:
                self.solver.changeColCost(column, self.case.price[lever])
        terms = self.chips(quarters)
        self.solver.addRow(target, INFINITY, len(terms), np.array(list(terms), np.int32), np.array(list(terms.values())))
        self.solver.run()
        solution = self.solver.getSolution()
        bought = {lever: np.array([solution.col_value[c] for c in self.buys[lever]]) for lever in LEVERS}
        return float(self.solver.getInfo().objective_function_value), float(solution.row_dual[-1]), bought

    def duals(self) -> dict[str, Array]:
        """Chips that one more unit brings at each stage and quarter when chips over the whole run are maximised.

        Row duals of cumulative stocks are summed from a quarter on: a die that arrives in q relaxes every later row.
        """
        for column, attach in zip(self.starts, self.case.attach, strict=True):
            self.solver.changeColCost(column, -float(attach))
        self.solver.run()
        dual = self.solver.getSolution().row_dual
        out = {stage: np.abs(np.array([dual[row] for row in rows])) for stage, rows in self.rows.items()}
        for stage in ("dies", "stacks"):
            out[stage] = out[stage][::-1].cumsum()[::-1]
        return out


def way_round(result: SupplyResult, year: int, target: float, since: str = "2026Q1", samples: int = 200) -> WayRound:
    """The cheapest purchases from `since` on that bring `target` chips (910C equivalents) in a calendar year.

    Raises InfeasibleError where no sample reaches the target, with the most that the median sample reaches.
    """
    if year not in result.yearly("units.ascend"):
        raise InputError(Problem("the run does not cover this year", "year", year,
                                 ", ".join(str(y) for y in result.yearly("units.ascend"))))  # fmt: skip
    if since not in result.quarters:
        raise InputError(Problem("the run does not cover this quarter", "since", since, f"{result.quarters[0]} to {result.quarters[-1]}"))
    quarters = range(*result.timeline.year(year).indices(result.timeline.count))
    others = [range(*result.timeline.year(y).indices(result.timeline.count)) for y in result.timeline.years if y != year]
    first = result.quarters.index(since)
    plans = [_plan(case, quarters, target, first, [r for r in others if r.start >= first]) for case in cases(result, samples)]
    share = float(np.mean([plan.feasible for plan in plans]))
    if share == 0:
        most = float(np.median([plan.most for plan in plans]))
        raise InfeasibleError(f"no sample reaches {target:,.0f} chips in {year}", nearest=f"{most:,.0f} in the median sample")
    return WayRound(year, target, share, tuple(plans))


def _plan(case: Case, quarters: range, target: float, since: int, others: list[range]) -> Plan:
    programme = Programme(case, since)
    for kept in others:
        programme.keep(kept)
    most = programme.most(quarters)
    if most < target:
        return Plan(False, {}, float("nan"), float("nan"), most)
    cost, marginal, bought = programme.cheapest(quarters, target)
    return Plan(True, bought, cost, abs(marginal), most)


def shadow_prices(result: SupplyResult, samples: int = 200) -> Shadow:
    """Chips that one more die, stack or package start is worth by the quarter in which it comes."""
    duals = [Programme(replace(case, limit=dict.fromkeys(LEVERS, 0.0 * case.dies)), 0).duals() for case in cases(result, samples)]
    return Shadow(*(np.array([d[stage] for d in duals]) for stage in ("dies", "stacks", "assembly")))
