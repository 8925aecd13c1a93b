"""A judge model compares each student's answers with the teacher's and its base's, each pair in both orders.

Asked through synth's engine: every verdict is in runs/<recipe>/judge/journal.jsonl before it is counted, nothing is
paid twice, and `evaluation.judge.budget_usd` is kept over all runs of the folder. The judge sees the question, the
facts where the task has any, and the two responses; no reasoning, no names. Answers that are the same are a tie, and
nobody is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from eval.answer_scores import ScoredModel
from eval.bouts import Bout, tally_rulings
from eval.judging import FAILED, Bench, ask_bench
from eval.questions import Questions
from eval.responders import bases_of
from eval.responses import JudgeReport, Other
from eval.words import words
from recipes.evaluation import Judge
from recipes.runs import RunFolder
from recipes.schema import Recipe
from synth.journal import Journal


def judge_answers(
    recipe: Recipe, run: RunFolder, questions: Questions, models: Sequence[ScoredModel], yes: bool
) -> JudgeReport | None:
    """Have all pairs judged that the recipe asks for; None where it names no judge, or there is nobody to compare.

    Raises TeacherError where the judge cannot go on, RecipeError for a prompt that does not fit. A budget that ends
    ends the judging: what is left counts as unscored, and the same command goes on from there once it is raised.
    """
    judge = recipe.evaluation.judge
    bases = bases_of(recipe, run)
    bouts = [] if judge is None else list(all_bouts(judge, models, bases, len(questions.rows)))
    if judge is None or not bouts:
        return None
    answers = {model.name: [line.response for line in model.main.lines] for model in models}
    bench = Bench(recipe, judge, questions, answers)
    stopped = ""
    with _journal(recipe, run, judge) as journal:
        if judge.provider != "recorded":
            stopped = ask_bench(bench, [bout for bout in bouts if bench.known(bout) is None], journal, yes)
        rulings = [bench.rule(bout, lambda request: journal.get(request.key())) for bout in bouts]
        price = None if judge.provider == "recorded" else judge.price
        usd = None if price is None else price.cost(journal.usage)
    return JudgeReport(
        model=judge.model,
        prompt=judge.prompt,
        usd=usd,
        stopped=stopped,
        complete=not stopped and all(one.unscored != FAILED for one in rulings),
        judged=tally_rulings(rulings, recipe.evaluation),
    )


def all_bouts(judge: Judge, models: Sequence[ScoredModel], bases: Mapping[str, str], questions: int) -> Iterator[Bout]:
    """Every question of every pair: all pairs of the first question, then of the second, so that a budget that ends
    leaves each pair with the same questions.
    """
    pairs = list(_pairs(judge, models, bases))
    lengths = {model.name: [len(words(line.response)) for line in model.main.lines] for model in models}
    for place in range(questions):
        for student, other, against in pairs:
            yield Bout(student, other, against, place, (lengths[student][place], lengths[other][place]))


def _pairs(judge: Judge, models: Sequence[ScoredModel], bases: Mapping[str, str]) -> Iterator[tuple[str, str, Other]]:
    teacher = next((model.name for model in models if model.main.role == "teacher"), None)
    there = {model.name for model in models}
    for student in (model.name for model in models if model.main.role == "student"):
        if teacher is not None and "teacher" in judge.against:
            yield student, teacher, "teacher"
        if bases.get(student) in there and "base" in judge.against:
            yield student, bases[student], "base"


def _journal(recipe: Recipe, run: RunFolder, judge: Judge) -> Journal:
    """The run's journal of verdicts, or a recorded one, which is not written to."""
    if judge.journal is not None:
        return Journal.open(recipe.resolve(judge.journal), readonly=True)
    return Journal.open(run.path / "judge" / "journal.jsonl")
