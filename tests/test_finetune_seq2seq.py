"""Seq2seq students trained end to end: reviews first, then terms on the model that read them; and on a T5 folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import pytest
import tiny_t5
import torch
from rich.console import Console
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from finetune import train
from finetune.ask import Asking
from finetune.preview import preview_student
from finetune.questions import one_question
from finetune.seq2seq_batches import tensors
from finetune.seq2seq_codec import LINE
from finetune.seq2seq_course import make_course
from finetune.seq2seq_loss import sequence_nats
from finetune.seq2seq_record import best_seq2seq_seed, read_seq2seq_record
from finetune.seq2seq_writer import Seq2seqWriter
from finetune.student import open_student
from finetune.taken import take
from finetune.train import check_ahead, train_student, train_students
from recipes.aspects import prefix
from recipes.errors import TrainingError
from recipes.rows import read_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import student_inputs
from recipes.tuple_counts import count_tuples, gold_pairs, read_pairs, sum_counts

STUDENTS = {
    "reader": {"data": None, "epochs": 2, "optimizer": "adafactor", "schedule": "linear", "max_target_length": 80},
    "terms": {"base": "students.reader", "epochs": 20, "seeds": [1, 2]},
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, RunFolder]:
    run = tiny_t5.make_run(tmp_path_factory.mktemp("run"), train=64)
    recipe = tiny_t5.make_recipe(**STUDENTS)
    train_student(recipe, "terms", run)
    return recipe, run


def test_the_records_say_what_was_learnt(trained: tuple[Recipe, RunFolder]) -> None:
    _, run = trained
    reader, terms = read_seq2seq_record(run, "reader"), read_seq2seq_record(run, "terms")
    assert (reader.task, reader.data, reader.score) == ("understanding", None, None)
    assert reader.rows["train"] + reader.rejected["train"] + reader.skipped["no rewrite"] == 2 * 64
    assert reader.validation_loss == reader.seeds[42].validation_loss
    losses = [one.validation_loss or 0.0 for one in reader.seeds[42].epochs]
    assert reader.seeds[42].best_epoch == losses.index(min(losses)) + 1
    assert (terms.task, terms.data, terms.rows) == ("atsa", "terms", {"train": 64, "validation": 12})
    assert terms.score == pytest.approx(mean(one.score or 0.0 for one in terms.seeds.values()))
    assert terms.best_seed == best_seq2seq_seed(terms.seeds)
    for seed in terms.seeds.values():
        best = max(seed.epochs, key=lambda one: (one.score or 0.0, -(one.validation_loss or 0.0)))
        assert seed.best_epoch == best.epoch
        assert (seed.steps, seed.steps_per_epoch) == (len(seed.losses), 8)
        assert seed.epochs[0].loss == pytest.approx(mean(seed.losses[:8]))
        assert seed.epochs[-1].loss < seed.epochs[0].loss / 2


def test_it_learns_to_write_tuples_and_its_score_is_that_of_its_answers(trained: tuple[Recipe, RunFolder]) -> None:
    _, run = trained
    record = read_seq2seq_record(run, "terms")
    rows = list(read_rows(run.of_dataset("terms").rows / "validation.jsonl", tiny_t5.AspectRow))
    student = open_student(run, "terms", 2)
    assert isinstance(student, Seq2seqWriter)
    counts = []
    for row, written in zip(rows, student.write([row.text for row in rows], "atsa"), strict=True):
        counts.append(count_tuples(gold_pairs("atsa", row.aspects), *read_pairs("atsa", written.text, row.text)))
    assert sum_counts(counts).f1 == record.seeds[2].score
    assert (record.score or 0.0) > 0.3


def test_answers_do_not_depend_on_their_neighbours_and_counts_are_told(trained: tuple[Recipe, RunFolder]) -> None:
    student = open_student(trained[1], "terms")
    assert isinstance(student, Seq2seqWriter)
    texts = [tiny_t5.aspect_row(number, "test").text for number in range(9)] + ["the soup was great " * 40]
    together = student.write(texts, "atsa")
    assert together == [student.write([text], "atsa")[0] for text in texts]
    assert [one.cut for one in together] == [False] * 9 + [True]
    assert student.write([], "atsa") == []
    with pytest.raises(TrainingError, match="this student writes atsa, and was not taught rewrite"):
        student.write(["x"], "rewrite")


def test_an_answer_without_an_end_is_truncated(trained: tuple[Recipe, RunFolder]) -> None:
    student = open_student(trained[1], "terms")
    assert isinstance(student, Seq2seqWriter)
    student.student = student.student.model_copy(update={"max_target_length": 2})
    assert student.write(["the soup was great"], "atsa")[0].truncated


def test_the_model_loads_in_plain_transformers_and_answers_as_ours(trained: tuple[Recipe, RunFolder]) -> None:
    recipe, run = trained
    student = open_student(run, "terms", 1)
    assert isinstance(student, Seq2seqWriter)
    folder, text = run.student("terms", 1), tiny_t5.aspect_row(3, "test").text
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder)
    asked = tokenizer(prefix(recipe.seq2seq("terms"), "atsa") + text, truncation=True, return_tensors="pt")
    theirs = tokenizer.decode(model.generate(**asked)[0], skip_special_tokens=True).strip()
    assert theirs == student.write([text], "atsa")[0].text
    assert tokenizer.model_max_length == 64


def test_the_loss_is_transformers_own(trained: tuple[Recipe, RunFolder]) -> None:
    recipe, run = trained
    course = make_course(recipe, "terms", run, {}, 1)
    model = AutoModelForSeq2SeqLM.from_pretrained(run.student("terms", 1)).eval()
    batch = tensors(course, course.training, [0, 1, 2])
    features = {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}
    with torch.no_grad():
        told = model(**features)
        ours = sequence_nats(told.logits, batch["labels"]) / (batch["labels"] != -100).sum()
    assert float(ours) == pytest.approx(float(told.loss), rel=1e-5)


def test_the_second_student_has_the_tokenizer_of_the_first(trained: tuple[Recipe, RunFolder]) -> None:
    _, run = trained
    tokenizers = [(run.student(*one) / "tokenizer.json").read_bytes() for one in (("reader", 42), ("terms", 1))]
    assert json.loads(tokenizers[0])["model"] == json.loads(tokenizers[1])["model"]


def test_cards_curve_and_manifest(trained: tuple[Recipe, RunFolder], capsys: pytest.CaptureFixture[str]) -> None:
    recipe, run = trained
    card = (run.student("terms") / "README.md").read_text(encoding="utf-8")
    assert "after `find terms: `" in card
    assert "micro F1" in card
    assert (run.student("terms") / "curve.svg").read_text(encoding="utf-8").startswith("<svg")
    facts = train_students(recipe, ["terms"], run)["terms"].facts
    assert facts["micro_f1"] == read_seq2seq_record(run, "terms").score
    assert "up to date (validation micro F1" in capsys.readouterr().err


def test_what_makes_it_stale_and_what_does_not(trained: tuple[Recipe, RunFolder]) -> None:
    recipe, run = trained
    before = student_inputs(recipe, "terms", run)
    for change, stale in (({"parallel": 2}, False), ({"push_to_hub": "me/x"}, False), ({"share": 0.5}, True)):
        changed = recipe.seq2seq("terms").model_copy(update=change)
        told = recipe.model_copy(update={"students": {**recipe.students, "terms": changed}})
        assert (student_inputs(told, "terms", run) != before) == stale
    chosen = {name: "best epoch" in student_inputs(recipe, name, run) for name in ("terms", "reader")}
    assert chosen == {"terms": True, "reader": False}, "those are stale whose epoch was chosen without its loss"


def test_asking_and_preview(trained: tuple[Recipe, RunFolder], capsys: pytest.CaptureFixture[str]) -> None:
    recipe, run = trained
    Asking(recipe, run, "reader", None, False, 0).ask_all(one_question("the soup was great"))
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == ["analysis", "rewrite"]
    preview_student(recipe, "terms", run, 1, Console(width=200, highlight=False))
    shown = capsys.readouterr().out
    assert "student terms: 64 texts to write, base students.reader" in shown
    assert "find terms: the " in shown


def test_it_is_a_whole_model_and_nothing_to_merge(trained: tuple[Recipe, RunFolder]) -> None:
    with pytest.raises(TrainingError, match=r"students\.terms is an encoder with a decoder: .* is a whole model"):
        take(*trained, "terms")


def test_a_t5_folder_is_a_base_and_line_breaks_get_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tiny_t5.make_run(tmp_path, train=16, validation=0)
    base = tiny_t5.make_t5(tmp_path / "t5")
    recipe = tiny_t5.make_recipe(
        a={
            "base": str(base),
            "data": None,
            "epochs": 1,
            "optimizer": "adamw",
            "max_length": 24,
            "max_target_length": 99,
        }
    )
    check_ahead(recipe, ["a"], run)
    train_student(recipe, "a", run)
    said = capsys.readouterr().err
    assert "texts are cut at 24 tokens (max_length)" in said
    assert "1 row not used: no rewrite" in said
    record = read_seq2seq_record(run, "a")
    assert (record.score, record.validation_loss, record.best_seed) == (None, None, 42)
    assert record.seeds[42].best_epoch == 1
    added = AutoTokenizer.from_pretrained(run.student("a", 42)).get_added_vocab()
    assert LINE in added
    assert "No validation rows" in (run.student("a") / "README.md").read_text(encoding="utf-8")


def test_patience_ends_it(tmp_path: Path) -> None:
    run = tiny_t5.make_run(tmp_path, train=8, validation=4)
    recipe = tiny_t5.make_recipe(a={"epochs": 9, "patience": 2, "learning_rate": 1e-30, "schedule": "constant"})
    train_student(recipe, "a", run)
    assert len(read_seq2seq_record(run, "a").seeds[42].epochs) == 3  # no tuple is ever right: the first is the best


def test_of_equal_scores_the_lower_loss_is_kept(tmp_path: Path) -> None:
    """While no tuple is right the score is 0; the first of such epochs would be the least trained of them."""
    run = tiny_t5.make_run(tmp_path, train=8, validation=4)
    train_student(
        tiny_t5.make_recipe(a={"epochs": 3, "patience": 1, "learning_rate": 1e-3, "schedule": "constant"}), "a", run
    )
    seed = read_seq2seq_record(run, "a").seeds[42]
    assert [one.score for one in seed.epochs] == [0.0, 0.0, 0.0], "a falling loss is progress: patience goes on"
    first, second, third = (one.validation_loss or 0.0 for one in seed.epochs)
    assert third < second < first
    assert seed.best_epoch == 3


def test_mistakes_are_sentences(tmp_path: Path, trained: tuple[Recipe, RunFolder]) -> None:
    run = tiny_t5.make_run(tmp_path, train=8, validation=4)
    with pytest.raises(TrainingError, match=r"students\.a: all targets are longer than max_target_length 8: raise it"):
        train_student(tiny_t5.make_recipe(a={"max_target_length": 8, "data": None, "targets": ["analysis"]}), "a", run)
    base = tiny_t5.make_t5(tmp_path / "t5")
    short = tiny_t5.make_recipe(a={"base": str(base), "max_length": 8, "prefixes": {"atsa": "find all the terms: "}})
    with pytest.raises(TrainingError, match=r"students\.a: max_length 8 has no room for any text after the prefix"):
        check_ahead(short, ["a"], run)
    bad = tiny_t5.make_recipe(a={"learning_rate": 1e30, "optimizer": "adamw", "warmup": 0})
    with pytest.raises(TrainingError, match=r"student a: the (validation )?loss is (nan|inf)|weights are no numbers"):
        train_student(bad, "a", run)
    assert train.TRAINERS.keys() == {"classifier", "causal", "seq2seq"}
