"""What export rules measure: pure equations in the units of the law, never rounded. Arrays broadcast.

References: 15 CFR 774 Supplement 1, ECCN 3A090 technical notes 1-4 and note to 3A090.c; ECCN 3B001.f.1.b note.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

Values: TypeAlias = Any  # a float or an array of floats


def tpp(dense_tops: Values, bits: Values) -> Values:
    """Total processing performance of one format [TOPS x bit].

    Args:
        dense_tops: dense operations per second [1e12 / s]; a multiply-accumulate counts as two, so a datasheet
            figure goes in as it stands (multiplying by two again is the known error).
        bits: largest bit length of the inputs to the multiplication [bit]; the accumulator does not count.

    References: ECCN 3A090 technical note 1. The value of an item is the largest over its formats (note 2),
    dense (note 3), summed over all processing units of the IC as sold (note 1.d).
    """
    return dense_tops * bits


def applicable_die_area(dies: Iterable[tuple[float, int, bool, bool]]) -> float:
    """Area of all logic dies on non-planar nodes [mm2] from (area_mm2, count, is_logic, is_nonplanar) rows.

    References: ECCN 3A090 technical note 4: I/O dies on FinFET nodes count, memory and planar interposers do not.
    """
    return sum(area * count for area, count, logic, nonplanar in dies if logic and nonplanar)


def performance_density(total: Values, area_mm2: Values) -> Values:
    """TPP over the applicable die area [TOPS x bit / mm2]. References: ECCN 3A090 technical note 4."""
    return total / area_mm2


def memory_bandwidth_density(bandwidth_gbs: Values, area_mm2: Values) -> Values:
    """Bandwidth [GB/s] over the area of the stack, or of the package that holds it [mm2]. References: note to 3A090.c."""
    return bandwidth_gbs / area_mm2


def minimum_resolvable_feature(wavelength_nm: Values, na: Values, k: Values) -> Values:
    """Wavelength x K / numerical aperture [nm]; K is a number of the rule, not of the tool. References: 3B001.f.1.b."""
    return wavelength_nm * k / na


def transistor_count(density_per_mm2: Values, area_mm2: Values) -> Values:
    """Approximated transistor count of a die: density of the node [1/mm2] x area [mm2]. References: Note 1 to 3A090.a."""
    return density_per_mm2 * area_mm2
