"""What a comparison of generated answers found, as report.json holds it and every report shows it.

Shares and overlaps are 0 to 1, differences likewise, money is USD. What could not be measured is null, never 0.
"""

from __future__ import annotations

from typing import Literal

from eval.comparison import Figure, Funnel, LossCurve, Part, Verdict
from eval.generate import Role

Family = Literal["base", "teacher", "students"]
Other = Literal["teacher", "base"]


class SeedFigures(Part):
    """One seed of a student. validation: its best validation loss, which alone decides `chosen`."""

    seed: int
    chosen: bool
    validation: float | None
    figures: dict[str, float | None]


class ResponseScores(Part):
    """One model. figures: measure (eval/measures.py) -> figure; of a student with several seeds the mean over them.

    answered: of the chosen seed, how many questions got a response. chrf is over all answers together; chrf_rows, the
    mean over answers, is what is tested. Measures over responses leave out questions that got none; `rouge_l_all`
    counts those as 0. unscored: measure -> questions without a figure in the chosen seed, where there are any.
    """

    name: str
    role: Role
    about: str
    answered: int
    figures: dict[str, Figure]
    unscored: dict[str, int]
    tokens_per_second: float | None
    usd_per_1000: float | None
    seeds: tuple[SeedFigures, ...] = ()

    def figure(self, measure: str) -> Figure:
        """A figure by its measure; an empty one where it was not measured."""
        return self.figures.get(measure, Figure())


class ResponsePair(Part):
    """Two models in one measure, on the questions where both have it.

    difference: `first` less `second`. p: exact McNemar for yes or no, else a paired permutation test; p_holm: corrected
    within `family` (base: a student and its base; teacher: a student and the teacher; students: two students), over all
    its pairs and measures. detectable: the smallest difference such a test, corrected, would have found 4 times in 5;
    null: none, the questions are too few, or all show the same difference.
    all_seeds: the difference with each student's seeds averaged, where one has several.
    """

    first: str
    second: str
    measure: str
    family: Family
    rows: int
    first_value: float
    second_value: float
    difference: Figure
    test: Literal["exact McNemar", "paired permutation"]
    p: float
    p_holm: float
    detectable: float | None
    all_seeds: Figure | None = None


class Judged(Part):
    """A student's answers beside another's, as the judge saw them, each pair in both orders.

    rows: questions whose two verdicts could be read. wins, losses, ties: of the student; a question on which the two
    orders disagree is a flip and counts as a tie. unscored: reason -> questions without two verdicts; they count
    nowhere. win_rate: wins and half of the ties, of rows. first_wins: share of the verdicts for the answer that stood
    first, ties left out: far from a half, the judge looks at places. longer_wins: share of wins and losses that went to
    the longer answer. p: exact sign test of wins against losses; p_holm: corrected over all that was judged.
    """

    student: str
    other: str
    against: Other
    rows: int
    wins: int
    losses: int
    ties: int
    flips: int
    unscored: dict[str, int]
    win_rate: Figure
    words: tuple[float, float] | None
    first_wins: float | None
    longer_wins: float | None
    p: float
    p_holm: float


class JudgeReport(Part):
    """Who judged, what it was told, and what it cost in this run folder. stopped: why not all was judged, or empty.

    usd: of all tokens of the run folder's journal at this judge's price, those of an earlier judge or price too; None
    where verdicts are recorded. complete: False where the next run may find verdicts that this one did not.
    """

    model: str
    prompt: str
    usd: float | None
    stopped: str
    complete: bool
    judged: tuple[Judged, ...]


class Answer(Part):
    """One model's answer to an example. ungrounded: what it says that neither facts nor question have. cut: it did not
    end by itself."""

    model: str
    role: Role
    reasoning: str | None
    response: str
    ungrounded: tuple[str, ...]
    cut: bool


class ResponseExample(Part):
    """A question and what everybody answered; shown in the report."""

    id: str
    question: str
    history: tuple[str, ...]
    answers: tuple[Answer, ...]


class ResponseComparison(Part):
    """A whole comparison of generated answers. rows: questions asked, of `rows_of` test rows. reference: what the
    responses of the rows are called, teacher or reference. machine: where speeds were measured, or empty.
    """

    recipe: str
    about: str
    task: str
    teacher: str
    reference: str
    made: str
    machine: str
    version: str
    rows: int
    rows_of: int
    confidence: float
    resamples: int
    metrics: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    warnings: tuple[str, ...]
    models: tuple[ResponseScores, ...]
    pairs: tuple[ResponsePair, ...]
    judge: JudgeReport | None = None
    funnel: Funnel
    examples: tuple[ResponseExample, ...] = ()
    curves: tuple[LossCurve, ...] = ()

    def model(self, name: str) -> ResponseScores:
        """The scores of one model."""
        return next(one for one in self.models if one.name == name)

    def pair(self, first: str, second: str, measure: str) -> ResponsePair | None:
        """The test of two models in one measure, in the order asked for; None where they were not tested in it."""
        found = (one for one in self.pairs if (one.first, one.second, one.measure) == (first, second, measure))
        return next(found, None)
