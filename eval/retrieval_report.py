"""What scoring retrieval and the assistant found, as retrieval.json holds it and every report shows it.

Shares are 0 to 1, money is USD, times are in the unit of their name. What could not be measured is null, never 0.
"""

from __future__ import annotations

from eval.comparison import Figure, Part, Verdict
from eval.searching import Way


class KindScores(Part):
    """One way of searching on the questions of one kind, or of all (kind is empty).

    questions: those with an answer, or all of a kind that has none. figures: measure (recall@10, mrr@10, ndcg@10 ...)
    -> figure; of the recipe's own way also `refused`, alone for a kind without answers.
    """

    way: Way
    kind: str
    questions: int
    figures: dict[str, Figure]


class WayPair(Part):
    """The search as the recipe has it less another way, on the same questions.

    p: paired permutation test; p_holm: corrected over the ways, by measure.
    """

    other: Way
    measure: str
    difference: Figure
    p: float
    p_holm: float


class Abstention(Part):
    """What is refused before anything is answered.

    refused: share of the questions that the catalogue answers. let_through: share of the rest. withheld: share let
    through of the questions whose own documents were taken out of the results.
    """

    refused: Figure
    let_through: Figure
    withheld: Figure


class AnswerScores(Part):
    """The assistant's answers, with retrieval or without.

    answered: answers that are no refusal; failed: questions that got no answer at all, by reason. Shares of the
    questions: refused (of those that the catalogue answers), let_through (answered, of the others), right_source
    (answered from a document that answers, of those). Shares of the answers: grounded (every number, name, code and
    quotation stands in the passages that were found or the question), grounded_cited (in those that it cites), cited
    (it cites something). cited_sentences: share of their sentences with a citation. citation_precision: share of the
    citations whose passage bears the sentence. silent: times that the model wrote nothing of use, and passages were
    quoted in its place. invented, stripped: citations, and links and markup, taken out.
    """

    name: str
    about: str
    questions: int
    answered: int
    failed: dict[str, int]
    figures: dict[str, Figure]
    silent: int
    invented: int
    stripped: int
    seconds_median: float | None
    seconds_p95: float | None
    prompt_tokens: float | None
    completion_tokens: float | None
    usd_per_1000: float | None


class Miss(Part):
    """A question whose documents were not among the first. wanted, found: titles."""

    query: str
    kind: str
    wanted: str
    found: tuple[str, ...]


class Said(Part):
    """One answer of an example."""

    name: str
    response: str
    flags: tuple[str, ...]


class AnswerExample(Part):
    """A question with what was answered."""

    query: str
    answerable: bool
    answers: tuple[Said, ...]


class RetrievalReport(Part):
    """All of it. answerable, unanswerable: questions asked. made: when. queries: whose questions, in words.

    stopped: why not all of the drawn questions were answered, or empty; failed: whether that is to be mended.
    """

    recipe: str
    about: str
    made: str
    version: str
    machine: str
    documents: int
    search: str
    queries: str
    answerable: int
    unanswerable: int
    confidence: float
    resamples: int
    measures: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    warnings: tuple[str, ...]
    scores: tuple[KindScores, ...]
    pairs: tuple[WayPair, ...]
    abstention: Abstention
    milliseconds_median: float
    milliseconds_p95: float
    misses: tuple[Miss, ...]
    assistant: str = ""
    answers: tuple[AnswerScores, ...] = ()
    examples: tuple[AnswerExample, ...] = ()
    stopped: str = ""
    failed: bool = False

    def of(self, way: Way, kind: str = "") -> KindScores | None:
        """The scores of one way on one kind of question, all where not given."""
        return next((one for one in self.scores if (one.way, one.kind) == (way, kind)), None)
