"""The slices of the rows that seq2seq students are scored on."""

from __future__ import annotations

from pathlib import Path

import tuple_runs

from eval.tuple_comparison import ALL
from eval.tuple_rows import read_set, slices_of
from eval.tuple_warnings import tuple_warnings
from recipes.rows import read_rows, write_rows
from recipes.runs import RunFolder


def test_slices_are_told_by_their_columns() -> None:
    values = {
        "implicit": ("yes", "True", "no", "0"),
        "language": ("no", "de", "no", "de"),
        "stars": ("0", "1", "2", "0"),
        "mixed": ("no", "no", "no", "no"),
    }
    slices, cut = slices_of([dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)])
    assert {name: rows.nonzero()[0].tolist() for name, rows in slices.items()} == {
        ALL: [0, 1, 2, 3],
        "implicit": [0, 1],
        "language=no": [0, 2],
        "language=de": [1, 3],
        "stars=0": [0, 3],
        "stars=1": [1],
        "stars=2": [2],
    }, "0 is no `no` among other numbers, and Norwegian is a language"
    assert cut == {}


def test_values_that_have_no_slice_are_counted_and_said(tmp_path: Path) -> None:
    run, recipe = RunFolder(tmp_path), tuple_runs.recipe_of()
    tuple_runs.make_rows(run, train=1, test=42)
    path = run.of_dataset("terms").rows / "test.jsonl"
    rows = list(read_rows(path, tuple_runs.AspectRow))
    write_rows(path, [row.model_copy(update={"slices": {"shop": row.id}}) for row in rows])
    part = read_set(recipe, run, "terms").part()
    assert (len(part.slices), part.cut) == (1 + 40, {"shop": 42})
    said = "shop of terms has 42 values; the 40 with the most test rows are shown."
    assert said in list(tuple_warnings(recipe, run, [part], [], [], [], []))
