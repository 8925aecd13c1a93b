"""The report stage: all models on the same rows, scored, tested in pairs, and written down."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from itertools import chain, zip_longest

from eval.claims import in_less_than_saved
from eval.compare_responses import compare_responses
from eval.comparison import Comparison, Disagreement
from eval.costs import machine_usd_per_1000, teacher_usd_per_1000
from eval.curves import training_curves
from eval.label_agreement import label_agreement
from eval.metrics import MISSING
from eval.models import about, baseline_entrant, roster, student_entrants
from eval.pairs import compare_pairs
from eval.predict import answers_of, teacher_answers
from eval.responses import ResponseComparison
from eval.scored import ScoredRows, count_funnel, read_scored
from eval.scores import Compared, score_model
from eval.slice_verdicts import slice_verdicts, slice_warnings
from eval.slices import score_slices
from eval.tuple_comparison import ALL, TupleComparison
from eval.verdicts import verdicts, warnings
from finetune.record import read_record
from finetune.trained import check_trained
from recipes.console import say
from recipes.evaluation import CLASSIFY_METRICS, TUPLE_TASKS
from recipes.runs import RunFolder
from recipes.schema import BASELINES, Recipe
from recipes.stages import report_inputs

AnyComparison = Comparison | ResponseComparison | TupleComparison
STAGE = "report"
SEVERAL = (
    "Several labels may apply to a text: accuracy, F1 and agreement are those of the likeliest one; label by label "
    "they stand in a table of their own. Epochs and seeds are chosen by the validation loss, which is over all labels."
)
EXAMPLES = 9
"""Disagreements shown per student."""


def compare(recipe: Recipe, run: RunFolder, yes: bool = False) -> AnyComparison:
    """Bring predictions/ and the report up to date and return what it says. `yes`: ask nothing before a paid judge.

    Raises RunError where rows are missing or a student is not up to date, TrainingError where one is not trained,
    RecipeError where `evaluation.models` cannot be had, TeacherError where a judge cannot go on.
    """
    from eval.card import update_cards
    from eval.report import read_report, write_report

    inputs = report_inputs(recipe, run)
    stale = run.why_stale(STAGE, inputs)
    known = None if stale else read_report(run)
    if known is not None:
        update_cards(recipe, run, known)  # a card may have been written anew since
        say(f"report: up to date ({run.path / 'report.html'})")
        return known
    say(f"report: {'; '.join(stale) or 'report.json is damaged'}")
    run.start(STAGE)
    comparison = _compare(recipe, run, yes)
    run.begin(STAGE)
    outputs = write_report(run, comparison)
    update_cards(recipe, run, comparison)
    run.finish(STAGE, inputs, outputs, _facts(comparison), complete=_is_whole(comparison))
    return comparison


def _compare(recipe: Recipe, run: RunFolder, yes: bool) -> AnyComparison:
    if recipe.task == "classify":
        return _compare_labels(recipe, run)
    if recipe.task in TUPLE_TASKS:
        from eval.tuple_compare import compare_tuples

        return compare_tuples(recipe, run)
    return compare_responses(recipe, run, yes)


def _compare_labels(recipe: Recipe, run: RunFolder) -> Comparison:
    scored = read_scored(recipe, run)
    models = [_answers(recipe, run, name, scored) for name in roster(recipe, run)]
    return build_comparison(recipe, run, models, scored)


def build_comparison(recipe: Recipe, run: RunFolder, models: Sequence[Compared], scored: ScoredRows) -> Comparison:
    """Score all models and every pair of them; reads the run folder, writes nothing."""
    how = recipe.evaluation
    scores = tuple(
        score_model(one, about(recipe, one.name), _usd(recipe, run, one), scored, recipe.labels, how) for one in models
    )
    pairs = compare_pairs(models, scored, how)
    slices = score_slices(models, scored, recipe.source.slices, len(recipe.labels), how)
    students = [one.name for one in models if one.main.role == "student"]
    gold_rows = int((scored.gold != MISSING).sum())
    rows_manifest = run.manifest("rows")
    complete = rows_manifest is None or rows_manifest.complete
    return Comparison(
        recipe=recipe.name,
        about=recipe.about,
        labels=recipe.labels,
        teacher=recipe.teacher.model,
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine="; ".join(dict.fromkeys(one.machine for model in models for one in model.sets if one.machine)),
        version=version("tutelage"),
        rows=len(scored.ids),
        gold_rows=gold_rows,
        confidence=how.confidence,
        resamples=how.resamples,
        metrics=how.metrics or CLASSIFY_METRICS,
        verdicts=(*verdicts(scores, pairs, how.confidence), *slice_verdicts(slices, students, how.confidence)),
        warnings=tuple(
            warnings(scores, pairs, len(scored.ids), gold_rows, complete)
            + slice_warnings(slices)
            + ([SEVERAL] if recipe.multi_label() else [])
            + in_less_than_saved({one.main.name: one.main.precision for one in models if one.main.role == "student"})
        ),
        models=scores,
        pairs=pairs,
        funnel=count_funnel(run),
        disagreements=_disagreements(models, scored, recipe.labels, how.seed),
        curves=training_curves(recipe, run, students),
        slices=slices,
        label_agreement=label_agreement(models, scored, recipe.labels, how) if recipe.multi_label() else (),
    )


def _answers(recipe: Recipe, run: RunFolder, name: str, scored: ScoredRows) -> Compared:
    if name == "teacher":
        return Compared((teacher_answers(run, scored, recipe.labels),))
    if name in BASELINES:
        entrant = baseline_entrant(recipe, run, name)
        return Compared((answers_of(entrant, run, scored, recipe.labels),))
    record = read_record(run, name)
    check_trained(recipe, name, run)
    entrants = student_entrants(recipe, run, record)
    sets = tuple(answers_of(entrant, run, scored, recipe.labels) for entrant in entrants)
    validation = tuple(one.validation_loss if record.multi_label else one.macro_f1 for one in record.seeds.values())
    return Compared(sets, list(record.seeds).index(record.best_seed), validation)


def _usd(recipe: Recipe, run: RunFolder, one: Compared) -> float | None:
    if one.main.role == "teacher":
        manifest = run.manifest("rows")
        return teacher_usd_per_1000(recipe.teacher.price, manifest.facts if manifest else {})
    return machine_usd_per_1000(recipe.evaluation.machine_usd_per_hour, one.rows_per_second)


def _disagreements(
    models: Sequence[Compared], scored: ScoredRows, labels: Sequence[str], seed: int
) -> tuple[Disagreement, ...]:
    """For each student some rows where it and the teacher differ: in turn it is right, the teacher is, neither is."""
    found = []
    for model in models:
        said = model.main.predicted
        if model.main.role != "student":
            continue
        apart = [i for i, answer in enumerate(scored.teacher) if MISSING not in (answer, said[i]) and answer != said[i]]
        random.Random(seed).shuffle(apart)
        groups = (
            [i for i in apart if said[i] == scored.gold[i]],
            [i for i in apart if scored.teacher[i] == scored.gold[i]],
            [i for i in apart if scored.gold[i] not in (said[i], scored.teacher[i])],
        )
        mixed = [i for i in chain.from_iterable(zip_longest(*groups)) if i is not None]
        found += [_disagreement(model.name, i, int(said[i]), scored, labels) for i in mixed[:EXAMPLES]]
    return tuple(found)


def _disagreement(student: str, i: int, said: int, scored: ScoredRows, labels: Sequence[str]) -> Disagreement:
    return Disagreement(
        student=student,
        id=scored.ids[i],
        text=scored.texts[i],
        gold=None if scored.gold[i] == MISSING else labels[scored.gold[i]],
        teacher=labels[scored.teacher[i]],
        prediction=labels[said],
        rationale=scored.rationales[i],
    )


def _facts(comparison: AnyComparison) -> dict[str, object]:
    if isinstance(comparison, TupleComparison):
        found = [(one, one.figure("f1" if "f1" in one.figures else "accuracy")) for one in comparison.results]
        by_set = {f"{one.model} on {one.dataset}": figure.value for one, figure in found if one.slice == ALL}
        return {"rows": sum(one.rows for one in comparison.sets), "scores": by_set}
    if isinstance(comparison, ResponseComparison):
        scores = {one.name: one.figure("rouge_l").value for one in comparison.models}
    else:
        gold = comparison.gold_rows
        scores = {one.name: (one.accuracy if gold else one.agreement).value for one in comparison.models}
    return {"rows": comparison.rows, "scores": scores}


def _is_whole(comparison: AnyComparison) -> bool:
    """Whether nothing is left that the next run could do: verdicts beyond the budget, or lost to a passing failure."""
    judge = comparison.judge if isinstance(comparison, ResponseComparison) else None
    return judge is None or judge.complete
