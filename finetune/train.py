"""The stage that makes a student: kind -> trainer, once per seed, then student.json and the manifest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from finetune.bases import find_base
from finetune.card import student_card
from finetune.course import Course, Saving
from finetune.hardware import Machine, find_machine
from finetune.hub import push_student
from finetune.lessons import Lesson, training_lesson, validation_lesson
from finetune.record import (
    SEED_FILE,
    SeedRecord,
    StudentRecord,
    best_seed,
    mean_and_deviation,
    read_seed,
    write_record,
)
from recipes.console import say
from recipes.errors import RunError, TrainingError
from recipes.runs import Manifest, RunFolder, digest, file_digest, write_atomic
from recipes.schema import Recipe
from recipes.stages import student_inputs


def _classifier(course: Course, folder: Path, work: Path) -> SeedRecord:
    from finetune.classifier import train_classifier  # torch and transformers: seconds that an up-to-date stage saves

    return train_classifier(course, folder, work, Saving())


TRAINERS: dict[str, Callable[[Course, Path, Path], SeedRecord]] = {"classifier": _classifier}


def train_student(recipe: Recipe, name: str, run: RunFolder) -> Manifest:
    """Bring a student (and the student it starts from) up to date and return its manifest.

    Raises TrainingError, and RunError where rows/ is not there.
    """
    return train_students(recipe, [name], run)[name]


def train_students(recipe: Recipe, names: Iterable[str], run: RunFolder) -> dict[str, Manifest]:
    """Bring several students up to date, each after the one it starts from."""
    done: dict[str, Manifest] = {}
    for name in names:
        for one in lineage(recipe, name):
            if one not in done:
                done[one] = _bring_up_to_date(recipe, one, run)
                push_student(recipe, one, run, done[one])
    return done


def lineage(recipe: Recipe, name: str) -> list[str]:
    """The students to train for `name`, in order: its base's base, its base, itself. Raises TrainingError on a ring."""
    chain: list[str] = []
    one: str | None = name
    while one is not None:
        if one not in recipe.students:
            known = ", ".join(recipe.students)
            raise TrainingError(f"the recipe {recipe.name} has no student {one!r}; it has {known}")
        if one in chain:
            raise TrainingError(f"students.{one}: its base leads back to itself ({' <- '.join([one, *chain])})")
        chain.insert(0, one)
        one = recipe.base_student(one)
    return chain


def _bring_up_to_date(recipe: Recipe, name: str, run: RunFolder) -> Manifest:
    if not (run.rows / "train.jsonl").exists():
        raise RunError(f"{run.rows / 'train.jsonl'} is missing: run python -m synth on the recipe first")
    stage, inputs = f"student-{name}", student_inputs(recipe, name, run)
    stale, manifest = run.why_stale(stage, inputs), run.manifest(stage)
    if not stale and manifest is not None:
        say(f"student {name}: up to date ({_score(manifest.facts)}, {run.student(name)})")
        return manifest
    say(f"student {name}: {'; '.join(stale)}")
    run.begin(stage)
    record = _train(recipe, name, run, inputs)
    facts: dict[str, Any] = {
        "macro_f1": record.macro_f1, "deviation": record.deviation, "best_seed": record.best_seed, "rows": record.rows,
        "seconds": record.seconds, "device": record.device,
    }  # fmt: skip
    manifest = run.finish(stage, inputs, _outputs(run, name, record), facts)
    say(f"student {name}: done, {_score(facts)}; best seed {record.best_seed} in {run.student(name, record.best_seed)}")
    return manifest


def _train(recipe: Recipe, name: str, run: RunFolder, inputs: dict[str, str]) -> StudentRecord:
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
        course = Course(name, student, recipe.labels, seed, base, training, validation, machine, fingerprint, title)
        seeds[seed] = _one_seed(course, run)
    record = _student_record(recipe, name, training, validation, machine, seeds)
    _write_cards(recipe, run, record)
    write_record(run.student(name) / "student.json", record)
    return record


def _one_seed(course: Course, run: RunFolder) -> SeedRecord:
    """Train one seed, unless it was finished before the process was stopped; its folder appears whole or not at all."""
    folder = run.student(course.name, course.seed)
    record = read_seed(folder, course.fingerprint)
    if record is not None:
        say(f"{course.title}: finished before")
        return record
    partial = folder.with_name(folder.name + ".partial")
    work = run.student(course.name) / "checkpoints" / folder.name
    shutil.rmtree(partial, ignore_errors=True)
    record = TRAINERS[course.student.kind](course, partial, work)
    record.files = {path.name: file_digest(path) for path in sorted(partial.iterdir())}
    write_record(partial / SEED_FILE, record)
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)
    shutil.rmtree(work, ignore_errors=True)
    if not any(work.parent.iterdir()):
        work.parent.rmdir()
    return record


def _introduce(recipe: Recipe, name: str, training: Lesson, validation: Lesson, machine: Machine) -> None:
    """Say what is about to be trained, on what, and what is left out."""
    student = recipe.students[name]
    seeds = f", {len(student.seeds)} seeds" if len(student.seeds) > 1 else ""
    whose = "gold labels" if student.rows == "gold" else "the teacher's labels"
    say(f"student {name}: {len(training):,} rows with {whose}, {len(validation):,} to validate{seeds}; {machine.about}")
    for reason, count in training.skipped.items():
        say(f"student {name}: {count:,} rows not used: {reason}")
    seen = set(training.answers().tolist())
    missing = [label for place, label in enumerate(recipe.labels) if place not in seen]
    if missing:
        say(f"student {name}: no training row has the label {', '.join(missing)}: it cannot learn to answer that")


def _student_record(
    recipe: Recipe, name: str, training: Lesson, validation: Lesson, machine: Machine, seeds: dict[int, SeedRecord]
) -> StudentRecord:
    student = recipe.students[name]
    mean, deviation = mean_and_deviation(seeds)
    return StudentRecord(
        name=name, kind=student.kind, base=student.base, labels=list(recipe.labels), max_length=student.max_length,
        rows={"train": len(training), "validation": len(validation)}, skipped=training.skipped,
        truncated=max(one.truncated for one in seeds.values()),
        human_labels=len(training) + len(validation) if student.rows == "gold" else 0,
        best_seed=best_seed(seeds), macro_f1=mean, deviation=deviation,
        seconds=round(sum(one.seconds for one in seeds.values()), 1), device=machine.about,
        hyperparameters=student.model_dump(exclude={"kind", "base", "input", "seeds", "push_to_hub"}), seeds=seeds,
    )  # fmt: skip


def _write_cards(recipe: Recipe, run: RunFolder, record: StudentRecord) -> None:
    base = find_base(recipe, record.name, run)
    for seed, one in record.seeds.items():
        write_atomic(run.student(record.name, seed) / "README.md", student_card(recipe, record, base, one).encode())
    best = student_card(recipe, record, base, record.seeds[record.best_seed])
    write_atomic(run.student(record.name) / "README.md", best.encode())


def _outputs(run: RunFolder, name: str, record: StudentRecord) -> list[Path]:
    """What must still be there for the student to be up to date; not the cards, which eval and people write to."""
    inside = (path for seed in record.seeds for path in sorted(run.student(name, seed).iterdir()))
    return [run.student(name) / "student.json", *(path for path in inside if path.name != "README.md")]


def _score(facts: dict[str, Any]) -> str:
    score, deviation = facts["macro_f1"], facts["deviation"]
    if not isinstance(score, float):
        return "no validation rows"
    return f"validation macro F1 {score:.3f}" + (f" +- {deviation:.3f}" if isinstance(deviation, float) else "")
