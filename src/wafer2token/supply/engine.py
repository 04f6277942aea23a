"""Stocks and flows by quarter: wafers to dies, dies and stacks to packages. Mass is conserved at every step.

Arrays are [samples, quarters] unless said otherwise; counts, not SI rates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wafer2token import catalog
from wafer2token.evidence.sampling import draw
from wafer2token.package.hbm import stacks_per_month
from wafer2token.supply.dies import NodeYield, node_yield
from wafer2token.supply.door import GENERATIONS, POOLS, Door, Recipe, Starts, allocate, binding_stage
from wafer2token.supply.inputs import Inputs
from wafer2token.supply.timeline import QUARTER_S
from wafer2token.supply.tools import LINES, ToolLimits, tool_limits

Array = NDArray[np.float64]
USES = ("ascend_910", "ascend_950", "cambricon", "hygon", "phones", "lost", "unmade")


@dataclass(frozen=True)
class Supplies:
    """What arrives at the packaging door each quarter, before any stock.

    wafers: use -> wafers out of the fabs, over history and quarters [samples, history + quarters]; planned until
    `settle` moves to phones what Huawei did not take. good: usable Ascend dies on those wafers, likewise. dies: good
    dies arriving by kind (bank, cambricon, hygon; after `settle` ascend_910 and ascend_950 too). stacks: stacks
    arriving by source for Huawei. kirin: good phone dies arriving.
    """

    wafers: Mapping[str, Array]
    good: Mapping[str, Array]
    dies: Mapping[str, Array]
    stacks: Mapping[str, Array]
    stacks_others: Array
    assembly: Array
    demand: Array
    yields: NodeYield
    kirin: Array


def shares(inputs: Inputs) -> dict[str, Array]:
    """Shares of the shared wafers by use, [samples, history + quarters]; they sum to 1.

    Ascend is served first; where the shares claimed exceed 1, Cambricon and Hygon share what is left in proportion.
    """
    ascend = np.clip(inputs.all("ascend_share"), 0.0, 1.0)
    cambricon, hygon = inputs.all("cambricon_share"), inputs.all("hygon_share")
    wanted = cambricon + hygon
    scale = np.where(wanted > 1.0 - ascend, (1.0 - ascend) / np.where(wanted > 0, wanted, 1.0), 1.0)
    cambricon, hygon = cambricon * scale, hygon * scale
    return {"ascend": ascend, "cambricon": cambricon, "hygon": hygon,
            "phones": np.clip(1.0 - ascend - cambricon - hygon, 0.0, 1.0)}  # fmt: skip


def split_wafers(inputs: Inputs, limits: ToolLimits | None = None) -> dict[str, Array]:
    """Wafers by use, [samples, history + quarters]; the uses sum to the wafers claimed, "unmade" being those that the
    tools do not carry. The lines share the limit of the tools in proportion."""
    made = (limits or tool_limits(inputs)).made
    share = shares(inputs)
    loss = inputs.all("wafer_loss")
    planned = {name: inputs.all(name) * QUARTER_S for name in LINES}
    shared = (planned["smic_wafers"] + planned["huahong_wafers"]) * made
    own = planned["huawei_fab_wafers"] * made
    own_ascend = np.clip(inputs.all("huawei_fab_ascend_share"), 0.0, 1.0)
    ascend = (shared * share["ascend"] + own * own_ascend) * (1.0 - loss)
    newer = np.clip(inputs.all("share_950"), 0.0, 1.0)
    return {
        "ascend_910": ascend * (1.0 - newer),
        "ascend_950": ascend * newer,
        "cambricon": shared * share["cambricon"] * (1.0 - loss),
        "hygon": shared * share["hygon"] * (1.0 - loss),
        "phones": (shared * share["phones"] + own * (1.0 - own_ascend)) * (1.0 - loss),
        "lost": (shared + own) * loss,
        "unmade": np.asarray(sum(planned.values())) * (1.0 - made),
    }


def delayed(flow: Array, lag: Array, history: int) -> Array:
    """A flow over history and quarters as it arrives after `lag` quarters [samples]; a fraction splits each quarter.

    What leaves in quarter j arrives in j + floor(lag) and the quarter after it, in shares that sum to 1.
    """
    whole = np.floor(lag).astype(int)
    part = (lag - whole)[:, None]
    columns = np.arange(history, flow.shape[1])[None, :] - whole[:, None]
    rows = np.arange(len(flow))[:, None]
    return np.asarray((1.0 - part) * flow[rows, columns] + part * flow[rows, columns - 1])


def first_quarters(inputs: Inputs, total: Array, in_hand: Array, quarters: int) -> Array:
    """A stock built up over the first quarters: `in_hand` of it in the first, the rest in equal parts over all."""
    out = np.zeros((inputs.samples, inputs.timeline.count))
    out[:, 0] += total * in_hand
    out[:, :quarters] += (total * (1.0 - in_hand) / quarters)[:, None]
    return out


def stack_arrivals(inputs: Inputs) -> tuple[dict[str, Array], Array]:
    """Stacks arriving per quarter by source for Huawei, and for all others.

    The stockpile arrives until 2024Q3, the rush of December 2024 in 2024Q4 as far as shipping is open then; later
    quarters import what China would buy, as far as shipping is open.
    """
    share = np.clip(inputs.now("hbm_huawei_share"), 0.0, 1.0)
    to_huawei = np.clip(inputs.now("cxmt_huawei_share"), 0.0, 1.0)
    total, rush = inputs.one("hbm_foreign"), np.minimum(inputs.one("hbm_rush"), inputs.one("hbm_foreign"))
    open_now = np.clip(inputs.now("hbm_open"), 0.0, 1.0)
    foreign = first_quarters(inputs, total - rush, inputs.one("hbm_in_hand"), 3)
    foreign[:, 1:] *= open_now[:, 1:]
    if inputs.timeline.count > 3:
        foreign[:, 3] += rush * np.minimum(open_now[:, 3] / _share_of_2024q4(), 1.0)
    foreign[:, 4:] += (inputs.now("hbm_import_rate") * open_now)[:, 4:] * QUARTER_S
    cxmt, smuggled = inputs.now("hbm_cxmt") * QUARTER_S, inputs.now("hbm_smuggled") * QUARTER_S
    smuggled = smuggled * (1.0 - open_now)
    xmc = xmc_stacks(inputs)
    huawei = {"foreign": foreign * share, "cxmt": cxmt * to_huawei, "xmc": xmc, **own_stacks(inputs),
              "smuggled": smuggled * share}  # fmt: skip
    return huawei, (foreign + smuggled) * (1.0 - share) + cxmt * (1.0 - to_huawei)


def xmc_stacks(inputs: Inputs) -> Array:
    """Stacks per quarter of XMC's line for Huawei: wafers x dies x yield / layers (see `package.hbm`)."""
    per_wafer = stacks_per_month(1.0, inputs.one("hbm_dies")[:, None], inputs.now("hbm_yield"), 1.0, inputs.one("hbm_height")[:, None])
    return np.asarray(inputs.now("xmc_wafers") * QUARTER_S * per_wafer)


