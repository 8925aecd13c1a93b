"""Students trained end to end on a tiny BERT: two seeds on soft labels, then a second lesson on gold rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from transformers import pipeline

from finetune import classifier, train
from finetune.bases import find_base, load_classifier
from finetune.record import read_record
from finetune.student import Student, open_student
from finetune.train import lineage, train_student, train_students
from recipes.errors import RunError, TrainingError
from recipes.rows import write_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import student_inputs

TEXTS = ["this was so lovely and great", "the train on monday", "awful and broken", "it is the best"]
STUDENTS = {
    "soft": {"targets": "soft", "temperature": 2.0, "seeds": [1, 2], "epochs": 3},
    "gold": {"base": "students.soft", "rows": "gold", "limit": 30, "epochs": 1, "seeds": [2, 9]},
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, RunFolder]:
    run = tiny.make_run(tmp_path_factory.mktemp("run"), train=160)
    recipe = tiny.make_recipe(base, **STUDENTS)
    train_student(recipe, "gold", run)
    return recipe, run


def test_both_seeds_and_the_student_they_start_from_are_trained(trained: tuple[Recipe, RunFolder]) -> None:
    _, run = trained
    soft, gold = read_record(run, "soft"), read_record(run, "gold")
    scores = [soft.seeds[seed].macro_f1 or 0.0 for seed in (1, 2)]
    assert soft.macro_f1 == pytest.approx(mean(scores))
    assert soft.deviation == pytest.approx(stdev(scores))
    assert soft.seeds[soft.best_seed].macro_f1 == max(scores) > 0.8
    assert (soft.rows, soft.human_labels) == ({"train": 160, "validation": 40}, 0)
    assert (gold.rows, gold.human_labels) == ({"train": 24, "validation": 6}, 30)


def test_the_best_epoch_has_the_best_score_and_of_equal_ones_the_lowest_loss(trained: tuple[Recipe, RunFolder]) -> None:
    for seed in read_record(trained[1], "soft").seeds.values():
        best = max(seed.epochs, key=lambda epoch: (epoch.macro_f1 or 0.0, -(epoch.validation_loss or 0.0)))
        assert seed.best_epoch == best.epoch
        assert seed.steps == len(seed.losses) == 60
        assert seed.epochs[0].loss == pytest.approx(mean(seed.losses[:20]))


def test_up_to_date_students_are_not_trained_again(
    trained: tuple[Recipe, RunFolder], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, run = trained
    monkeypatch.setattr(train, "TRAINERS", {})
    assert train_students(recipe, ["gold", "soft"], run)["soft"] == run.manifest("student-soft")
    assert capsys.readouterr().err.count("up to date") == 2


def test_a_seed_that_is_added_is_the_only_one_trained(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny.make_run(tmp_path, train=24, validation=0)
    train_student(tiny.make_recipe(base, a={"seeds": [1], "epochs": 1}), "a", run)
    train_student(tiny.make_recipe(base, a={"seeds": [1, 2], "epochs": 1}), "a", run)
    assert "seed 1: finished before" in capsys.readouterr().err
    record = read_record(run, "a")
    assert (list(record.seeds), record.best_seed, record.macro_f1) == ([1, 2], 1, None)
    assert not (run.student("a") / "checkpoints").exists()


def test_checkpoints_that_a_kill_left_behind_are_removed(base: Path, tmp_path: Path) -> None:
    run = tiny.make_run(tmp_path, train=24, validation=0)
    recipe = tiny.make_recipe(base, a={"epochs": 1})
    train_student(recipe, "a", run)
    for seed in ("seed-42", "seed-7"):  # its own, and those of a seed that the recipe no longer names
        (run.student("a") / "checkpoints" / seed / "checkpoint-3").mkdir(parents=True)
    run.manifest_path("student-a").unlink()
    train_student(recipe, "a", run)
    assert not (run.student("a") / "checkpoints").exists()


def test_validation_rows_that_cannot_be_used_are_told_and_recorded(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny.make_run(tmp_path, train=24, validation=12)
    rows = [tiny.make_row(number, "validation") for number in range(12)]
    write_rows(run.rows / "validation.jsonl", [rows[0].model_copy(update={"label": None}), *rows[1:]])
    train_student(tiny.make_recipe(base, a={"epochs": 1}), "a", run)
    assert "student a: 1 row not used: no majority (validation)" in capsys.readouterr().err
    record = read_record(run, "a")
    assert (record.skipped, record.rows["validation"]) == ({"no majority (validation)": 1}, 11)


def test_the_model_loads_in_a_plain_pipeline_and_answers_as_ours(trained: tuple[Recipe, RunFolder]) -> None:
    _, run = trained
    student = open_student(run, "soft", seed=2)
    ours = student.predict(TEXTS)
    classify = pipeline("text-classification", model=str(run.student("soft", 2)), top_k=None, device="cpu")
    for row, answer in zip(ours, classify(TEXTS, truncation=True), strict=True):
        theirs = {one["label"]: one["score"] for one in answer}
        assert tuple(theirs[label] for label in tiny.LABELS) == pytest.approx(row, abs=0.02)
        assert max(theirs, key=lambda label: theirs[label]) == tiny.LABELS[int(row.argmax())]
    assert classify.tokenizer.model_max_length == 32


def test_predictions_come_in_the_order_of_the_texts(trained: tuple[Recipe, RunFolder]) -> None:
    student: Student = open_student(trained[1], "soft")
    texts = [tiny.make_row(number, "test").text for number in range(70)]
    together = student.predict(texts)
    assert (together.shape, together.dtype) == ((70, 3), np.float32)
    assert together.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    alone = np.concatenate([student.predict([text]) for text in texts])
    assert np.abs(together - alone).max() < 0.05  # bf16 rounds otherwise in other batches
    assert student.predict([]).shape == (0, 3)
    assert student.predict(["warm " * 500]).shape == (1, 3)


def test_labels_in_the_config_are_the_recipes_in_its_order(trained: tuple[Recipe, RunFolder]) -> None:
    _, run = trained
    config = json.loads((run.student("gold", 9) / "config.json").read_text(encoding="utf-8"))
    assert config["id2label"] == {"0": "negative", "1": "neutral", "2": "positive"}
    assert config["label2id"] == {"negative": 0, "neutral": 1, "positive": 2}
    assert config["problem_type"] == "single_label_classification"
    assert open_student(run, "gold").labels == tiny.LABELS


def test_no_pickle_and_nothing_half_done_is_left(trained: tuple[Recipe, RunFolder]) -> None:
    names = {path.name for path in trained[1].student("soft").rglob("*") if path.is_file()}
    assert {"model.safetensors", "tokenizer.json", "config.json", "README.md", "student.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl", ".partial"))]
    assert not (trained[1].student("soft") / "checkpoints").exists()
    modes = {path.stat().st_mode for path in trained[1].student("soft").rglob("*") if path.is_file()}
    assert len(modes) == 1, "safetensors lets none but their owner read"


def test_the_second_lesson_starts_from_the_first_head_and_all(trained: tuple[Recipe, RunFolder]) -> None:
    recipe, run = trained
    best = read_record(run, "soft").best_seed
    for seed, expected in [(1, 1), (2, 2), (9, best)]:  # its own seed where there is one, else the best
        start = load_classifier(find_base(recipe, "gold", run, seed), tiny.LABELS)
        saved = load_file(run.student("soft", expected) / "model.safetensors")
        assert all(torch.equal(saved[name], value) for name, value in start.state_dict().items() if name in saved)
        assert "classifier.weight" in saved


def test_a_head_for_other_labels_or_another_order_is_not_kept(trained: tuple[Recipe, RunFolder]) -> None:
    recipe, run = trained
    base = find_base(recipe, "gold", run)
    saved = load_file(run.student("soft", read_record(run, "soft").best_seed) / "model.safetensors")
    turned = load_classifier(base, ("positive", "neutral", "negative"))
    wider = load_classifier(base, (*tiny.LABELS, "mixed"))
    assert wider.classifier.weight.shape == (4, 32)
    assert not torch.equal(turned.classifier.weight, saved["classifier.weight"])
    assert torch.equal(turned.bert.pooler.dense.weight, saved["bert.pooler.dense.weight"])


def test_a_base_with_weights_missing_or_damaged_is_refused(base: Path, tmp_path: Path) -> None:
    recipe, run = tiny.make_recipe(tmp_path / "cut", a={}), tiny.make_run(tmp_path / "run", 8, 0)
    shutil.copytree(base, tmp_path / "cut")
    file = tmp_path / "cut" / "model.safetensors"
    weights = load_file(file)
    save_file({name: value for name, value in weights.items() if "layer.1" not in name}, file, {"format": "pt"})
    with pytest.raises(TrainingError, match=r"is not whole: 16 of its weights are not in its file"):
        train_student(recipe, "a", run)
    file.write_bytes(file.read_bytes()[:700])
    with pytest.raises(TrainingError, match=r"the base model .* cannot be loaded"):
        train_student(recipe, "a", run)


def test_the_card_says_what_it_learnt_and_how_to_use_it(trained: tuple[Recipe, RunFolder]) -> None:
    card = (trained[1].student("gold") / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert "human labels seen in this step: 30" in card
    assert 'pipeline("text-classification"' in card
    assert "macro F1" in card
    assert "None" not in card and "`warmup`: 0.1" in card


def test_early_stop_after_patience_epochs_without_a_better_score(base: Path, tmp_path: Path) -> None:
    run = tiny.make_run(tmp_path, train=16, validation=8)
    train_student(tiny.make_recipe(base, a={"epochs": 6, "patience": 2, "learning_rate": 1e-30}), "a", run)
    seed = read_record(run, "a").seeds[42]
    assert (len(seed.epochs), seed.best_epoch) == (3, 1)


def test_of_equal_scores_the_lower_loss_is_kept(base: Path, tmp_path: Path) -> None:
    run = tiny.make_run(tmp_path, train=48, validation=8)
    train_student(tiny.make_recipe(base, a={"epochs": 3, "learning_rate": 1e-4, "precision": "fp32"}), "a", run)
    seed = read_record(run, "a").seeds[42]
    first, second = seed.epochs[:2]
    assert first.macro_f1 == second.macro_f1
    assert (second.validation_loss or 0.0) < (first.validation_loss or 0.0)
    assert seed.best_epoch == 2


@pytest.mark.parametrize("student", [{"epochs": 6, "patience": 1, "learning_rate": 1e-30}, {"epochs": 2}])
def test_training_that_had_come_to_its_end_when_it_was_stopped_is_not_begun_again(
    student: dict[str, float], base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, twice = tiny.make_run(tmp_path / "once", 24, 8), tiny.make_run(tmp_path / "twice", 24, 8)
    recipe = tiny.make_recipe(base, a=student)
    train_student(recipe, "a", once)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(classifier, "_record", stop)
        with pytest.raises(KeyboardInterrupt):
            train_student(recipe, "a", twice)
    monkeypatch.setattr(classifier.ClassifierTrainer, "training_step", stop)
    train_student(recipe, "a", twice)
    records = [read_record(run, "a").seeds[42].model_dump(exclude={"seconds"}) for run in (once, twice)]
    assert records[0] == records[1]
    weights = [load_file(run.student("a", 42) / "model.safetensors") for run in (once, twice)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_ctrl_c_says_where_it_goes_on(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny.make_run(tmp_path, train=16, validation=0)
    real = classifier.ClassifierTrainer.compute_loss

    def interrupted(self: classifier.ClassifierTrainer, *args: object, **kwargs: object) -> object:
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(classifier.ClassifierTrainer, "compute_loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_student(tiny.make_recipe(base, a={}), "a", run)
    assert "stopped at step 3; the same command goes on from step 2" in capsys.readouterr().err


def test_a_full_disk_is_one_sentence_and_loses_nothing(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny.make_run(tmp_path, train=16, validation=0)
    saved: list[int] = []

    def full(*_: object) -> None:
        saved.append(1)
        if len(saved) > 3:
            raise RuntimeError(
                "[enforce fail at inline_container.cc:603] . PytorchStreamWriter failed writing file data/3"
            )

    with monkeypatch.context() as patch:
        real = torch.save
        patch.setattr(torch, "save", lambda *args: full() or real(*args))
        with pytest.raises(RunError, match=r"cannot be written \(is the disk full\?\)"):
            train_student(tiny.make_recipe(base, a={"epochs": 3}), "a", run)
    train_student(tiny.make_recipe(base, a={"epochs": 3}), "a", run)
    assert read_record(run, "a").seeds[42].steps == 6


def test_a_loss_that_is_no_number_names_the_step_and_the_rows(base: Path, tmp_path: Path) -> None:
    run = tiny.make_run(tmp_path, train=16, validation=0)
    recipe = tiny.make_recipe(base, a={"learning_rate": 1e30, "precision": "fp32", "warmup": 0.0})
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step \d+ \(rows train-\d+, .*learning_rate"):
        train_student(recipe, "a", run)
    assert run.manifest("student-a") is None


def test_mistakes_are_one_sentence(trained: tuple[Recipe, RunFolder], base: Path, tmp_path: Path) -> None:
    recipe, run = trained
    with pytest.raises(TrainingError, match="no seed 9; it was trained with 1, 2"):
        open_student(run, "soft", seed=9)
    with pytest.raises(TrainingError, match="not trained yet"):
        open_student(run, "other")
    with pytest.raises(TrainingError, match="has no student 'other'; it has soft, gold"):
        train_student(recipe, "other", run)
    with pytest.raises(RunError, match="run python -m synth"):
        train_student(recipe, "soft", RunFolder(tmp_path / "none"))
    new = tiny.make_run(tmp_path / "new", train=8, validation=0)
    with pytest.raises(TrainingError, match=r"max_length 65 is more than .* takes: set it to 64 or less"):
        train_student(tiny.make_recipe(base, a={"max_length": 65}), "a", new)
    with pytest.raises(
        TrainingError, match="nobody/nothing cannot be loaded from the Hub's cache, and HF_HUB_OFFLINE is set"
    ):
        train_student(tiny.make_recipe(base, a={"base": "nobody/nothing"}), "a", new)


def test_a_damaged_student_is_said_to_be_one(base: Path, tmp_path: Path) -> None:
    run, recipe = tiny.make_run(tmp_path, train=8, validation=0), tiny.make_recipe(base, a={"epochs": 1})
    train_student(recipe, "a", run)
    weights = run.student("a", 42) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(TrainingError, match="cannot be opened"):
        open_student(run, "a")
    assert run.why_stale("student-a", student_inputs(recipe, "a", run)) == [
        "students/a/seed-42/model.safetensors is changed"
    ]


def test_a_chain_is_trained_from_its_end() -> None:
    recipe = tiny.make_recipe(Path("base"), a={"base": "students.b"}, b={"base": "students.c"}, c={})
    assert lineage(recipe, "a") == ["c", "b", "a"]
    ring = tiny.make_recipe(Path("base"), a={"base": "students.b"}, b={"base": "students.a"})
    with pytest.raises(TrainingError, match="leads back to itself"):
        lineage(ring, "a")


@pytest.mark.parametrize("harm", ["deleted", "cut", "changed"])
def test_a_model_that_is_no_longer_what_it_was_is_trained_again(harm: str, base: Path, tmp_path: Path) -> None:
    run = tiny.make_run(tmp_path, train=32, validation=8)
    recipe = tiny.make_recipe(base, a={"epochs": 1})
    train_student(recipe, "a", run)
    weights = run.student("a", 42) / "model.safetensors"
    before = weights.read_bytes()
    if harm == "deleted":
        weights.unlink()
    else:
        weights.write_bytes(before[:-4] if harm == "cut" else before + b"    ")
    train_student(recipe, "a", run)
    assert weights.read_bytes() == before


def test_a_training_that_failed_is_not_called_one_that_never_ran(base: Path, tmp_path: Path) -> None:
    run, recipe = tiny.make_run(tmp_path, train=8, validation=0), tiny.make_recipe(base, a={"epochs": 1})
    inputs = student_inputs(recipe, "a", run)
    assert run.why_stale("student-a", inputs) == ["it has not run yet"]
    with pytest.raises(TrainingError, match="cannot be loaded"):
        train_student(tiny.make_recipe(base, a={"base": "nobody/nothing"}), "a", run)
    assert run.why_stale("student-a", inputs) == ["its last run did not end"]
