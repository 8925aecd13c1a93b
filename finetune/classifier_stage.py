"""A classifier, from its rows to its record: what is said before, one model per seed, cards."""

from __future__ import annotations

from functools import partial

from finetune import processes
from finetune.bases import find_base
from finetune.card import student_card
from finetune.course import Course, Saving
from finetune.hardware import Machine, find_machine
from finetune.lessons import Lesson, training_lesson, validation_lesson
from finetune.record import SeedRecord, StudentRecord, best_seed, mean_and_deviation
from finetune.seeds import one_seed
from recipes.console import say
from recipes.counts import counted
from recipes.runs import RunFolder, digest, write_atomic
from recipes.schema import Recipe


def train_classifiers(
    recipe: Recipe, name: str, run: RunFolder, inputs: dict[str, str], saving: Saving
) -> StudentRecord:
    """Train a classifier with each of its seeds. Raises TrainingError where several processes are to do it."""
    from finetune.classifier import train_classifier  # torch and transformers: seconds

    processes.check_alone(f"students.{name}")
    student = recipe.classifier(name)
    training, validation = training_lesson(recipe, name, run), validation_lesson(recipe, name, run)
    machine = find_machine(student.precision)
    _introduce(recipe, name, training, validation, machine)
    rest = {key: sha for key, sha in inputs.items() if key != "student"}
    decides = digest([rest, student.model_dump(exclude={"seeds", "push_to_hub"})])
    seeds: dict[int, SeedRecord] = {}
    for seed in student.seeds:
        title = f"student {name}" + (f", seed {seed}" if len(student.seeds) > 1 else "")
        base, fingerprint = find_base(recipe, name, run, seed), digest([decides, seed])
        course = Course(
            name, student, recipe.labels, seed, base, training, validation, machine, fingerprint, title,
            recipe.multi_label(),
        )  # fmt: skip
        train = partial(train_classifier, course, saving=saving)
        seeds[seed] = one_seed(run, name, seed, fingerprint, title, SeedRecord, train)
    record = _student_record(recipe, name, training, validation, machine, seeds)
    _write_cards(recipe, run, record)
    return record


def _introduce(recipe: Recipe, name: str, training: Lesson, validation: Lesson, machine: Machine) -> None:
    """Say what is about to be trained, on what, and what is left out."""
    student = recipe.classifier(name)
    seeds = f", {len(student.seeds)} seeds" if len(student.seeds) > 1 else ""
    whose = "gold labels" if student.rows == "gold" else "the teacher's labels"
    rows = f"{counted(len(training), 'row')} with {whose}, {len(validation):,} to validate"
    say(f"student {name}: {rows}{seeds}; {machine.about}")
    for reason, count in _skipped(training, validation).items():
        say(f"student {name}: {counted(count, 'row')} not used: {reason}")
    seen = training.taught()
    missing = [label for place, label in enumerate(recipe.labels) if place not in seen]
    if missing:
        labels = f"label{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        say(f"student {name}: no training row has the {labels}: it cannot learn to answer that")


def _skipped(training: Lesson, validation: Lesson) -> dict[str, int]:
    """Why rows could not be used, and how many of each split."""
    return training.skipped | {f"{reason} (validation)": count for reason, count in validation.skipped.items()}


def _student_record(
    recipe: Recipe, name: str, training: Lesson, validation: Lesson, machine: Machine, seeds: dict[int, SeedRecord]
) -> StudentRecord:
    student = recipe.classifier(name)
    f1, f1_deviation = mean_and_deviation([one.macro_f1 for one in seeds.values()])
    loss, loss_deviation = mean_and_deviation([one.validation_loss for one in seeds.values()])
    several = recipe.multi_label()
    return StudentRecord(
        name=name, kind=student.kind, base=student.base, labels=list(recipe.labels), max_length=student.max_length,
        rows={"train": len(training), "validation": len(validation)}, skipped=_skipped(training, validation),
        truncated=max(one.truncated for one in seeds.values()),
        human_labels=len(training) + len(validation) if student.rows == "gold" else 0,
        multi_label=several, best_seed=best_seed(seeds, by_loss=several), macro_f1=f1, validation_loss=loss,
        deviation=loss_deviation if several else f1_deviation,
        seconds=round(sum(one.seconds for one in seeds.values()), 1), device=machine.about,
        hyperparameters=student.model_dump(exclude={"kind", "base", "input", "seeds", "push_to_hub"}), seeds=seeds,
    )  # fmt: skip


def _write_cards(recipe: Recipe, run: RunFolder, record: StudentRecord) -> None:
    base = find_base(recipe, record.name, run)
    for seed, one in record.seeds.items():
        write_atomic(run.student(record.name, seed) / "README.md", student_card(recipe, record, base, one).encode())
    best = student_card(recipe, record, base, record.seeds[record.best_seed])
    write_atomic(run.student(record.name) / "README.md", best.encode())
