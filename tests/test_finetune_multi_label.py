"""Students of a teacher with several labels a text: what they are taught, what they say, and in a plain pipeline."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import recipe_files
import tiny
import torch
from transformers import pipeline

from finetune.lessons import training_lesson
from finetune.record import SeedRecord, best_seed, read_record
from finetune.student import Student, open_student
from finetune.train import train_student
from recipes.errors import RecipeError
from recipes.load import load_recipe
from recipes.local_teacher import LocalTeacher
from recipes.rows import LabelRow, Split, read_rows, write_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import student_inputs

NLI = {"provider": "zero_shot", "model": "me/nli", "multi_label": True}
SURE, YES, NO = 0.98, 0.92, 0.05


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_row(number: int, split: Split) -> LabelRow:
    """A text to which "positive" always applies, "negative" as well where it says so, and "neutral" never."""
    draw = random.Random(f"{split}{number}")
    bad = draw.random() < 0.5
    words = draw.choices(tiny.FILLER, k=3) + draw.choices(tiny.WORDS["negative" if bad else "neutral"], k=4)
    draw.shuffle(words)
    likeliest = "negative" if bad else "positive"
    return LabelRow(
        id=f"{split}-{number}", text=" ".join(words), split=split, group=str(number), label=likeliest,
        soft=(SURE if bad else NO, NO, YES), votes=(likeliest,), outcome="clean",
    )  # fmt: skip


def make_recipe(base: Path, **students: dict[str, object]) -> Recipe:
    recipe = tiny.make_recipe(base, **students)
    return recipe.model_copy(update={"teacher": LocalTeacher.model_validate(NLI)})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, RunFolder]:
    run = RunFolder(tmp_path_factory.mktemp("run"))
    write_rows(run.rows / "train.jsonl", [make_row(number, "train") for number in range(200)])
    write_rows(run.rows / "validation.jsonl", [make_row(number, "validation") for number in range(40)])
    base = tiny.make_base(tmp_path_factory.mktemp("base"))
    recipe = make_recipe(base, several={"targets": "soft", "epochs": 10, "patience": 10, "precision": "fp32"})
    train_student(recipe, "several", run)
    return recipe, run


TEXTS = ["awful and broken it was so sad", "the train on monday", "cold and worst", "table and paper"]


def test_targets_are_the_probabilities_as_they_are(trained: tuple[Recipe, RunFolder]) -> None:
    lesson = training_lesson(trained[0], "several", trained[1])
    sums = lesson.targets.sum(axis=1)
    assert (sums.min(), sums.max()) == pytest.approx((NO + NO + YES, SURE + NO + YES))
    assert lesson.taught() == {0, 2}
    single = trained[0].model_copy(update={"teacher": LocalTeacher.model_validate(NLI | {"multi_label": False})})
    assert training_lesson(single, "several", trained[1]).targets.sum(axis=1) == pytest.approx(1.0)


def test_two_labels_of_one_text_are_both_likely(trained: tuple[Recipe, RunFolder]) -> None:
    """What a student of the published script cannot say: its softmax shares 1 out among the labels."""
    student = open_student(trained[1], "several")
    assert isinstance(student, Student)
    assert student.multi_label
    said = student.predict(TEXTS)
    assert (said > 0.5).tolist() == [[True, False, True], [False, False, True]] * 2
    assert said.argmax(axis=1).tolist() == [0, 2, 0, 2], "the answer is the likeliest label"
    assert (said[0] > 0.8).sum() == 2
    score = read_record(trained[1], "several").macro_f1
    assert score is not None
    assert score > 0.9, "of the likeliest label"


def test_the_epoch_is_that_of_the_lowest_validation_loss(trained: tuple[Recipe, RunFolder]) -> None:
    """By macro F1 of the likeliest label the first epoch that names it right would win, whatever the rest."""
    _, run = trained
    record = read_record(run, "several")
    seed = record.seeds[record.best_seed]
    losses = [one.validation_loss or 0.0 for one in seed.epochs]
    scores = [one.macro_f1 or 0.0 for one in seed.epochs]
    assert seed.best_epoch == 1 + losses.index(min(losses)) != 1 + scores.index(max(scores))
    assert (seed.validation_loss, record.validation_loss, record.deviation) == (min(losses), min(losses), None)
    rows = list(read_rows(run.rows / "validation.jsonl", LabelRow))
    said, wanted = (
        open_student(run, "several").predict([row.text for row in rows]),
        np.array([row.soft for row in rows]),
    )
    by_hand = -(wanted * np.log(said) + (1 - wanted) * np.log(1 - said)).mean()
    assert seed.validation_loss == pytest.approx(by_hand, abs=1e-5)
    manifest = run.manifest("student-several")
    assert manifest is not None
    assert (manifest.facts["validation_loss"], "macro_f1" in manifest.facts) == (min(losses), False)


def test_the_seed_is_that_of_the_lowest_validation_loss() -> None:
    def seed(number: int, macro_f1: float | None, loss: float | None) -> SeedRecord:
        return SeedRecord(
            fingerprint="f", seed=number, best_epoch=1, macro_f1=macro_f1, accuracy=None, validation_loss=loss, steps=1,
            seconds=1, device="cpu", precision="fp32", truncated=0, epochs=[], losses=[],
        )  # fmt: skip

    seeds = {1: seed(1, 0.9, 0.5), 2: seed(2, 0.8, 0.4), 3: seed(3, 0.9, 0.6)}
    assert (best_seed(seeds, by_loss=True), best_seed(seeds, by_loss=False)) == (2, 1)
    without = {1: seed(1, None, None), 2: seed(2, None, None)}
    assert (best_seed(without, by_loss=True), best_seed(without, by_loss=False)) == (1, 1)


def test_a_plain_pipeline_gives_the_same_probabilities(trained: tuple[Recipe, RunFolder]) -> None:
    _, run = trained
    ours = open_student(run, "several").predict(TEXTS)
    folder = run.student("several", read_record(run, "several").best_seed)
    classify = pipeline("text-classification", model=str(folder), top_k=None, device="cpu")
    for row, answer in zip(ours, classify(TEXTS, truncation=True), strict=True):
        theirs = {one["label"]: one["score"] for one in answer}
        assert tuple(theirs[label] for label in tiny.LABELS) == pytest.approx(row, abs=1e-5)


def test_record_card_and_config_say_so(trained: tuple[Recipe, RunFolder]) -> None:
    _, run = trained
    record = read_record(run, "several")
    assert record.multi_label
    assert record.macro_f1 is not None
    card = (run.student("several") / "README.md").read_text(encoding="utf-8")
    assert "how likely it applies to a text, several may: negative, neutral, positive." in card
    assert "soft labels by me/nli, each label learnt apart from the others (binary cross-entropy)" in card
    assert "top_k=None" in card
    assert "the lowest loss (" in card
    assert "macro F1 of the likeliest label" in card
    config = json.loads((run.student("several", record.best_seed) / "config.json").read_text(encoding="utf-8"))
    assert config["problem_type"] == "multi_label_classification"


def test_another_kind_of_labels_is_another_student(trained: tuple[Recipe, RunFolder]) -> None:
    recipe, run = trained
    single = recipe.model_copy(update={"teacher": LocalTeacher.model_validate(NLI | {"multi_label": False})})
    changed = student_inputs(recipe, "several", run), student_inputs(single, "several", run)
    assert changed[0] != changed[1], "the same rows make another model"


TEACHER = ("  provider: fireworks\n  model: m\n  price: {input: 1, output: 2}\n",
           "  provider: zero_shot\n  model: me/nli\n  multi_label: true\n")  # fmt: skip
NO_SYNTHESIS = ("synthesis:\n  prompt: sentiment-word\n  budget_usd: 5\n", "")


def refused(folder: Path, *student: str) -> str:
    tiny_student = ("    base: minilm\n", "".join(f"    {line}\n" for line in ("base: minilm", *student)))
    path = recipe_files.write_recipe(folder, TEACHER, NO_SYNTHESIS, tiny_student)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    return str(caught.value)


def test_hard_targets_are_refused(tmp_path: Path) -> None:
    said = refused(tmp_path)
    assert "students.tiny.targets: a hard label says that no other applies" in said
    assert said.endswith("(multi_label: true): use targets: soft")
    said = refused(tmp_path, "rows: gold")
    assert "students.tiny.rows: a hard label says that no other applies" in said
    assert said.endswith("use rows: teacher and targets: soft")
