"""The report stage of generative recipes: the same questions to all, scored, tested in pairs, judged by option."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version

from eval.answer_scores import ScoredModel, score_answers, score_model
from eval.costs import machine_usd_per_1000, teacher_usd_per_1000
from eval.curves import training_curves
from eval.examples import examples
from eval.generate import reference_responses, responses_of
from eval.judge import judge_answers
from eval.questions import Questions, read_questions
from eval.responders import about, base_responder, bases_of, responders, roster
from eval.response_pairs import compare_pairs
from eval.response_verdicts import response_verdicts
from eval.response_warnings import response_warnings
from eval.responses import JudgeReport, ResponseComparison
from eval.scored import count_funnel
from finetune.causal_record import CausalRecord, read_causal_record
from finetune.trained import check_trained
from recipes.evaluation import GENERATIVE_METRICS
from recipes.evaluation_checks import BASE_OF, reference_name
from recipes.runs import RunFolder
from recipes.schema import Recipe


def compare_responses(recipe: Recipe, run: RunFolder, yes: bool) -> ResponseComparison:
    """Bring predictions/ up to date, have them judged, and return all that was found.

    Raises RunError where rows are missing, TrainingError where students are, TeacherError where the judge cannot go on.
    """
    questions = read_questions(recipe, run)
    models = [_answered(recipe, run, name, questions) for name in roster(recipe, run)]
    judge = judge_answers(recipe, run, questions, models, yes)
    return build_response_comparison(recipe, run, questions, models, judge)


def build_response_comparison(
    recipe: Recipe,
    run: RunFolder,
    questions: Questions,
    models: Sequence[ScoredModel],
    judge: JudgeReport | None,
) -> ResponseComparison:
    """Score all models and every pair of them; reads the run folder, writes nothing."""
    how = recipe.evaluation
    scores = tuple(score_model(one, about(recipe, one.name), _usd(recipe, run, one), questions, how) for one in models)
    pairs = compare_pairs(models, bases_of(recipe, run), how)
    reference = reference_name(recipe.task)
    manifest = run.manifest("rows")
    return ResponseComparison(
        recipe=recipe.name,
        about=recipe.about,
        task=recipe.task,
        teacher=recipe.teacher.model,
        reference=reference,
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine="; ".join(dict.fromkeys(one.machine for model in models for one in model.sets if one.machine)),
        version=version("tutelage"),
        rows=len(questions.rows),
        rows_of=questions.of,
        confidence=how.confidence,
        resamples=how.resamples,
        metrics=how.metrics or GENERATIVE_METRICS,
        verdicts=tuple(response_verdicts(pairs, judge, reference, how.confidence)),
        warnings=tuple(response_warnings(recipe, questions, scores, judge, manifest is None or manifest.complete)),
        models=scores,
        pairs=pairs,
        judge=judge,
        funnel=count_funnel(run),
        examples=examples(questions, models, how.seed),
        curves=training_curves(recipe, run, [one.name for one in models if one.main.role == "student"]),
    )


def _answered(recipe: Recipe, run: RunFolder, name: str, questions: Questions) -> ScoredModel:
    if name == reference_name(recipe.task):
        return score_answers(questions, [reference_responses(run, questions, name)])
    if name.startswith(BASE_OF):
        student = name.removeprefix(BASE_OF)
        best = _record(recipe, run, student).best_seed
        return score_answers(questions, [responses_of(base_responder(recipe, run, student, best), run, questions)])
    record = _record(recipe, run, name)
    sets = [responses_of(one, run, questions) for one in responders(recipe, run, record)]
    validation = [one.validation_loss for one in record.seeds.values()]
    return score_answers(questions, sets, list(record.seeds).index(record.best_seed), validation)


def _record(recipe: Recipe, run: RunFolder, name: str) -> CausalRecord:
    """student.json of a student that is up to date."""
    record = read_causal_record(run, name)
    check_trained(recipe, name, run)
    return record


def _usd(recipe: Recipe, run: RunFolder, one: ScoredModel) -> float | None:
    if one.main.role == "teacher":
        manifest = run.manifest("rows")
        return teacher_usd_per_1000(recipe.teacher.price, manifest.facts if manifest else {})
    return machine_usd_per_1000(recipe.evaluation.machine_usd_per_hour, one.main.rows_per_second)
