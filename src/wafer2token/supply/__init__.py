"""Stocks and flows by quarter: what is made, what binds, who owns what."""

from wafer2token.supply.inputs import Inputs, read_inputs
from wafer2token.supply.result import SupplyResult
from wafer2token.supply.run import evaluate, supply
from wafer2token.supply.scenario import Scenario, read_scenario, scenarios
from wafer2token.supply.timeline import Timeline

__all__ = ["Inputs", "Scenario", "SupplyResult", "Timeline", "evaluate", "read_inputs", "read_scenario", "scenarios", "supply"]
