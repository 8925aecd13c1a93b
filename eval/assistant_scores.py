"""The assistant's answers -> scores. Pure and seeded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from eval.assistant_answer import WITH, Answered
from eval.comparison import Figure
from eval.costs import machine_usd_per_1000
from eval.resampling import Tally
from eval.retrieval_report import AnswerExample, AnswerScores, Said
from eval.retrieval_scores import ratio_figure, share
from recipes.chat import Price, Usage
from recipes.evaluation import Evaluation
from synth.splits import rank

EXAMPLES = 8


def score_answers(
    answers: Sequence[Answered], mode: str, about: str, price: Price | None, how: Evaluation
) -> AnswerScores:
    """The scores of one mode; not empty. price: of the model's tokens, None where they have none."""
    asked = [one for one in answers if one.mode == mode]
    said = [one for one in asked if not one.failed]
    seconds = [one.seconds for one in said]
    prompt, completion = (float(np.mean(tokens)) if said else None for tokens in (
        [one.prompt_tokens for one in said], [one.completion_tokens for one in said]
    ))  # fmt: skip
    return AnswerScores(
        name=mode,
        about=about,
        questions=len(asked),
        answered=sum(one.given for one in said),
        failed=dict(Counter(one.failed for one in asked if one.failed)),
        figures={name: one for name, one in _figures(said, mode, how).items() if one.value is not None},
        silent=sum(one.silent for one in said),
        invented=sum(one.invented for one in said),
        stripped=sum(one.stripped for one in said),
        seconds_median=float(np.median(seconds)) if said else None,
        seconds_p95=float(np.quantile(seconds, 0.95)) if said else None,
        prompt_tokens=prompt or None,
        completion_tokens=completion or None,
        usd_per_1000=_usd(said, price, how),
    )


def _figures(said: Sequence[Answered], mode: str, how: Evaluation) -> dict[str, Figure]:
    given = [one for one in said if one.given]
    figures = {
        "grounded": share([not one.ungrounded for one in given], how),
        "refused": share([one.abstained for one in said if one.answerable], how),
        "let_through": share([not one.abstained for one in said if not one.answerable], how),
    }
    if mode != WITH:
        return figures
    return figures | {
        "grounded_cited": share([not one.ungrounded_cited for one in given if one.cites], how),
        "cited": share([one.cites for one in given], how),
        "cited_sentences": _ratio([(one.cited_sentences, one.sentences) for one in given], how),
        "citation_precision": _ratio([(one.borne, one.citations) for one in given], how),
        "right_source": share([one.right_source for one in said if one.right_source is not None], how),
    }


def _ratio(pairs: Sequence[tuple[int, int]], how: Evaluation) -> Figure:
    """Sum over sum, with the answers as what is drawn for the interval."""
    if not any(whole for _, whole in pairs):
        return Figure()
    parts, wholes = (np.array(values, dtype=np.float64) for values in zip(*pairs, strict=True))
    return ratio_figure(Tally(parts, wholes), how)


def _usd(said: Sequence[Answered], price: Price | None, how: Evaluation) -> float | None:
    """USD for 1,000 questions: of the tokens where they have a price, else of the machine's time, one at a time."""
    if not said:
        return None
    if price is None:
        seconds = sum(one.seconds for one in said)
        return machine_usd_per_1000(how.machine_usd_per_hour, len(said) / seconds if seconds else None)
    usage = Usage(sum(one.prompt_tokens for one in said), 0, sum(one.completion_tokens for one in said))
    return price.cost(usage) / len(said) * 1000


def answer_examples(answers: Sequence[Answered], seed: int) -> tuple[AnswerExample, ...]:
    """A seeded draw of the questions with what was answered."""
    by_query: dict[str, list[Answered]] = {}
    for one in answers:
        by_query.setdefault(one.query, []).append(one)
    drawn = sorted(by_query, key=lambda query: rank(seed, f"example:{query}"))[:EXAMPLES]
    return tuple(
        AnswerExample(query=query, answerable=by_query[query][0].answerable, answers=tuple(map(_said, by_query[query])))
        for query in drawn
    )


def _said(one: Answered) -> Said:
    flags = [f"not in the passages: {sentence}" for sentence in one.ungrounded] if one.given else []
    if one.citations > one.borne:
        flags.append(f"{one.citations - one.borne} of {one.citations} citations do not bear their sentence")
    flags += ["the model wrote nothing of use"] if one.silent else []
    flags += ["refused, and the catalogue answers"] if one.abstained and one.answerable else []
    flags += ["answered, and the catalogue does not"] if one.given and not one.answerable else []
    return Said(name=one.mode, response=one.failed or one.response, flags=tuple(flags))
