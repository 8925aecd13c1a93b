"""What is still to do in a run folder: the stages that must run and why, and the length of each training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from recipes.estimate import count_asked
from recipes.rows import count_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.seq2seq_student import Seq2seqStudent
from recipes.stages import report_inputs, rows_inputs, student_inputs


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage and why it must run; no reason: it is up to date."""

    name: str
    reasons: list[str]

    def line(self) -> str:
        return f"{self.name}: {'to do: ' + '; '.join(self.reasons) if self.reasons else 'up to date'}"


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How long a student's training is at most (it may stop early). rows: None while they are not known."""

    student: str
    rows: int | None
    epochs: int
    batch_size: int
    seeds: int

    @property
    def steps(self) -> int | None:
        """Optimizer steps over all seeds."""
        return None if self.rows is None else math.ceil(self.rows / self.batch_size) * self.epochs * self.seeds

    def line(self) -> str:
        rows = "rows" if self.rows is None else f"{self.rows:,} rows"
        seeds = f" x {self.seeds} seeds" if self.seeds > 1 else ""
        steps = "" if self.steps is None else f" = {self.steps:,} steps at most"
        return f"{self.student}: {rows} / {self.batch_size} x {self.epochs} epochs{seeds}{steps}"


@dataclass(frozen=True, slots=True)
class Stages:
    """Every stage in the order of its run; report: the last of them, None where there is nothing to compare on."""

    plans: list[StagePlan]
    report: StagePlan | None

    @property
    def rows_done(self) -> bool:
        """Whether rows/ is up to date."""
        return not self.plans[0].reasons

    @property
    def trained(self) -> bool:
        """Whether all students are, and the rows with them."""
        return not any(plan.reasons for plan in self.plans if plan is not self.report)

    @property
    def reported(self) -> bool:
        """Whether the comparison is."""
        return self.report is not None and not self.report.reasons


def find_stages(recipe: Recipe, run: RunFolder) -> Stages:
    """What must run; a stage that follows one that runs, runs too."""
    plans = {"rows": StagePlan("rows", run.why_stale("rows", rows_inputs(recipe)))}
    for name in recipe.datasets:
        stale = run.of_dataset(name).why_stale("rows", rows_inputs(recipe.of_dataset(name)))
        plans[f"rows of {name}"] = StagePlan(f"rows of {name}", stale)
    rows = list(plans.values())

    def student(name: str) -> StagePlan:
        stage = f"student-{name}"
        if stage not in plans:
            base, data = recipe.base_student(name), getattr(recipe.students[name], "data", None)
            before = [] if base is None else [student(base)]
            before += [plans["rows" if data is None else f"rows of {data}"]] if data or base is None else []
            after = [reason for plan in before for reason in _after(plan)]
            plans[stage] = StagePlan(stage, run.why_stale(stage, student_inputs(recipe, name, run)) or after)
        return plans[stage]

    before = [*rows, *(student(name) for name in recipe.students)]
    sources = (recipe.source, *(dataset.source for dataset in recipe.datasets.values()))
    if all(source.test == 0 for source in sources):
        return Stages(list(plans.values()), None)
    reasons = run.why_stale("report", report_inputs(recipe, run))
    report = StagePlan("report", reasons or [reason for stage in before for reason in _after(stage)])
    return Stages([*plans.values(), report], report)


def _after(before: StagePlan) -> list[str]:
    """Why a stage that is up to date with what is on disk must run again all the same."""
    return [f"{before.name} runs again"] if before.reasons else []


def training_plans(recipe: Recipe, run: RunFolder, expected: int | None, rows_done: bool) -> list[TrainingPlan]:
    """The training of each student: on the rows on disk where they are up to date, else on those expected."""
    train = count_rows(run.rows / "train.jsonl") if rows_done else expected
    plans = []
    for name, student in recipe.students.items():
        if isinstance(student, Seq2seqStudent):
            rows = _pairs(recipe, student, run, train)
        else:
            known = [count for count in (train, student.limit) if count is not None]
            rows = min(known) if known else None
        plans.append(TrainingPlan(name, rows, student.epochs, student.batch_size, len(student.seeds)))
    return plans


def _pairs(recipe: Recipe, student: Seq2seqStudent, run: RunFolder, train: int | None) -> int | None:
    """Texts to be written in an epoch: of a drawn row, one for each target. train: rows of the recipe's own source."""
    task = recipe.task
    if student.data is not None:
        rows, there = recipe.of_dataset(student.data), run.of_dataset(student.data)
        done = not there.why_stale("rows", rows_inputs(rows))
        expected = None if done else count_asked(rows)
        there_now = count_rows(there.rows / "train.jsonl") if done else None
        task, train = rows.task, there_now if expected is None else expected["train"]
    return None if train is None else student.drawn(train) * len(student.writes(task))
