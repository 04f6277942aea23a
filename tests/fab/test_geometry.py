"""Gross dies per wafer: golden values of the facts, agreement of the formulas, the exact grid."""

import numpy as np
import pytest

from wafer2token.fab import geometry

MM = 1e-3
WAFER, EDGE, SCRIBE = 0.3, 3e-3, 1e-4


@pytest.mark.parametrize(
    ("area_mm2", "side_mm", "simple", "edge", "grid"),
    [(456.25, 21.36, 124, 120, 124), (665.61, 25.8, 80, 78, 82), (107.0, 10.34, 596, 573, 572), (814, 28.53, 63, 62, 68)],
)
def test_golden_gross_dies(area_mm2, side_mm, simple, edge, grid):
    side = side_mm * MM
    assert geometry.dies_per_wafer_simple(area_mm2 * 1e-6, WAFER) == pytest.approx(simple, abs=0.6)
    assert geometry.dies_per_wafer_edge(side, side, WAFER, EDGE, SCRIBE) == pytest.approx(edge, abs=0.6)
    assert geometry.dies_per_wafer_grid(side, side, WAFER, EDGE, SCRIBE, offsets=12) == grid


@pytest.mark.parametrize("side_mm", [25.8, 21.36, 28.53, 14.0])
def test_exact_grid_is_at_least_any_sampled_grid_and_near_it(side_mm):
    side = side_mm * MM
    exact = geometry.dies_per_wafer_grid(side, side, WAFER, EDGE, SCRIBE)
    sampled = geometry.dies_per_wafer_grid(side, side, WAFER, EDGE, SCRIBE, offsets=60)
    assert sampled <= exact <= sampled + 3


def test_three_formulas_agree_within_ten_percent_for_reticle_size_dies():
    side = np.sqrt(665.61) * MM
    counts = [
        float(geometry.dies_per_wafer_simple(side**2, WAFER)),
        float(geometry.dies_per_wafer_edge(side, side, WAFER, EDGE, SCRIBE)),
        geometry.dies_per_wafer_grid(side, side, WAFER, EDGE, SCRIBE),
    ]
    assert max(counts) / min(counts) < 1.10


def test_grid_never_exceeds_area():
    for side_mm in (10.34, 20.0, 26.0):
        side = side_mm * MM
        count = geometry.dies_per_wafer_grid(side, side, WAFER, EDGE, SCRIBE, offsets=10)
        assert count * side**2 <= np.pi * (WAFER / 2 - EDGE) ** 2


def test_vector_equals_scalar():
    areas = np.array([1e-4, 4e-4, 8e-4])
    got = geometry.dies_per_wafer_simple(areas, WAFER)
    assert got == pytest.approx([float(geometry.dies_per_wafer_simple(a, WAFER)) for a in areas])


def test_reticle():
    field = (26 * MM, 33 * MM)
    assert geometry.fits_reticle(25.8 * MM, 25.8 * MM, *field)
    assert geometry.fits_reticle(33 * MM, 26 * MM, *field)
    assert not geometry.fits_reticle(28.53 * MM, 28.53 * MM, *field)
    assert geometry.reticle_utilisation(13 * MM, 16.5 * MM, *field) == pytest.approx(1.0)
    assert geometry.reticle_utilisation(25.8 * MM, 25.8 * MM, *field) == pytest.approx(25.8**2 / 858)
    assert geometry.reticle_utilisation(40 * MM, 5 * MM, *field) == 0
