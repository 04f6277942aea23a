"""Charts as pure functions: plain data in, one ``Chart`` out."""

from wafer2token.report.charts.compare import claims_table, side_by_side, tornado
from wafer2token.report.charts.curves import frontier, roofline, validation
from wafer2token.report.charts.flows import dependencies, sankey
from wafer2token.report.charts.lines import lines
from wafer2token.report.charts.times import binding, status_timeline, supply_bands, timeline

__all__ = [
    "binding",
    "claims_table",
    "dependencies",
    "frontier",
    "lines",
    "roofline",
    "sankey",
    "side_by_side",
    "status_timeline",
    "supply_bands",
    "timeline",
    "tornado",
    "validation",
]
