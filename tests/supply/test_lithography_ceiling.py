"""The lithography ceiling: scanners add up, service and EUV matter, claims need a small share of the fleet."""

import numpy as np
import pytest

from wafer2token.supply import Timeline, read_inputs
from wafer2token.supply.tools import lithography_ceiling


def ceiling(**changes):
    return lithography_ceiling(read_inputs(Timeline.until("2028Q4"), 800, 0, changes))


def test_a_fleet_of_the_facts_carries_what_the_facts_derive():
    """80 scanners at 275 wafers/h, 65 % and 45 passes would carry 229,000 wafers a month, were all on 7 nm."""
    found = ceiling(immersion_fleet="80 tool", immersion_imports="0 tool/year", arfi_passes="45 exposure/wafer",
                    litho_efficiency=0.65, immersion_share=1.0)  # fmt: skip
    assert found.carried[:, 0] == pytest.approx(229e3, rel=2e-3)
    assert np.allclose(found.carried, found.carried_by_all)


def test_scanner_count_does_not_bind_at_seven_nanometres():
    found = ceiling()
    assert np.median(found.share_needed[:, 7]) < 0.15


def test_service_domestic_tools_and_euv():
    base, cut, euv = ceiling(), ceiling(**{"tool_service@2026-01": 0}), ceiling(**{"euv_share@2026-01": 1})
    assert np.array_equal(base.scanners[:, :8], cut.scanners[:, :8])
    assert np.all(cut.scanners[:, -1] < base.scanners[:, -1])
    assert np.all(euv.carried[:, -1] > base.carried[:, -1])
    assert np.all(ceiling(domestic_immersion="0 tool/year").scanners[:, -1] < base.scanners[:, -1])
