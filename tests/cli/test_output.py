from hypothesis import given
from hypothesis import strategies as st

from wafer2token.cli.output import column_widths


@given(st.lists(st.lists(st.text("ab ", max_size=60), min_size=1, max_size=4), min_size=1, max_size=6))
def test_columns_fit_or_stand_at_their_longest_word(columns):
    widths = column_widths(columns, 80)
    longest = [min(max(len(w) for c in cells for w in c.split() or [""]), 24) for cells in columns]
    assert all(w >= m for w, m in zip(widths, longest, strict=True))
    assert sum(widths) + 3 * len(columns) <= 80 or widths == longest


def test_short_tables_keep_their_natural_width():
    assert column_widths([["measure", "peak"], ["a", "1 W"]], 80) == [7, 3]
