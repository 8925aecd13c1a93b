"""The report stage of recipes with seq2seq students: every student on the test rows of what it learnt, beside the
baselines; students of understanding on sentiment too, which they were never taught.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from importlib.metadata import version

from eval.costs import machine_usd_per_1000, teacher_usd_per_1000
from eval.curves import training_curves
from eval.scored import count_funnel, no_test_row
from eval.tuple_baselines import ABOUT, baselines_of
from eval.tuple_comparison import TupleComparison, TupleModel
from eval.tuple_examples import examples
from eval.tuple_pairs import compare_pairs
from eval.tuple_read import Met, met_before, rows_met
from eval.tuple_rows import OWN, ScoredSet, read_set
from eval.tuple_scores import Marked, mark_baseline, mark_student, results
from eval.tuple_verdicts import tuple_verdicts
from eval.tuple_warnings import tuple_warnings
from finetune.seq2seq_record import Seq2seqRecord, read_seq2seq_record
from finetune.trained import check_trained
from recipes.evaluation import TUPLE_METRICS
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.seq2seq_student import Target

Sitting = tuple[str, str, tuple[Target, ...]]
"""Student, dataset, and what it writes there."""


def compare_tuples(recipe: Recipe, run: RunFolder) -> TupleComparison:
    """Bring predictions/ up to date and return all that was found.

    Raises RunError where rows are missing or a student is not up to date, TrainingError where one is not trained.
    """
    wanted = recipe.evaluation.models
    sat = list(sittings(recipe))
    if not sat:
        raise no_test_row(recipe, run)
    records = {name: _record(recipe, run, name) for name in dict.fromkeys(name for name, _, _ in sat)}
    sets = {dataset: read_set(recipe, run, dataset) for dataset in dict.fromkeys(dataset for _, dataset, _ in sat)}
    models: list[Marked] = []
    for dataset, scored in sets.items():
        here = [(name, targets) for name, where, targets in sat if where == dataset]
        models += [mark_student(run, name, list(records[name].seeds), scored, targets) for name, targets in here]
        models += [mark_baseline(scored, name) for name in baselines_of(scored, wanted)]
    return build_tuple_comparison(recipe, run, list(sets.values()), models, records)


def sittings(recipe: Recipe) -> Iterator[Sitting]:
    """Who answers what: each student the rows that it learnt, one of understanding each sentiment dataset too."""
    wanted = recipe.evaluation.models
    for name in recipe.students:
        if wanted is not None and name not in wanted:
            continue
        student = recipe.seq2seq(name)
        task = recipe.task if student.data is None else recipe.datasets[student.data].task
        dataset = student.data or OWN
        scored = dataset != OWN or recipe.source.test != 0
        if task == "understanding":
            if scored:
                yield name, dataset, student.targets
            if "analysis" in student.targets:
                sentiment = [one for one, told in recipe.datasets.items() if told.task == "sentiment"]
                yield from ((name, one, ("analysis",)) for one in sentiment)
        elif scored and task in ("atsa", "acsa"):
            yield name, dataset, ("atsa" if task == "atsa" else "acsa",)


def build_tuple_comparison(
    recipe: Recipe,
    run: RunFolder,
    sets: Sequence[ScoredSet],
    models: Sequence[Marked],
    records: dict[str, Seq2seqRecord],
) -> TupleComparison:
    """Score all models on each slice of their sets, and the pairs; reads the run folder, writes nothing."""
    how = recipe.evaluation
    found = tuple(result for one in models for result in results(one, how))
    pairs, apart = compare_pairs(recipe, models)
    met = list(met_before(recipe, run, models))
    who = tuple(_model(recipe, one, records, met) for one in models)
    if any(one.dataset == OWN and one.task == "understanding" for one in sets) and _wants_teacher(recipe):
        who = (*_teacher(recipe, run), *who)
    parts = tuple(one.part() for one in sets)
    return TupleComparison(
        recipe=recipe.name,
        about=recipe.about,
        task=recipe.task,
        teacher=recipe.teacher.model if recipe.teacher.provider != "none" else "",
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine="; ".join(dict.fromkeys(one.machine for one in models if one.machine)),
        version=version("tutelage"),
        confidence=how.confidence,
        resamples=how.resamples,
        metrics=how.metrics or TUPLE_METRICS,
        verdicts=tuple(tuple_verdicts(pairs, found, how.confidence)),
        warnings=tuple(tuple_warnings(recipe, run, parts, models, found, apart, met)),
        sets=parts,
        models=who,
        results=found,
        pairs=pairs,
        funnels={one.dataset: count_funnel(one.folder) for one in sets},
        examples=examples(models, how.seed),
        curves=training_curves(recipe, run, records),
    )


def _record(recipe: Recipe, run: RunFolder, name: str) -> Seq2seqRecord:
    """student.json of a student that is up to date."""
    record = read_seq2seq_record(run, name)
    check_trained(recipe, name, run)
    return record


def _wants_teacher(recipe: Recipe) -> bool:
    wanted = recipe.evaluation.models
    return recipe.teacher.provider != "none" and (wanted is None or "teacher" in wanted)


def _teacher(recipe: Recipe, run: RunFolder) -> list[TupleModel]:
    """What the others are measured against has no figure of its own but its cost; nothing where that is not known."""
    manifest = run.manifest("rows")
    usd = teacher_usd_per_1000(recipe.teacher.price, manifest.facts if manifest else {})
    if usd is None:
        return []
    return [TupleModel(name="teacher", role="teacher", about=recipe.teacher.model, dataset=OWN, usd_per_1000=usd)]


def _model(recipe: Recipe, one: Marked, records: dict[str, Seq2seqRecord], met: Sequence[Met]) -> TupleModel:
    if one.role == "baseline":
        return TupleModel(name=one.name, role=one.role, about=ABOUT[one.name], dataset=one.scored.dataset)
    student, rate = recipe.seq2seq(one.name), one.rows_per_second
    return TupleModel(
        name=one.name,
        role=one.role,
        about=_about(recipe, one),
        dataset=one.scored.dataset,
        base=student.base,
        share=student.share,
        learnt=records[one.name].rows.get("train"),
        seeds=tuple(seed for seed in one.seeds if seed is not None),
        best_seed=records[one.name].best_seed,
        met=rows_met(met, one.name, one.scored.dataset),
        seconds_per_1000=1000 / rate if rate else None,
        usd_per_1000=machine_usd_per_1000(recipe.evaluation.machine_usd_per_hour, rate),
    )


def _about(recipe: Recipe, one: Marked) -> str:
    student = recipe.seq2seq(one.name)
    if one.scored.task == "sentiment":
        return f"{student.base}: the sign of the mean grade of the opinions that it writes"
    limit = f", {student.limit:,} rows" if student.limit is not None else ""
    share = f", {100 * student.share:g}% of the rows" if student.share < 1 else limit
    return f"{student.base}, trained on {one.scored.dataset}{share}"