def own_stacks(inputs: Inputs) -> dict[str, Array]:
    """Stacks per quarter of Huawei's own memory by generation: what would be HiBL, and of its share that is bonded as
    HiZQ what comes good at HiZQ's yield."""
    total, newer = inputs.now("hbm_own") * QUARTER_S, np.clip(inputs.now("hizq_share"), 0.0, 1.0)
    ratio = inputs.one("yield_hizq") / np.maximum(inputs.one("yield_hibl"), 1e-9)
    return {"hibl": total * (1.0 - newer), "hizq": total * newer * ratio[:, None]}


def _share_of_2024q4() -> float:
    """Share of 2024Q4 before the compliance date of the HBM rule (31 December)."""
    return 91.0 / 92.0


def supplies(inputs: Inputs, limits: ToolLimits | None = None) -> Supplies:
    """Everything that arrives, from the inputs alone; limits of the tools where they are known already."""
    history = inputs.timeline.history
    lag = lag_quarters(inputs)
    wafers = split_wafers(inputs, limits)
    node = node_yield(inputs)
    old, new = node.gross_910b[:, None] * node.usable_910b, node.gross_950[:, None] * node.usable_950
    dies = {use: delayed(wafers[use] * old, lag, history) for use in ("cambricon", "hygon")}
    dies["bank"] = first_quarters(inputs, inputs.one("die_bank"), inputs.one("die_bank_in_hand"), 3)
    dies["bank"][:, 3:] += (inputs.now("die_bank_rate") * QUARTER_S)[:, 3:]
    huawei, others = stack_arrivals(inputs)
    imports = price("h20", inputs)[:, None] * trailing_year(h20(inputs))
    demand = np.maximum(inputs.now("demand") * QUARTER_S - imports, 0.0) / price("ascend_910c", inputs)[:, None]
    return Supplies(
        wafers=wafers,
        good={"ascend_910": wafers["ascend_910"] * old, "ascend_950": wafers["ascend_950"] * new},
        dies=dies,
        stacks=huawei,
        stacks_others=others,
        assembly=inputs.now("assembly_starts") * QUARTER_S,
        demand=demand,
        yields=node,
        kirin=np.zeros((inputs.samples, inputs.timeline.count)),
    )


