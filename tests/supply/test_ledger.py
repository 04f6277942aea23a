"""The wafer, die and HBM ledgers of the facts, to their printed digits."""

import numpy as np
import pytest

from wafer2token.supply import ledger
from wafer2token.supply.ledger import Units

GROSS = 79
SEMIANALYSIS_2024 = Units(507e3, 0)
SEMIANALYSIS_2025 = Units(152e3, 653e3)
TWO_YEARS = Units(507e3 + 152e3, 653e3)


@pytest.mark.parametrize(
    ("dies", "low", "high"),
    [
        (ledger.dies_needed(Units(0, 200e3), 0.75), 1.1e3, 2.8e3),
        (ledger.dies_needed(SEMIANALYSIS_2025, 0.75), 4.0e3, 10.0e3),
        (1.6e6, 3.4e3, 8.4e3),
    ],
)
def test_wafers_that_published_units_imply(dies, low, high):
    got = ledger.wafers_needed(dies, GROSS, np.array([0.5, 0.2]))
    assert got == pytest.approx([low, high], rel=0.035)


def test_unknown_allocation_outweighs_yield():
    assert 50e3 / 5e3 == 10
    assert 0.5 / 0.2 == 2.5


@pytest.mark.parametrize(("attach", "used"), [(1.0, 1.97), (0.85, 2.32), (0.75, 2.62)])
def test_dies_of_2024_and_2025_lie_inside_the_bank(attach, used):
    dies = ledger.dies_needed(TWO_YEARS, attach, attach)
    assert dies / 1e6 == pytest.approx(used, abs=0.01)
    assert ledger.balance(2.9e6, dies).short == 0
    short = ledger.balance(2.0e6, dies).short
    assert ledger.wafers_needed(short, GROSS, 0.35, years=2) <= 1000


@pytest.mark.parametrize(("attach", "used"), [(1.0, 7.86), (0.85, 9.25), (0.75, 10.48)])
def test_stacks_of_2024_and_2025(attach, used):
    stacks = ledger.stacks_needed(TWO_YEARS, 4, 8, attach, attach)
    assert stacks / 1e6 == pytest.approx(used, abs=0.01)
    assert 2.5 <= ledger.balance(13e6, stacks).left / 1e6 <= 5.2


def test_semianalysis_ledger_closes_at_the_packaging_loss_of_csis():
    """300,000 chips are left for 2026 only if attach loses 20 to 25 %."""
    loss = np.array([0.0, 0.15, 0.20, 0.25])
    left = ledger.balance(13e6, ledger.stacks_needed(TWO_YEARS, 4, 8, 1 - loss, 1 - loss)).left
    packages = ledger.packages_left(left, 8, 1 - loss)
    assert packages[0] > 600e3
    assert packages[2] > 300e3 > packages[3]


def test_plan_of_2026_needs_more_stacks_than_are_left():
    need = ledger.stacks_needed(Units(400e3, 600e3), 4, 8, 1.0, 1.0)
    left = ledger.balance(13e6, ledger.stacks_needed(TWO_YEARS, 4, 8, np.array([1.0, 0.75]), np.array([1.0, 0.75]))).left
    assert need / 1e6 == pytest.approx(6.4)
    assert (need - left) / 1e6 == pytest.approx([1.26, 3.88], abs=0.02)
