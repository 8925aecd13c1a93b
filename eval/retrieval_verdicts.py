"""What a retrieval report claims, and what it warns of, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from eval.claims import at_odds, is_clear
from eval.comparison import Figure, Verdict
from eval.numbers import p_sentence, percent, span
from eval.retrieval_report import Abstention, AnswerScores, KindScores, WayPair
from eval.retrieval_tables import NAMES, figure_text, measure_head
from eval.searching import DEPTH
from recipes.retrieval import Retrieval

WORSE = 0.01
"""Recall@10 that a kind of question may lose beside vectors alone before it is said."""
DECIDES = "ndcg@10"
FEW = 100
"""Fewer questions leave wide intervals."""


def search_verdicts(scores: Sequence[KindScores], pairs: Sequence[WayPair], confidence: float) -> list[Verdict]:
    """The search as the recipe has it beside each of its halves, by nDCG@10."""
    whole = {
        one.way: {name: one.figures[name] for name in one.figures if name != "refused"}
        for one in scores
        if not one.kind
    }
    found = []
    for pair in pairs:
        if pair.measure != DECIDES:
            continue
        ours, theirs = whole["hybrid"], whole[pair.other]
        change = pair.difference
        word = "ranks no differently from" if not is_clear(pair, confidence) else (
            "ranks better than" if (change.value or 0) > 0 else "ranks worse than"
        )  # fmt: skip
        also = ", ".join(
            f"{measure_head(name)} {figure_text(name, ours[name].value)} and {figure_text(name, theirs[name].value)}"
            for name in ours
            if name != DECIDES
        )
        more = " ".join(filter(None, [f"{also}.", at_odds(pair, confidence, "the permutation test")]))
        figures = (
            f"nDCG@10 {figure_text(DECIDES, ours[DECIDES].value)} and {figure_text(DECIDES, theirs[DECIDES].value)}, "
            f"difference {_signed(change.value)}, {_signed(change.low)} to {_signed(change.high)}, "
            f"{p_sentence(pair.p, pair.p_holm)}"
        )
        found.append(Verdict(claim=f"The search of the recipe {word} {NAMES[pair.other]}", figures=figures, more=more))
    return found


def abstention_verdict(found: Abstention, refuses: bool) -> Verdict | None:
    """What is refused; None where there is no threshold."""
    said = {
        "refuses {} of the questions that the catalogue answers": found.refused,
        "lets {} of those through that it does not answer": found.let_through,
    }
    known = {text: figure for text, figure in said.items() if figure.value is not None}
    if not refuses or not known:
        return None
    more = ""
    if found.withheld.value is not None:
        more = (
            f"Of questions whose own documents were taken out of the results it lets {percent(found.withheld.value)} "
            f"through ({span(found.withheld)})."
        )
    claim = " and ".join(text.format(percent(figure.value)) for text, figure in known.items())
    return Verdict(claim=f"It {claim}", figures=" and ".join(map(span, known.values())), more=more)


def answer_verdicts(answers: Sequence[AnswerScores]) -> list[Verdict]:
    """How far the assistant's answers can be traced to passages."""
    if not answers:
        return []
    first = answers[0]
    precision, grounded = first.figures.get("citation_precision"), first.figures.get("grounded")
    if grounded is None or grounded.value is None:
        return []
    borne = "" if precision is None or precision.value is None else (
        f"; {percent(precision.value)} of its citations bear their sentence ({span(precision)})"
    )  # fmt: skip
    beside = ""
    if len(answers) > 1 and (other := answers[1].figures.get("grounded", Figure())).value is not None:
        beside = f"Without retrieval it is {percent(other.value)} ({span(other)})."
    claim = f"{percent(grounded.value)} of the assistant's answers hold no figure or name that the passages do not"
    return [Verdict(claim=claim, figures=f"{span(grounded)}{borne}", more=beside)]


def search_warnings(
    scores: Sequence[KindScores], abstention: Abstention, refuses: bool, settings: Retrieval
) -> list[str]:
    """What a reader should know before he believes the figures."""
    found = []
    questions = next((one.questions for one in scores if not one.kind and DECIDES in one.figures), 0)
    if not questions:
        found.append("No question has a document that answers it: retrieval cannot be scored.")
    elif questions < FEW:
        found.append(f"Only {questions:,} with an answer: the intervals are wide.")
    if settings.candidates < DEPTH:
        found.append(f"retrieval.candidates is {settings.candidates}: figures at 10 are those at that many.")
    if not refuses:
        found.append("Nothing is ever refused: retrieval.refuse is 0, or the catalogue is too small for a threshold.")
    elif abstention.let_through.value is None:
        found.append("No question is one that the catalogue does not answer: add some with an empty list of documents.")
    return found + _worse_kinds(scores)


def answer_warnings(answers: Sequence[AnswerScores], stopped: str) -> list[str]:
    """The same of the assistant's answers."""
    found = [f"The assistant did not answer all questions: {stopped}."] if stopped else []
    for one in answers:
        if one.silent:
            found.append(
                f"The model wrote nothing of use for {one.silent:,} of {one.questions:,} questions {one.name}; what "
                "was said in its place (the best passages, or a refusal) is what is scored."
            )
        if one.failed:
            first = next(iter(one.failed))
            found.append(
                f"No answer {one.name} to {sum(one.failed.values()):,} of {one.questions:,} questions: {first}."
            )
    return found


def _worse_kinds(scores: Sequence[KindScores]) -> list[str]:
    dense = {one.kind: one.figures["recall@10"].value or 0.0 for one in scores if one.way == "dense"}
    found = []
    for one in scores:
        if one.way != "hybrid" or one.kind not in dense:
            continue
        ours, theirs = one.figures["recall@10"].value or 0.0, dense[one.kind]
        if one.kind and theirs - ours > WORSE:
            found.append(
                f"Questions of the kind {one.kind} are served worse than by vectors alone: recall@10 {percent(ours)} "
                f"and {percent(theirs)} of {one.questions:,}."
            )
    return found


def _signed(value: float | None) -> str:
    return f"{value or 0.0:+.3f}".replace("-", "−")