def lag_quarters(inputs: Inputs) -> Array:
    """Quarters from the fab to the packaging door, [samples]."""
    return np.clip(inputs.one("output_lag") / QUARTER_S, 0.0, inputs.timeline.history - 1.0)


def settle(inputs: Inputs, planned: Supplies, taken: Mapping[str, Array]) -> Supplies:
    """Supplies as they came to be: of the planned Ascend wafers the share `taken`, the rest made into phone dies."""
    lag, history, node = lag_quarters(inputs), inputs.timeline.history, planned.yields
    kept = {use: planned.wafers[use] * share for use, share in taken.items()}
    moved = np.asarray(sum(planned.wafers[use] - kept[use] for use in taken))
    wafers = {**planned.wafers, **kept, "phones": planned.wafers["phones"] + moved}
    dies = {use: delayed(planned.good[use] * share, lag, history) for use, share in taken.items()}
    kirin = delayed(wafers["phones"] * node.gross_kirin[:, None] * node.kirin, lag, history)
    return replace(planned, wafers=wafers, dies={**planned.dies, **dies}, kirin=kirin)


def h20(inputs: Inputs) -> Array:
    """H20 delivered per quarter: what NVIDIA can ship, through the American and then the Chinese gate."""
    return inputs.now("h20_vendor") * inputs.now("h20_licence") * inputs.now("h20_acceptance") * QUARTER_S


def trailing_year(flow: Array) -> Array:
    """A flow averaged over its quarter and up to three before it: buyers who rush ahead of a rule order less later."""
    total = np.cumsum(flow, axis=1)
    earlier = np.concatenate([np.zeros((len(flow), 4)), total], axis=1)[:, : flow.shape[1]]
    return np.asarray((total - earlier) / np.minimum(np.arange(flow.shape[1]) + 1, 4))


def price(chip: str, inputs: Inputs) -> Array:
    """Price of a chip by its card [USD], [samples]."""
    return draw(catalog.number(f"chip.{chip}.price"), f"chip.{chip}.price", inputs.samples, inputs.seed)


@dataclass(frozen=True)
class Packaging:
    """What the packaging stage did, all [samples, quarters]: starts, stocks at the end of a quarter, what was binding."""

    starts_950: Array
    starts_pairs: Array
    from_bank: Array
    stock_bank: Array
    stock_910: Array
    stock_950: Array
    stock_stacks: Array
    stacks_by_generation: Mapping[str, Array]
    used_by_generation: Mapping[str, Array]
    won_by_generation: Mapping[str, Array]
    hizq_share: Array
    dies_used: Mapping[str, Array]
    stacks_used: Array
    dies_won: Mapping[str, Array]
    stacks_won: Array
    orders: Array
    taken: Mapping[str, Array]
    binding: NDArray[np.int8]


