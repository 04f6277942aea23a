"""Options are plain JSON of a known form, every axis has a name and a unit, and every chart carries its data."""

import json

import jsonschema
import pytest

from wafer2token import report
from wafer2token.report.charts.flows import _layers
from wafer2token.report.parts import FUNCTIONS

SCHEMA = {
    "type": "object",
    "required": ["series", "tooltip", "aria", "animation"],
    "properties": {
        "animation": {"const": False},
        "series": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["type", "data"],
                "properties": {
                    "type": {"enum": ["bar", "custom", "graph", "heatmap", "line", "sankey", "scatter"]},
                    "data": {"type": "array"},
                },
            },
        },
        "xAxis": {"$ref": "#/$defs/axes"},
        "yAxis": {"$ref": "#/$defs/axes"},
        "grid": {"type": ["object", "array"]},
    },
    "$defs": {
        "axis": {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"enum": ["value", "log", "category", "time"]}},
        },
        "axes": {"anyOf": [{"$ref": "#/$defs/axis"}, {"type": "array", "items": {"$ref": "#/$defs/axis"}}]},
    },
}


def walk(value):
    yield value
    if isinstance(value, dict):
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from walk(item)


def test_option_is_json_of_the_known_form(chart):
    option = json.loads(json.dumps(chart.option, allow_nan=False))
    jsonschema.validate(option, SCHEMA)


def test_functions_are_those_of_the_page(chart):
    assert {v["fn"] for v in walk(chart.option) if isinstance(v, dict) and "fn" in v} <= set(FUNCTIONS)


def test_axes_have_names_and_units(chart):
    axes = [a for key in ("xAxis", "yAxis") if isinstance(a := chart.option.get(key), dict) and a.get("show", True)]
    for axis in axes:
        if axis["type"] in ("value", "log"):
            assert axis["name"].endswith("]")
        elif axis["type"] == "time":
            assert axis["name"]


def test_every_chart_carries_words_and_data(chart):
    assert chart.alt
    assert chart.height >= 100
    assert chart.data.rows
    known = {column.key for column in chart.data.columns}
    assert all(known & set(row) for row in chart.data.rows)


def test_missing_values_become_null():
    nan = float("nan")
    chart = report.supply_bands(["q"], [nan], [nan], [nan], ["dies"], name="n", unit="u")
    assert json.dumps(chart.option, allow_nan=False)


def test_tornado_puts_the_largest_first_and_splits_one_sided_bars():
    drivers = [
        {"name": "small", "low": 9.0, "high": 11.0},
        {"name": "one-sided", "low": 6.0, "high": 2.0},
        {"name": "wide", "low": 5.0, "high": 12.0},
    ]
    chart = report.tornado(drivers, centre=10.0, name="n", unit="u")
    assert [row["name"] for row in chart.data.rows] == ["one-sided", "wide", "small"]
    low, high = (series["data"][0]["value"] for series in chart.option["series"])
    assert low == [0, 6.0, 10.0]
    assert high == [0, 2.0, 6.0]


def test_layers_put_inputs_just_before_their_first_user():
    layer = _layers(["late", "a", "b", "c"], [("a", "b"), ("b", "c"), ("late", "c")])
    assert layer == {"a": 0, "b": 1, "c": 2, "late": 1}


def test_a_cycle_is_refused():
    with pytest.raises(ValueError, match="cycle"):
        report.dependencies([{"id": "a"}, {"id": "b"}], [("a", "b"), ("b", "a")])


def test_empty_groups_do_not_break_the_validation_chart():
    chart = report.validation([], name="rate", unit="tokens/s")
    assert json.dumps(chart.option, allow_nan=False)
