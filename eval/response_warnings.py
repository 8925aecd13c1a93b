"""What a reader must know before trusting the figures of generated answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eval.numbers import measure_text, percent
from eval.questions import Questions
from eval.responders import elsewhere
from eval.responses import JudgeReport, ResponseScores
from recipes.counts import counted
from recipes.schema import Recipe

FEW_ROWS = 100
"""Below this, a share of 70% has a 95% interval of +-9 points and more."""
STOPS = 0.95
"""A model that ends fewer of its answers than this has not learnt to stop, or is given too few tokens."""
UNSCORED = 0.1
"""Share of the questions without a verdict from which it is said."""
FLIPS = 0.3
"""A judge that the order of the answers sways more often than this is said to be swayed."""
PLACE = 0.15
"""So far from a half, the share of its verdicts for the answer that stood first says that it looks at places."""


def response_warnings(
    recipe: Recipe,
    questions: Questions,
    models: Sequence[ResponseScores],
    judge: JudgeReport | None,
    complete: bool,
) -> Iterator[str]:
    """All warnings, the widest first."""
    rows = len(questions.rows)
    if not complete:
        yield "Some teacher calls failed for a passing reason; those rows are missing until synth is run again."
    was, are = ("was", "is") if rows == 1 else ("were", "are")
    if rows < questions.of:
        yield f"{rows:,} of {questions.of:,} test rows {was} asked about, a seeded draw (evaluation.questions)."
    if rows < FEW_ROWS:
        yield f"{counted(rows, 'question')} {are} few: only large differences can be told from chance."
    yield from _whose(recipe, models)
    for name in elsewhere(recipe):
        yield (
            f"{name} was trained on other questions (title -> description) and is not compared; students that start "
            "from it are."
        )
    yield from _sampling(recipe, models)
    for model in models:
        yield from _of_model(model, rows)
    if judge is not None:
        yield from _of_judge(recipe, judge)


def _whose(recipe: Recipe, models: Sequence[ResponseScores]) -> Iterator[str]:
    who = "teacher's" if recipe.task == "reasoning" else "source's"
    yield f"ROUGE-L, chrF and loss tell closeness to the {who} responses, not quality: other good answers lose."
    if recipe.task == "description":
        yield "The reference descriptions are the facts that answers are checked against: all of them are grounded."
    teacher = recipe.task == "reasoning" and any(model.role == "teacher" for model in models)
    if teacher:
        yield (
            f"The teacher wrote with the source before it ({', '.join(recipe.source.fields or ())}); students and "
            "their bases were asked the question alone: facts that they were not shown, they can only guess."
        )
    kept = [name for name, on in (("grounded", recipe.filters.grounded), ("meta-talk", recipe.filters.meta_talk)) if on]
    if teacher and kept:
        yield (
            f"The teacher's rows passed the recipe's filters ({', '.join(kept)}): its figures there are those of what "
            "was kept, not of all it wrote."
        )


def _sampling(recipe: Recipe, models: Sequence[ResponseScores]) -> Iterator[str]:
    students = [model.name for model in models if model.role == "student"]
    warm = sorted({recipe.causal(name).answering.temperature for name in students} - {0.0})
    if warm:
        shown = ", ".join(f"{value:g}" for value in warm)
        yield f"Answers were sampled once, at temperature {shown}: another draw gives other answers and other figures."


def _of_model(model: ResponseScores, rows: int) -> Iterator[str]:
    stopped, silent = model.figure("stopped").value, rows - model.answered
    if stopped is not None and stopped < STOPS:
        yield (
            f"{model.name} ended only {percent(stopped)} of its answers by itself; the others were cut at "
            "answering.max_new_tokens."
        )
    if model.unscored.get("loss"):
        yield f"{model.name}: {model.unscored['loss']:,} of {rows:,} reference responses are too long for it: no loss."
    if silent:
        at = model.figure("rouge_l_all").value
        would = "" if at is None else f"; counted as 0, they would put its ROUGE-L at {measure_text(at, 'rouge_l')}"
        yield (
            f"{model.name} gave no response to {silent:,} of {counted(rows, 'question')}. They count against "
            f"Answered, not against the overlaps{would}."
        )


def _of_judge(recipe: Recipe, judge: JudgeReport) -> Iterator[str]:
    if judge.stopped:
        yield f"Not all was judged: {judge.stopped}"
    if judge.model == recipe.teacher.model:
        yield f"The judge {judge.model} is the teacher too: models prefer their own answers."
    for one in judge.judged:
        if one.flips > FLIPS * one.rows:
            places = one.first_wins is not None and abs(one.first_wins - 0.5) > PLACE
            why = "looks at places" if places else "is not consistent"
            yield (
                f"{judge.model} changed its mind with the order of the answers on {percent(one.flips / one.rows)} of "
                f"the questions ({one.student} against {one.other}): it {why}, and its word is worth little."
            )
        unscored = sum(one.unscored.values())
        if unscored > UNSCORED * (one.rows + unscored):
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in one.unscored.items())
            have = "has" if unscored == 1 else "have"
            yield f"{one.student} against {one.other}: {counted(unscored, 'question')} {have} no verdict ({reasons})."
