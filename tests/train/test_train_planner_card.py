"""What is taken where nothing is stated stands on a card, and a scenario can change it."""

import pytest

from wafer2token.catalog import get, overlay
from wafer2token.evidence.errors import InfeasibleError
from wafer2token.evidence.number import Number
from wafer2token.train import train
from wafer2token.train.calibration import planner


def test_numbers_have_units_and_say_that_they_are_assumed():
    card = get("training", "planner")
    assert planner("host_link") == 32e9
    assert planner("optimizer_traffic") == 3 * 2 * 4 + 4 + 2
    assert {number.grade for _, number in card.numbers()} == {"assumed"}


def test_reserve_of_the_card_limits_the_search():
    reserve = Number.parse({"value": 0.95, "grade": "assumed", "source": ["assumption"]}, "1", "")
    train("llama_3_1_8b", "dgx_h100", 8, 1e9, samples=None, global_batch=64)
    with overlay({"training.planner.memory_reserve": reserve}), pytest.raises(InfeasibleError):
        train("llama_3_1_8b", "dgx_h100", 8, 1e9, samples=None, global_batch=64)


def test_default_batch_follows_the_card():
    small = Number.parse({"value": "1048576 token", "grade": "assumed", "source": ["assumption"]}, "token", "")
    with overlay({"training.planner.step_tokens": small}):
        result = train("llama_3_1_8b", "dgx_h100", 64, 1e9, samples=None)
    assert result.global_batch * result.seq_len == 2**20
