"""Charts of what flows into what: the chain from wafers to tokens, and the graph of quantities under a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wafer2token.report.blocks import GRADES, Chart, Column, Table
from wafer2token.report.palette import NEUTRAL, SERIES, TONES
from wafer2token.report.parts import base, legend
from wafer2token.report.words import amount, tip

_KINDS = {"flow": SERIES[0], "loss": TONES["bad"], "stock": SERIES[2], "use": SERIES[4], "outside": NEUTRAL}
_GRADE_COLOURS = (SERIES[2], SERIES[5], SERIES[0], SERIES[1], SERIES[7], SERIES[3], NEUTRAL)


def sankey(nodes: Sequence[Mapping[str, Any]], links: Sequence[Mapping[str, Any]], *, unit: str) -> Chart:
    """The chain as a flow in one common unit, losses as branches of their own.

    Each node: ``name`` (unique), ``kind`` (``flow``, ``loss``, ``stock``, ``use``, ``outside``), and perhaps ``text``,
    its amount in its own unit (``1.2 M wafers``). Each link: ``source``, ``target``, ``value`` in ``unit``.
    """
    column = _layers([str(n["name"]) for n in nodes], [(str(k["source"]), str(k["target"])) for k in links])
    lost = {str(n["name"]) for n in nodes if n.get("kind") == "loss"}
    fed = {str(k["target"]) for k in links}
    drawn = []
    for node in sorted(nodes, key=lambda n: _order(n, fed)):
        text = str(node.get("text", ""))
        label = f"{node['name']}\n{text}" if text else str(node["name"])
        drawn.append(
            {
                "name": node["name"],
                "depth": column[node["name"]],
                "itemStyle": {"color": _KINDS[node.get("kind", "flow")]},
                "label": {"formatter": label.replace("{", "(").replace("}", ")")},
                "tip": tip(str(node["name"]), ("amount", text)),
            }
        )
    edges = [
        {
            "source": link["source"],
            "target": link["target"],
            "value": float(link["value"]),
            "lineStyle": {"color": _KINDS["loss"] if link["target"] in lost else "source"},
            "tip": tip(f"{link['source']} → {link['target']}", ("flow", amount(link["value"], unit))),
        }
        for link in links
        if link["value"] > 0
    ]
    alt = "flow from " + " to ".join(str(n["name"]) for n in nodes if n.get("kind", "flow") != "loss")
    option = base(
        alt,
        series=[
            {
                "type": "sankey",
                "data": drawn,
                "links": edges,
                "left": 8,
                "right": _room(nodes, column),
                "top": 12,
                "bottom": 16,
                "nodeWidth": 14,
                "nodeGap": 18,
                "nodeAlign": "left",
                "draggable": False,
                "layoutIterations": 0,
                "emphasis": {"focus": "adjacency"},
                "lineStyle": {"opacity": 0.26, "curveness": 0.5},
                "label": {"position": "right", "fontSize": 12, "lineHeight": 16},
            }
        ],
    )
    columns = [Column("source", "from"), Column("target", "to"), Column("value", "flow", unit, "number")]
    return Chart(option, Table(columns, list(links)), alt, 440)


def _order(node: Mapping[str, Any], fed: set[str]) -> int:
    """What comes in from the side stands above the chain, what leaves it below, losses lowest: few crossings."""
    kind = node.get("kind", "flow")
    if kind in ("stock", "outside"):
        return 1 if node["name"] in fed else -1
    return 2 if kind == "loss" else 0


def _room(nodes: Sequence[Mapping[str, Any]], column: Mapping[str, int]) -> int:
    """Pixels for the labels right of the last column."""
    last = max(column.values(), default=0)
    lines = [str(n[key]) for n in nodes if column[n["name"]] == last for key in ("name", "text") if n.get(key)]
    return 16 + 7 * max((len(line) for line in lines), default=10)


def dependencies(nodes: Sequence[Mapping[str, Any]], edges: Sequence[tuple[str, str]]) -> Chart:
    """The graph of quantities under a result, laid out in layers from inputs (left) to the result (right).

    Each node: ``id``, and perhaps ``text`` (value with unit), ``grade``, ``source``. Each edge: (input id, user id).
    """
    layer = _layers([str(n["id"]) for n in nodes], edges)
    place = _places(layer, edges)
    tones = dict(zip((*GRADES, "computed"), _GRADE_COLOURS, strict=True))
    known = [str(n.get("grade") or "computed") for n in nodes]
    used = [g for g in tones if g in known]
    drawn = [
        {
            "name": n["id"],
            "value": [layer[n["id"]], -place[n["id"]]],
            "category": used.index(grade if grade in tones else "computed"),
            "label": {"formatter": f"{n['id']}\n{n.get('text', '')}".strip().replace("{", "(").replace("}", ")")},
            "tip": tip(str(n["id"]), ("value", str(n.get("text", ""))), ("grade", grade)),
        }
        for n, grade in zip(nodes, known, strict=True)
    ]
    alt = f"graph of {len(nodes)} quantities and what each needs"
    rows_high = max(place.values(), default=0) - min(place.values(), default=0)
    option = base(
        alt,
        legend=legend(used),
        grid={"left": 80, "right": 80, "top": 52, "bottom": 46},
        xAxis={"type": "value", "show": False, "min": 0, "max": max([*layer.values(), 1])},
        yAxis={"type": "value", "show": False, "scale": True},
        series=[
            {
                "type": "graph",
                "coordinateSystem": "cartesian2d",
                "layout": "none",
                "categories": [{"name": g, "itemStyle": {"color": tones[g]}} for g in used],
                "data": drawn,
                "links": [{"source": a, "target": b} for a, b in edges],
                "symbolSize": 11,
                "edgeSymbol": ["none", "arrow"],
                "edgeSymbolSize": 6,
                "lineStyle": {"opacity": 0.5, "width": 1, "curveness": 0.08},
                "label": {"show": True, "position": "bottom", "fontSize": 11, "lineHeight": 14},
                "emphasis": {"focus": "adjacency"},
            }
        ],
    )
    users: dict[str, list[str]] = {}
    for a, b in edges:
        users.setdefault(b, []).append(a)
    rows = [{**n, "needs": ", ".join(users.get(n["id"], []))} for n in nodes]
    columns = [Column("id", "quantity"), Column("text", "value"), Column("needs", "needs")]
    columns += [Column("grade", "grade", kind="grade"), Column("source", "source", kind="source")]
    return Chart(option, Table(columns, rows), alt, int(140 + 62 * rows_high))


def _layers(ids: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The layer of each node: one more than the deepest of its inputs; inputs stand just before their first user."""
    inputs: dict[str, list[str]] = {i: [] for i in ids}
    users: dict[str, list[str]] = {i: [] for i in ids}
    for a, b in edges:
        inputs[b].append(a)
        users[a].append(b)
    layer: dict[str, int] = {}

    def depth(node: str, path: tuple[str, ...]) -> int:
        if node in path:
            raise ValueError(f"the graph has a cycle through {node}")
        if node not in layer:
            layer[node] = 1 + max((depth(i, (*path, node)) for i in inputs[node]), default=-1)
        return layer[node]

    for node in ids:
        depth(node, ())
    for node in ids:
        if not inputs[node] and users[node]:
            layer[node] = min(layer[u] for u in users[node]) - 1
    return layer


def _places(layer: Mapping[str, int], edges: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Height of each node in its layer: ordered by the mean height of its neighbours, centred."""
    near: dict[str, list[str]] = {i: [] for i in layer}
    for a, b in edges:
        near[a].append(b)
        near[b].append(a)
    columns = [[i for i in layer if layer[i] == n] for n in range(max(layer.values(), default=0) + 1)]
    place = {node: float(row) - len(column) / 2 for column in columns for row, node in enumerate(column)}
    for _ in range(6):
        for column in (*columns, *reversed(columns)):
            column.sort(key=lambda n: (sum(place[m] for m in near[n]) / max(len(near[n]), 1), n))
            place |= {node: row - (len(column) - 1) / 2 for row, node in enumerate(column)}
    return place