class Pipeline:
    """Ascend dies between the fab and the packaging door, and how many more Huawei takes.

    In every quarter it takes as many of the planned dies as bring what it holds and has on the way, bank dies left out,
    up to `cover` quarters of its package capacity, the newer dies first.
    """

    def __init__(self, inputs: Inputs, arriving: Supplies):
        lag = lag_quarters(inputs)
        self.history = inputs.timeline.history
        self.whole, self.rows = np.floor(lag).astype(int), np.arange(inputs.samples)
        self.part = lag - self.whole
        self.planned = arriving.good
        self.taken = {use: np.ones_like(good) for use, good in arriving.good.items()}
        self.cover = inputs.now("die_cover") / QUARTER_S
        self.on_the_way = {use: self._before(good) for use, good in arriving.good.items()}

    def _before(self, good: Array) -> Array:
        """What had left the fab but not arrived when the first quarter began."""
        age = self.history - 1 - np.arange(self.history)[None, :]
        share = np.clip(self.whole[:, None] + self.part[:, None] - age, 0.0, 1.0)
        return np.asarray((good[:, : self.history] * share).sum(axis=1))

    def step(self, q: int, held: Array, capacity: Array) -> dict[str, Array]:
        """Takes dies in quarter q and returns the good dies that arrive in it, by use."""
        room = np.maximum(self.cover[:, q] * 2.0 * capacity - held - sum(self.on_the_way.values()), 0.0)
        column, arrived = self.history + q, {}
        for use in ("ascend_950", "ascend_910"):
            planned = self.planned[use][:, column]
            take = np.minimum(planned, room)
            self.taken[use][:, column] = np.where(planned > 0, take / np.where(planned > 0, planned, 1.0), 1.0)
            room = room - take
            late = self._made(use, column - self.whole), self._made(use, column - self.whole - 1)
            arrived[use] = (1.0 - self.part) * late[0] + self.part * late[1]
            self.on_the_way[use] = np.maximum(self.on_the_way[use] + take - arrived[use], 0.0)
        return arrived

    def _made(self, use: str, columns: NDArray[np.int64]) -> Array:
        return np.asarray(self.planned[use][self.rows, columns] * self.taken[use][self.rows, columns])


