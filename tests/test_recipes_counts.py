"""recipes.counts: one row is no rows."""

from __future__ import annotations

from recipes.counts import counted


def test_a_number_agrees_with_its_noun() -> None:
    assert [counted(number, "row") for number in (0, 1, 2, 1200)] == ["0 rows", "1 row", "2 rows", "1,200 rows"]
