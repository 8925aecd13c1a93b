"""How students were trained, as the report holds it."""

from __future__ import annotations

from pathlib import Path

import tuple_runs

from eval.curve_charts import loss_charts
from eval.curves import POINTS, curves_of, training_curves
from eval.report import _environment
from finetune.card import _validation
from finetune.record import EpochRecord, SeedRecord, StudentRecord
from recipes.runs import RunFolder


def classifier(losses: list[float], multi_label: bool = False, validated: bool = True) -> StudentRecord:
    """A classifier of one seed and two epochs."""
    score, loss = (0.5, 0.4) if validated else (None, None)
    scores = (None, None) if score is None else (score - 0.1, score)
    epochs = [
        EpochRecord(epoch=n, loss=1.0, macro_f1=one, accuracy=one, validation_loss=loss)
        for n, one in enumerate(scores, 1)
    ]
    seed = SeedRecord(
        fingerprint="f", seed=7, best_epoch=2, macro_f1=score, accuracy=score, validation_loss=loss, steps=len(losses),
        seconds=1, device="cpu", precision="fp32", truncated=0, epochs=epochs, losses=losses,
    )  # fmt: skip
    return StudentRecord(
        name="small", kind="classifier", base="minilm", labels=["a"], max_length=64, rows={}, skipped={}, truncated=0,
        human_labels=0, multi_label=multi_label, best_seed=7, macro_f1=score, deviation=None, seconds=1, device="cpu",
        hyperparameters={}, seeds={7: seed},
    )  # fmt: skip


def test_a_long_training_is_told_in_means_of_equal_runs() -> None:
    (curve,) = curves_of(classifier([float(step % 2) for step in range(100 * POINTS)]))
    assert (len(curve.steps), set(curve.loss)) == (POINTS, {0.5})
    assert curve.steps[:2] == (50.5, 150.5), "the middle of each run"
    assert (curve.validation_steps, curve.best_step) == ((50 * POINTS, 100 * POINTS), 100 * POINTS)


def test_what_chose_the_epoch_is_said() -> None:
    assert [one.best_by for several in (False, True) for one in curves_of(classifier([1.0, 0.5], several))] == [
        "macro F1", "loss"
    ]  # fmt: skip
    record = classifier([1.0, 0.5])
    epochs = [one.model_copy(update={"macro_f1": 0.0}) for one in record.seeds[7].epochs]
    tied = record.model_copy(update={"seeds": {7: record.seeds[7].model_copy(update={"epochs": epochs})}})
    assert next(iter(curves_of(tied))).best_by == "the lowest loss of those with an equal macro F1"
    (curve,) = curves_of(classifier([1.0, 0.5], validated=False))
    assert (curve.best_step, curve.validation, curve.scores) == (None, (), ())


def test_the_loss_of_softened_labels_is_in_no_unit() -> None:
    record = classifier([1.0, 0.5], multi_label=True).model_copy(
        update={"rows": {"validation": 9}, "validation_loss": 0.4}
    )
    soft = record.model_copy(update={"hyperparameters": {"targets": "soft", "temperature": 2.0}})
    hard = record.model_copy(update={"hyperparameters": {"targets": "hard", "temperature": 2.0}})
    assert [curve.temperature for one in (record, soft, hard) for curve in curves_of(one)] == [1.0, 2.0, 1.0]
    cards = [" ".join(_validation(one, one.seeds[7])) for one in (record, soft)]
    assert [(" nats a label" in card, "the lowest loss (0.400" in card) for card in cards] == [
        (True, True), (False, True)
    ]  # fmt: skip
    template = _environment().from_string('{% import "charts.html.j2" as chart %}{{ chart.training(curves, "label") }}')
    pages = [template.render(curves=loss_charts(curves_of(one))) for one in (record, soft)]
    assert ["in nats a label" in page for page in pages] == [True, False]
    assert "How the loss went, on training rows" in pages[1]


def test_seq2seq_students_with_those_that_they_started_from(tmp_path: Path) -> None:
    run, recipe = RunFolder(tmp_path), tuple_runs.recipe_of()
    for name in recipe.students:
        tuple_runs.make_student(run, recipe, name)
    found = training_curves(recipe, run, ["helped", "sorter"])
    assert [(one.student, one.seed, one.chosen) for one in found] == [
        ("reader", 1, False), ("reader", 2, True), ("helped", 1, False), ("helped", 2, True), ("sorter", 1, True),
    ]  # fmt: skip
    curve = found[-1]
    assert (curve.validation, curve.score, curve.scores) == ((2.0, 1.0), "micro F1", (0.25, 0.5))
    assert (curve.validation_steps, curve.epoch_steps, curve.best_step, curve.best_by) == ((3, 6), 3, 6, "micro F1")
