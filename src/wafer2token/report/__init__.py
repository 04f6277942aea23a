"""Tables, charts and the self-contained HTML page: plain data in, text out. Knows no engine, computes nothing."""

from wafer2token.report.blocks import Chart, Column, Section, Table
from wafer2token.report.charts import (
    binding,
    claims_table,
    dependencies,
    frontier,
    roofline,
    sankey,
    side_by_side,
    status_timeline,
    supply_bands,
    timeline,
    tornado,
    validation,
)
from wafer2token.report.page import page

__all__ = [
    "Chart",
    "Column",
    "Section",
    "Table",
    "binding",
    "claims_table",
    "dependencies",
    "frontier",
    "page",
    "roofline",
    "sankey",
    "side_by_side",
    "status_timeline",
    "supply_bands",
    "timeline",
    "tornado",
    "validation",
]