def package(inputs: Inputs, arriving: Supplies) -> Packaging:
    """Runs Huawei's packaging quarter by quarter.

    Bank and SMIC dies are one stock for the assembler and are used in proportion. Scrapped packages take their parts
    along, except the share that rework wins back into the stocks of the next quarter. Orders that are not met stay on
    the book (in 2024 buyers had ordered several times what they received).
    """
    samples, count = inputs.samples, inputs.timeline.count
    kinds = ("bank", "910", "950", *POOLS)
    parts = [f"{part}_{kind}" for part in ("stock", "used", "won") for kind in kinds]
    out = {name: np.zeros((samples, count), order="F") for name in ("starts_950", "starts_pairs", "from_bank", "hizq_share", "orders", *parts)}
    binding = np.zeros((samples, count), np.int8, order="F")
    stock = {kind: np.zeros(samples) for kind in kinds}
    attach, singles = inputs.now("attach_yield"), np.clip(inputs.now("share_910b"), 0.0, 1.0)
    rework = np.clip(inputs.now("rework"), 0.0, 1.0)
    orders, pipeline = np.zeros(samples), Pipeline(inputs, arriving)
    pair_stacks = singles * 2.0 * inputs.now("stacks_910b") + (1.0 - singles) * inputs.now("stacks_910c")
    for q in range(count):
        arrived = pipeline.step(q, stock["910"] + stock["950"], arriving.assembly[:, q])
        came = {"bank": arriving.dies["bank"][:, q], "910": arrived["ascend_910"], "950": arrived["ascend_950"]}
        for source, flow in arriving.stacks.items():
            generation = GENERATIONS[source]
            came[generation] = came.get(generation, 0.0) + flow[:, q]
        stock = {kind: held + came.get(kind, 0.0) for kind, held in stock.items()}
        orders = orders + arriving.demand[:, q]
        recipe = Recipe(inputs.now("stacks_950")[:, q], pair_stacks[:, q])
        own = stock["hibl"] + stock["hizq"]
        newest = np.where(own > 0, stock["hizq"] / np.where(own > 0, own, 1.0), 0.0)
        door = Door(stock["bank"] + stock["910"], stock["950"], stock["hbm2e"], stock["hbm3"], own,
                    arriving.assembly[:, q], orders / attach[:, q])  # fmt: skip
        starts = allocate(door, recipe)
        binding[:, q] = binding_stage(door, recipe)
        from_bank = np.where(door.dies_910 > 0, stock["bank"] / np.where(door.dies_910 > 0, door.dies_910, 1.0), 0.0)
        lost_pairs = singles[:, q] * (1.0 - np.sqrt(attach[:, q])) + (1.0 - singles[:, q]) * (1.0 - attach[:, q])
        used, won = _parts(starts, from_bank, newest, lost_pairs * rework[:, q], (1.0 - attach[:, q]) * rework[:, q])
        stock = {kind: np.maximum(held - used[kind], 0.0) + won[kind] for kind, held in stock.items()}
        orders = np.maximum(orders - starts.packages * attach[:, q], 0.0)
        row = {"orders": orders, "starts_950": starts.newer, "starts_pairs": starts.pairs, "from_bank": from_bank}
        row["hizq_share"] = used["hizq"] / np.maximum(starts.newer * recipe.stacks_950, 1e-9)
        for part, values in (("stock", stock), ("used", used), ("won", won)):
            row |= {f"{part}_{kind}": values[kind] for kind in kinds}
        for name, column in row.items():
            out[name][:, q] = column

    def total(part: str) -> Array:
        return np.asarray(sum(out[f"{part}_{pool}"] for pool in POOLS))

    dies = ("bank", "910", "950")
    return Packaging(
        starts_950=out["starts_950"], starts_pairs=out["starts_pairs"], from_bank=out["from_bank"],
        stock_bank=out["stock_bank"], stock_910=out["stock_910"], stock_950=out["stock_950"], stock_stacks=total("stock"),
        stacks_by_generation={kind: out[f"stock_{kind}"] for kind in POOLS},
        used_by_generation={kind: out[f"used_{kind}"] for kind in POOLS}, won_by_generation={kind: out[f"won_{kind}"] for kind in POOLS}, hizq_share=out["hizq_share"], dies_used={k: out[f"used_{k}"] for k in dies},
        stacks_used=total("used"), dies_won={k: out[f"won_{k}"] for k in dies}, stacks_won=total("won"),
        orders=out["orders"], taken=pipeline.taken, binding=binding,
    )  # fmt: skip


def _parts(starts: Starts, from_bank: Array, newest: Array, won_pairs: Array, won_newer: Array) -> tuple[dict[str, Array], dict[str, Array]]:
    """Dies and stacks that the starts use, and those that rework wins back, by kind; won_* are shares of the starts,
    `newest` is the share of HiZQ in the stock of Huawei's own memory, used in proportion."""
    pairs, newer = 2.0 * starts.pairs, 2.0 * starts.newer
    used = {"bank": pairs * from_bank, "910": pairs * (1.0 - from_bank), "950": newer}
    won = {"bank": used["bank"] * won_pairs, "910": used["910"] * won_pairs, "950": newer * won_newer}
    whole = np.ones_like(newest)
    parts = {"hbm2e": whole, "hbm3": whole, "hibl": 1.0 - newest, "hizq": newest}
    for kind, pool in POOLS.items():
        older, newer_stacks = starts.stacks_pairs[pool] * parts[kind], starts.stacks_newer[pool] * parts[kind]
        used[kind] = older + newer_stacks
        won[kind] = older * won_pairs + newer_stacks * won_newer
    return used, won


