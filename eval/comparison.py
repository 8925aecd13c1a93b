"""What a comparison found, as report.json holds it and every report shows it.

Shares are 0 to 1, differences are shares, money is USD. A figure that could not be measured is null, never 0.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["teacher", "student", "baseline"]
Family = Literal["question", "students", "other"]


class Part(BaseModel):
    """Shared ground: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(Part):
    """A measured figure with the ends of its interval; over several seeds the mean, and their sample deviation."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    deviation: float | None = None


class ClassScore(Part):
    """One label over the answered rows."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


class ConfidenceBin(Part):
    """Answers whose confidence lies in (low, high]."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


class SeedScore(Part):
    """One seed of a student. validation: what chose its epoch, and decides `chosen`: macro F1 on the validation rows,
    with several labels a text the loss."""

    seed: int
    chosen: bool
    validation: float | None
    accuracy: float | None
    macro_f1: float | None
    agreement: float | None


class ModelScores(Part):
    """One model. Figures are over its answered rows; of a student with several seeds, the mean over them.

    cut: texts longer than it reads. accuracy_all: rows without an answer counted as wrong. agreement, kappa_teacher:
    with the teacher, on rows both answered. calibration: expected calibration error, 15 bins. classes, confusion (gold
    x labels, then unanswered) and bins are those of the chosen seed.
    """

    name: str
    role: Role
    about: str
    answered: int
    cut: int = 0
    accuracy: Figure
    accuracy_all: Figure
    macro_f1: Figure
    agreement: Figure
    kappa: Figure
    kappa_teacher: Figure
    coverage: Figure
    calibration: Figure
    rows_per_second: float | None
    usd_per_1000: float | None
    seeds: tuple[SeedScore, ...] = ()
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    bins: tuple[ConfidenceBin, ...] = ()


class Pair(Part):
    """Two models on the rows that have a gold label and that both answered.

    difference: accuracy of `first` less that of `second`. p: exact McNemar; p_holm: corrected within `family`
    (question: a student and the teacher; students: a student and another or a baseline; other: no student).
    detectable: the smallest difference such a test, corrected, would have found 4 times in 5; null: none, the rows are
    too few. all_seeds: the difference with each student's seeds averaged, where one has several; the test itself is on
    the seed that validation chose.
    """

    first: str
    second: str
    family: Family
    rows: int
    difference: Figure
    only_first: int
    only_second: int
    p: float
    p_holm: float
    detectable: float | None
    all_seeds: Figure | None = None


class Verdict(Part):
    """A claim and the figures it rests on."""

    claim: str
    figures: str = ""
    more: str = ""

    def text(self) -> str:
        """All of it in a sentence or two."""
        return f"{self.claim}{f' ({self.figures})' if self.figures else ''}. {self.more}".rstrip()


class Funnel(Part):
    """What became of every example: asked = the sum of kept + the sum of rejected.

    set_aside: reasons why an example was never asked about (empty, duplicate ...). not_drawn: beyond the number of
    rows that the recipe wants; null where the rows were made by hand.
    """

    not_drawn: int | None
    set_aside: dict[str, int]
    asked: int
    kept: dict[str, int]
    rejected: dict[str, int]


class Disagreement(Part):
    """A test row that a student and the teacher answered differently."""

    student: str
    id: str
    text: str
    gold: str | None
    teacher: str
    prediction: str
    rationale: str | None


class LossCurve(Part):
    """One seed's training: training loss by optimizer step, validation loss and a score where they were taken.

    steps, loss: of a long training means over equal runs of steps. score: what `scores` are of, or nothing. best_step:
    of the weights that were kept, null where nothing was validated; best_by: what chose it. epoch_steps: steps of an
    epoch, where each was validated at its end. chosen: whether validation chose this seed. temperature: at another than
    1 the losses are of softened labels, times its square, and not in nats.
    """

    student: str
    seed: int
    chosen: bool = True
    steps: tuple[float, ...]
    loss: tuple[float, ...]
    validation_steps: tuple[int, ...] = ()
    validation: tuple[float | None, ...] = ()
    score: str = ""
    scores: tuple[float | None, ...] = ()
    epoch_steps: int | None = None
    best_step: int | None = None
    best_by: str = "loss"
    temperature: float = 1.0


class SliceScores(Part):
    """One model on the rows of a slice; figures as those of ModelScores. calibration: null on few rows, where it is
    large by chance alone."""

    model: str
    role: Role
    answered: int
    accuracy: Figure
    macro_f1: Figure
    agreement: Figure
    calibration: Figure


class Slice(Part):
    """The scored rows with one value of a slice column, such as one language.

    few: too few rows for a verdict, whatever the figures. pairs: each student against the teacher; p_holm is corrected
    over the slices of the column and the students together.
    """

    value: str
    rows: int
    gold_rows: int
    few: bool
    models: tuple[SliceScores, ...]
    pairs: tuple[Pair, ...] = ()


class SliceColumn(Part):
    """A slice column: its values by the number of their rows, most first.

    without: scored rows that have no value in it. not_shown: further values, each of fewer rows, that are not scored.
    """

    column: str
    without: int
    not_shown: int
    slices: tuple[Slice, ...]


class LabelAgreement(Part):
    """How far a student agrees with a teacher of several labels on one of them, over `rows` rows.

    teacher, student: share of the rows on which each says that the label applies (a probability of 0.5 or more).
    agreement: share on which both say the same. f1: the student's, the teacher taken for right: where a label is rare,
    saying no every time already agrees on most rows.
    """

    model: str
    label: str
    rows: int
    teacher: float
    student: float
    agreement: Figure
    f1: float | None


class Comparison(Part):
    """A whole comparison. rows: how many were scored; gold_rows: how many of them have a human label.

    machine: where rows/s were measured; empty where nothing was.
    """

    recipe: str
    about: str
    labels: tuple[str, ...]
    teacher: str
    made: str
    machine: str
    version: str
    rows: int
    gold_rows: int
    confidence: float
    resamples: int
    metrics: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    warnings: tuple[str, ...]
    models: tuple[ModelScores, ...]
    pairs: tuple[Pair, ...]
    funnel: Funnel
    disagreements: tuple[Disagreement, ...] = ()
    curves: tuple[LossCurve, ...] = ()
    slices: tuple[SliceColumn, ...] = ()
    label_agreement: tuple[LabelAgreement, ...] = ()

    def model(self, name: str) -> ModelScores:
        """The scores of one model."""
        return next(one for one in self.models if one.name == name)

    def pair(self, first: str, second: str) -> Pair | None:
        """The test of two models, in the order asked for; None where they share no scored row."""
        return next((one for one in self.pairs if (one.first, one.second) == (first, second)), None)
