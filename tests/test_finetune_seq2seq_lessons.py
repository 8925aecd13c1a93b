"""Rows as exercises: one text to write for each target, the same way for training and answering; what is left out."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import tiny_t5
import torch

from finetune.bases import Base
from finetune.seq2seq_batches import micro_batches, step
from finetune.seq2seq_codec import Seq2seqCodec
from finetune.seq2seq_course import Seq2seqCourse, make_course
from finetune.seq2seq_lessons import draw, make_lesson, render, task_of, training_rows
from finetune.seq2seq_loss import IGNORED, sequence_nats
from finetune.seq2seq_model import load_seq2seq_tokenizer
from recipes.aspects import read_opinions, read_tuples, tuples_of
from recipes.errors import RunError, TrainingError
from recipes.rows import AspectRow, UnderstandingRow
from recipes.runs import RunFolder

ROWS = [tiny_t5.review_row(number, "train") for number in range(20)]


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Seq2seqCodec:
    folder = tiny_t5.make_t5(tmp_path_factory.mktemp("t5"))
    return Seq2seqCodec(load_seq2seq_tokenizer(Base("t5", str(folder), None, None)))


def course_of(tmp_path: Path, **student: object) -> Seq2seqCourse:
    return make_course(tiny_t5.make_recipe(a=student), "a", tiny_t5.make_run(tmp_path), {}, 42)


def test_a_review_is_an_exercise_for_each_target_with_its_own_prefix(codec: Seq2seqCodec) -> None:
    student = tiny_t5.make_recipe(a={"data": None, "max_target_length": 200}).seq2seq("a")
    lesson = make_lesson(codec, student, "understanding", ROWS, "train", keep=True)
    assert [one.target for one in lesson.asked[:4]] == ["analysis", "rewrite", "analysis", "rewrite"]
    assert (len(lesson), lesson.skipped) == (38, {"no rewrite": 2})
    for exercise in lesson.asked:
        assert render(student, exercise.target, exercise.row.text).endswith(exercise.row.text)
    first, second = (codec.text(lesson.sources[place].tolist()) for place in (0, 1))
    assert first != second
    assert first.splitlines()[1:] == second.splitlines()[1:]  # line breaks are kept


def test_what_is_written_reads_back_as_the_row(tmp_path: Path) -> None:
    course = course_of(tmp_path)
    for exercise, ids in zip(course.validation.asked, course.validation.targets, strict=True):
        assert isinstance(exercise.row, AspectRow)
        assert read_tuples("atsa", course.codec.text(ids.tolist())) == (tuples_of("atsa", exercise.row.aspects), 0)
    course = course_of(tmp_path / "reviews", data=None, targets=["analysis"], max_target_length=200)
    for exercise, ids in zip(course.validation.asked, course.validation.targets, strict=True):
        assert isinstance(exercise.row, UnderstandingRow)
        assert read_opinions(course.codec.text(ids.tolist())) == (exercise.row.analysis, 0)


def test_every_token_of_a_target_is_under_the_loss_its_end_too_and_no_padding(tmp_path: Path) -> None:
    course = course_of(tmp_path)
    micro = step(course, range(8), 1 << 14)
    (batch,) = micro["micro"]
    for place, row in zip(batch["places"], batch["labels"].tolist(), strict=True):
        ids = course.training.targets[place].tolist()
        assert row[: len(ids)] == ids
        assert ids[-1] == course.codec.tokenizer.eos_token_id
        assert set(row[len(ids) :]) <= {IGNORED}
    assert micro["tokens"] == int((batch["labels"] != IGNORED).sum())
    assert batch["attention_mask"].sum(dim=1).tolist() == [
        len(course.training.sources[place]) for place in batch["places"]
    ]


def test_the_loss_is_the_sum_over_the_tokens_that_are_written() -> None:
    # softmax(log 1, log 3) = (1/4, 3/4): -log 3/4 - log 1/4, and nothing for padding
    logits = torch.tensor([[[0.0, 1.0986123], [0.0, 1.0986123], [9.0, 0.0]]])
    found = float(sequence_nats(logits, torch.tensor([[1, 0, IGNORED]])))
    assert found == pytest.approx(0.2876821 + 1.3862944, abs=1e-6)


def test_micro_batches_hold_all_of_a_step_and_no_more_than_their_tokens(tmp_path: Path) -> None:
    course = course_of(tmp_path)
    parts = micro_batches(course.training, range(16), 160)
    assert sorted(place for part in parts for place in part) == list(range(16))
    assert len(parts) > 1
    for part in parts:
        longest = max(course.training.lengths[place] for place in part)
        assert len(part) * longest <= 160 or len(part) == 1


def test_targets_that_are_too_long_are_rejected_by_name_and_still_asked(codec: Seq2seqCodec) -> None:
    student = tiny_t5.make_recipe(a={"data": None, "max_target_length": 40}).seq2seq("a")
    lesson = make_lesson(codec, student, "understanding", ROWS, "train", keep=True)
    assert len(lesson) + len(lesson.rejected) == len(lesson.asked) == 38
    assert lesson.rejected
    for one in lesson.rejected:
        assert one.tokens > 40
        assert (one.reason, one.split) == ("longer than max_target_length 40", "train")
        assert one.id.endswith(("(analysis)", "(rewrite)"))
    assert all(len(ids) <= 40 for ids in lesson.targets)


def test_characters_without_a_token_are_counted(codec: Seq2seqCodec) -> None:
    row = ROWS[0].model_copy(update={"rewrite": "I felt {great}"})
    student = tiny_t5.make_recipe(a={"data": None, "targets": ["rewrite"]}).seq2seq("a")
    assert make_lesson(codec, student, "understanding", [row], "train").unknown == 1


def test_a_smaller_draw_is_a_part_of_a_larger_one() -> None:
    ids = [row.id for row in ROWS]
    draws = [draw(ids, count, 42) for count in (0, 3, 7, 20)]
    assert [len(one) for one in draws] == [0, 3, 7, 20]
    assert all(one <= other for one, other in pairwise(draws))
    assert draws[2] != draw(ids, 7, 43)
    assert {ids[place] for place in draws[2]} == {ids[::-1][place] for place in draw(ids[::-1], 7, 42)}  # in any order


def test_share_and_limit(tmp_path: Path) -> None:
    run = tiny_t5.make_run(tmp_path)
    sizes = {"share": {"share": 0.1}, "both": {"share": 0.5, "limit": 6}, "all": {}, "least": {"share": 0.001}}
    recipe = tiny_t5.make_recipe(**sizes)
    assert {name: len(list(training_rows(recipe, name, run))) for name in sizes} == {
        "share": 4, "both": 6, "all": 40, "least": 1,
    }  # fmt: skip
    assert task_of(recipe, "all") == "atsa"


def test_rows_that_are_not_there_are_told(tmp_path: Path) -> None:
    recipe = tiny_t5.make_recipe(a={})
    with pytest.raises(RunError, match=r"train\.jsonl is missing"):
        next(training_rows(recipe, "a", RunFolder(tmp_path)))
    run = tiny_t5.make_run(tmp_path, train=0)
    with pytest.raises(TrainingError, match=r"students\.a: .* has no rows to train on"):
        next(training_rows(recipe, "a", run))


def test_where_no_validation_row_has_gold_the_loss_chooses_the_epoch(tmp_path: Path) -> None:
    """Micro F1 is no number there, and not 0."""
    course = course_of(tmp_path)
    assert (course.tuple_task, course.validated) == ("atsa", True)
    asked = [replace(one, row=one.row.model_copy(update={"aspects": ()})) for one in course.validation.asked]
    bare = replace(course, validation=replace(course.validation, asked=asked))
    assert (bare.tuple_task, bare.validated) == (None, True)