def others(inputs: Inputs, arriving: Supplies) -> dict[str, Array]:
    """Chips of the other domestic firms per quarter: their dies, and the stacks that are not Huawei's.

    Single-die packages; where stacks are short, firms share them in proportion to the dies that stand ready. Returns
    units and the stocks left of dies and stacks.
    """
    count = inputs.timeline.count
    attach, need = np.sqrt(inputs.now("attach_yield")), inputs.now("stacks_other")
    names = ("cambricon", "hygon")
    out = {f"{name}.{part}": np.zeros((inputs.samples, count)) for name in names for part in ("starts", "units", "stock")}
    out["stacks.stock"] = np.zeros((inputs.samples, count))
    out["stacks.used"] = np.zeros((inputs.samples, count))
    dies = dict.fromkeys(names, np.zeros(inputs.samples))
    stacks = np.zeros(inputs.samples)
    for q in range(count):
        stacks = stacks + arriving.stacks_others[:, q]
        ready = {name: dies[name] + arriving.dies[name][:, q] for name in names}
        wanted = np.asarray(sum(ready.values())) * need[:, q]
        served = np.minimum(stacks / np.where(wanted > 0, wanted, 1.0), 1.0)
        stacks = np.maximum(stacks - wanted * served, 0.0)
        for name in names:
            starts = ready[name] * served
            dies[name] = ready[name] - starts
            out[f"{name}.starts"][:, q], out[f"{name}.stock"][:, q] = starts, dies[name]
            out[f"{name}.units"][:, q] = starts * attach[:, q]
            out["stacks.used"][:, q] += starts * need[:, q]
        out["stacks.stock"][:, q] = stacks
    return out


def imported(inputs: Inputs) -> dict[str, Array]:
    """Chips arriving per quarter outside domestic production: licensed, unrestricted, smuggled.

    A licensed import is the least of the American licence, Chinese acceptance and what the vendor can ship.
    """
    h200 = np.minimum(inputs.now("h200_vendor") * inputs.now("h200_licence"), inputs.now("h200_acceptance")) * QUARTER_S
    frontier = inputs.now("nvidia_world") * inputs.now("china_share_open") * inputs.now("frontier_open") * QUARTER_S
    return {"h20": h20(inputs), "h200_sxm": h200, "frontier": frontier,
            "smuggled": inputs.now("smuggled_chips") * QUARTER_S * (1.0 - inputs.now("frontier_open"))}  # fmt: skip


class Survival:
    """Chips in service from chips delivered: a cohort loses a share each quarter after its delivery and retires at the
    end of its life.

    attrition (share lost per quarter) is [samples, quarters], life [samples] in quarters, history the quarters of
    deliveries before the first.
    """

    def __init__(self, attrition: Array, life: Array, history: int = 0):
        samples, count = attrition.shape
        before = np.broadcast_to(attrition[:, :1], (samples, history))
        self.history = history
        self.keep = np.cumprod(1.0 - np.concatenate([before, attrition], axis=1), axis=1)
        columns = np.arange(history + count)[None, :] + 1
        self.oldest = np.clip(columns - np.maximum(np.round(life), 1).astype(int)[:, None], 0, None)

    def of(self, delivered: Array) -> Array:
        """Chips in service at the end of each quarter; delivered is [samples, history + quarters]."""
        total = np.zeros((len(delivered), delivered.shape[1] + 1))
        np.cumsum(delivered / self.keep, axis=1, out=total[:, 1:])
        return np.asarray((self.keep * (total[:, 1:] - np.take_along_axis(total, self.oldest, axis=1)))[:, self.history :])
