"""What a generative student is taught: which rows, as what, and which are refused or left out."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_causal

from finetune.causal_lessons import encode_rows, test_rows, training_rows, validation_rows
from finetune.formats import Encoded, Renderer
from finetune.scratch import make_tokenizer
from recipes.errors import RunError, TrainingError
from recipes.rows import ResponseRow, write_rows
from recipes.runs import RunFolder

test_rows.__test__ = False  # type: ignore[attr-defined]


class Spoilt:
    """A renderer whose rows have something wrong."""

    stops = (2,)

    def __init__(self, encoded: Encoded) -> None:
        self.encoded = encoded

    def encode(self, row: ResponseRow) -> Encoded:
        return self.encoded


@pytest.fixture()
def run(tmp_path: Path) -> RunFolder:
    return tiny_causal.make_run(tmp_path, train=30, validation=5)


def test_task_rows_are_the_rows_of_the_task(run: RunFolder) -> None:
    recipe = tiny_causal.make_recipe(a={})
    assert training_rows(recipe, "a", run) == [tiny_causal.make_row(number, "train") for number in range(30)]
    assert len(validation_rows(recipe, "a", run)) == 5
    assert [row.id for row in test_rows(recipe, "a", run)] == ["test-0", "test-1", "test-2", "test-3"]


def test_description_rows_ask_for_the_description_of_a_title_once_each(run: RunFolder) -> None:
    rows = [tiny_causal.make_row(number, "train") for number in (1, 2)]
    twice = rows[0].model_copy(update={"id": "again", "question": "Another question about it?"})
    write_rows(run.rows / "train.jsonl", [*rows, twice])
    found = training_rows(tiny_causal.make_recipe(a={"rows": "description"}), "a", run)
    assert [(row.id, row.question, row.reasoning, row.response) for row in found] == [
        (row.id, row.fields["title"], None, row.fields["description"]) for row in rows
    ]


def test_a_limit_is_a_draw_that_does_not_depend_on_the_seed_of_training(run: RunFolder) -> None:
    drawn = [
        [row.id for row in training_rows(tiny_causal.make_recipe(a={"limit": 10, "seeds": [seed]}), "a", run)]
        for seed in (1, 2)
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 10
    more = [row.id for row in training_rows(tiny_causal.make_recipe(a={"limit": 20}), "a", run)]
    assert set(drawn[0]) < set(more)


def test_rows_that_are_not_there_are_a_sentence(run: RunFolder) -> None:
    recipe = tiny_causal.make_recipe(a={}, b={"rows": "description"})
    write_rows(run.rows / "train.jsonl", [tiny_causal.make_row(1, "train").model_copy(update={"fields": {}})])
    with pytest.raises(TrainingError, match=r"the row train-1 has no title: name it in source\.fields"):
        training_rows(recipe, "b", run)
    write_rows(run.rows / "train.jsonl", [])
    with pytest.raises(TrainingError, match="has no rows to train on"):
        training_rows(recipe, "a", run)
    (run.rows / "train.jsonl").unlink()
    with pytest.raises(RunError, match="run python -m synth"):
        training_rows(recipe, "a", run)


def test_longer_rows_are_left_out_and_listed(run: RunFolder) -> None:
    recipe = tiny_causal.make_recipe(a={})
    rows = training_rows(recipe, "a", run)
    renderer = Renderer(recipe.causal("a"), make_tokenizer(recipe.causal("a"), rows))
    lengths = {row.id: len(renderer.encode(row).input_ids) for row in rows}
    most = sorted(lengths.values())[len(rows) // 2]
    lesson = encode_rows(renderer, rows, most, "train", "a")
    assert lesson.ids == [row.id for row in rows if lengths[row.id] <= most]
    assert {one.id: one.tokens for one in lesson.rejected} == {
        name: length for name, length in lengths.items() if length > most
    }
    assert lesson.rejected[0].reason == f"longer than max_length {most}"


@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        (Encoded([1, 5, 7], 1), "do not end with the token that ends"),
        (Encoded([1, 5, 2], 3), "no token under the loss"),
    ],
)
def test_rows_that_would_teach_nothing_or_never_to_stop_are_refused_by_name(encoded: Encoded, why: str) -> None:
    rows = [tiny_causal.make_row(number, "train") for number in range(8)]
    with pytest.raises(TrainingError, match=why) as error:
        encode_rows(Spoilt(encoded), rows, 100, "train", "a")  # type: ignore[arg-type]
    assert "8 of its rows" in str(error.value)
    assert "(train-0, train-1, train-2, train-3, train-4 and 3 more)" in str(error.value)
