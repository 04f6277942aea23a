"""``validate kernels`` and ``calibrate kernels``: the chip's and the fabric's halves as one."""

from __future__ import annotations

from wafer2token.catalog import all_cards
from wafer2token.evidence.tables import read_rows
from wafer2token.evidence.validation import Point, Validation, group


def validate(points: str | None = None) -> Validation:
    """Kernel and collective times against measurements.

    Args:
        points: a table of the user's own (gemm, attention or collectives; columns as in docs/points.md); None for
            the measurements that come with the package.
    """
    from wafer2token.chip.validate import kernel_points, shipped
    from wafer2token.fabric import validate as collectives

    scored: list[Point] = []
    if points is None:
        scored = kernel_points(shipped()) + collectives.collective_points(collectives.shipped())
    else:
        raw = read_rows(points)
        if collectives.is_collectives(raw):
            scored = collectives.collective_points(collectives.rows_of(raw))
        else:
            from wafer2token.chip.points import rows_of

            scored = kernel_points(rows_of(raw))
    return Validation("kernels", group(scored), tuple(scored), note=_note())


def _note() -> str:
    noise = sorted(
        (c.target, c.family, float(c.fit.bias))
        for c in all_cards("calibration").values()
        if c.subject == "chip" and c.default and c.dtype == "bf16" and c.fit is not None and c.family == "gemm"
    )
    floors = ", ".join(f"{chip} {bias:.0%}" for chip, _, bias in noise)
    return (
        "baseline: plain roofline at one constant efficiency. Noise floor (median difference between software stacks on "
        f"the same chip, bf16 products): {floors}. Flagged rows were never fitted and stand in groups of their own."
    )
