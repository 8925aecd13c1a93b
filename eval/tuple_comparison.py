"""What a comparison of seq2seq students found, as report.json holds it and every report shows it.

Every result is of one (dataset, slice, model), and holds its seeds one by one: figures of several datasets, slices or
models are never averaged. Shares are 0 to 1, differences likewise. What could not be measured is null, never 0.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eval.comparison import Figure, Funnel, LossCurve, Part, Verdict

TupleRole = Literal["teacher", "student", "baseline"]
TupleFamily = Literal["distillation", "students", "baselines"]
SetTask = Literal["understanding", "atsa", "acsa", "sentiment"]

ALL = "all"
"""The slice that has every row."""


class SetPart(Part):
    """One set of test rows. train: train rows of the same dataset. slices: name -> rows; `all` is the first.

    gold: gold tuples; of understanding those of the teacher's analyses. cut: slice column -> its values, where only
    those with the most rows are slices.
    """

    dataset: str
    task: SetTask
    rows: int
    train: int
    gold: int
    slices: dict[str, int]
    cut: dict[str, int] = Field(default={})


class TupleModel(Part):
    """Who was scored. base: what it started from. share: of the train rows.

    learnt: train rows that it learnt; None for a baseline. best_seed: by validation. met: test rows with a text that
    it, or what it began with, was trained or chosen on. seconds_per_1000: as measured.
    """

    name: str
    role: TupleRole
    about: str
    dataset: str
    base: str | None = None
    share: float | None = None
    learnt: int | None = None
    seeds: tuple[int, ...] = ()
    best_seed: int | None = None
    met: int = 0
    seconds_per_1000: float | None = None
    usd_per_1000: float | None = None


class SeedResult(Part):
    """The figures of one seed; seed: None for a baseline."""

    seed: int | None
    figures: dict[str, float | None]


class Result(Part):
    """One model on one slice of one dataset. figures: measure -> mean over its seeds; seeds: each by itself."""

    dataset: str
    slice: str
    model: str
    rows: int
    figures: dict[str, Figure]
    seeds: tuple[SeedResult, ...]

    def figure(self, measure: str) -> Figure:
        """A figure by its measure; an empty one where it was not measured."""
        return self.figures.get(measure, Figure())


class TuplePair(Part):
    """Two models on the same rows of one dataset, a mean over the seeds that both have (a baseline goes with each).

    p: of a paired bootstrap over texts; p_holm: corrected within `family`, of distillation over all datasets, of others
    over those of one dataset and measure (distillation: same data, share and first base, one by way of a teacher's
    understanding; students: others on the same data; baselines: a student and a baseline). detectable: the smallest
    difference that such a test, corrected, finds 4 times in 5, by the spread of its draws; None where they have none.
    """

    dataset: str
    measure: str
    first: str
    second: str
    family: TupleFamily
    seeds: tuple[int, ...]
    rows: int
    first_value: float
    second_value: float
    difference: Figure
    p: float
    p_holm: float
    detectable: float | None


class TupleAnswer(Part):
    """What one model said of an example. right, wrong: its tuples; missed: gold ones that it did not name."""

    model: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    missed: tuple[str, ...]
    invalid: int


class TupleExample(Part):
    """A text with its gold tuples, and what each model made of it; shown in the report."""

    dataset: str
    id: str
    text: str
    gold: tuple[str, ...]
    answers: tuple[TupleAnswer, ...]


class TupleComparison(Part):
    """A whole comparison of seq2seq students. machine: where speeds were measured, or empty."""

    recipe: str
    about: str
    task: str
    teacher: str
    made: str
    machine: str
    version: str
    confidence: float
    resamples: int
    metrics: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    warnings: tuple[str, ...]
    sets: tuple[SetPart, ...]
    models: tuple[TupleModel, ...]
    results: tuple[Result, ...]
    pairs: tuple[TuplePair, ...]
    funnels: dict[str, Funnel]
    examples: tuple[TupleExample, ...] = ()
    curves: tuple[LossCurve, ...] = ()

    def model(self, name: str, dataset: str) -> TupleModel:
        """Who `name` is on a dataset."""
        return next(one for one in self.models if (one.name, one.dataset) == (name, dataset))

    def of(self, dataset: str, slice_name: str = ALL) -> list[Result]:
        """The results of one slice of one dataset."""
        return [one for one in self.results if (one.dataset, one.slice) == (dataset, slice_name)]

    def result(self, dataset: str, slice_name: str, model: str) -> Result | None:
        """One result; None where there is none."""
        return next((one for one in self.of(dataset, slice_name) if one.model == model), None)
