"""The retrieval stage of scoring: questions to the search and to the assistant, scored and written down."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version

import numpy as np

from eval.assistant_answers import Answers, answer_questions, draw, price_of
from eval.assistant_scores import answer_examples, score_answers
from eval.predict import machine
from eval.query_set import QuerySet, open_queries, queries_path
from eval.retrieval_page import read_retrieval, report_path, write_retrieval
from eval.retrieval_report import Miss, RetrievalReport
from eval.retrieval_scores import measures, pair_ways, score_abstention, score_searches
from eval.retrieval_verdicts import (
    abstention_verdict,
    answer_verdicts,
    answer_warnings,
    search_verdicts,
    search_warnings,
)
from eval.searching import DEPTH, Searched, Searcher
from recipes.console import say
from recipes.retrieval import Retrieval
from recipes.rows import write_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import retrieval_inputs

STAGE = "retrieval"
MISSES = 12
"""Questions shown whose documents were not found."""


def score_retrieval(recipe: Recipe, run: RunFolder, yes: bool = False) -> RetrievalReport:
    """Bring retrieval.html up to date and return what it says; the index must be. `yes`: ask nothing before paid
    answers.

    Raises SourceError for a query set with mistakes, RunError where there is no index. An assistant that cannot go on
    is said in the report (`stopped`, `failed`); what it had answered is kept, and the stage runs again next time.
    """
    inputs = retrieval_inputs(recipe, run)
    stale = run.why_stale(STAGE, inputs)
    known = None if stale else read_retrieval(run)
    if known is not None:
        say(f"retrieval: up to date ({report_path(run)})")
        return known
    say(f"retrieval: {'; '.join(stale) or 'retrieval.json is damaged'}")
    run.start(STAGE)
    with Searcher(recipe, run) as searcher:
        asked = open_queries(recipe, run, searcher.index)
        say(f"retrieval: {len(asked.queries):,} questions ({queries_path(run)})")
        searches = searcher.search_all(asked)
        answers = _answers(recipe, run, searcher, asked, yes)
        report = _with_answers(recipe, build_report(recipe, searcher, asked, searches), answers)
    run.begin(STAGE)
    outputs = [queries_path(run)]
    for name, lines in (("searches", searches), ("answers", answers.lines)):
        outputs.append(run.path / "retrieval" / f"{name}.jsonl")
        write_rows(outputs[-1], lines)
    outputs += write_retrieval(run, report)
    run.finish(STAGE, inputs, outputs, _facts(report), complete=not report.stopped)
    return report


def _answers(recipe: Recipe, run: RunFolder, searcher: Searcher, asked: QuerySet, yes: bool) -> Answers:
    most, seed = recipe.evaluation.retrieval.answers, recipe.evaluation.seed
    if recipe.assistant is None or not most:
        return Answers(())
    return answer_questions(recipe, run, searcher.retriever, draw(asked.queries, most, seed), yes)


def _with_answers(recipe: Recipe, report: RetrievalReport, answers: Answers) -> RetrievalReport:
    """The report with what the assistant's answers are worth."""
    if recipe.assistant is None or not (answers.lines or answers.stopped):
        return report
    named = recipe.assistant.endpoint
    about = recipe.teacher.model if recipe.assistant.model == "teacher" else recipe.assistant.model
    about, how = about if named is None else named.model, recipe.evaluation
    modes = dict.fromkeys(line.mode for line in answers.lines)
    scores = tuple(score_answers(answers.lines, mode, about, price_of(recipe), how) for mode in modes)
    changes = {
        "assistant": about,
        "answers": scores,
        "examples": answer_examples(answers.lines, how.seed),
        "verdicts": (*report.verdicts, *answer_verdicts(scores)),
        "warnings": (*report.warnings, *answer_warnings(scores, answers.stopped)),
        "stopped": answers.stopped,
        "failed": answers.failed,
    }
    return report.model_copy(update=changes)


def build_report(recipe: Recipe, searcher: Searcher, asked: QuerySet, searches: Sequence[Searched]) -> RetrievalReport:
    """Score the searches; writes nothing."""
    how, settings = recipe.evaluation, searcher.settings
    scores = score_searches(searches, settings.top_k, how)
    pairs = pair_ways(searches, settings.top_k, how)
    abstention = score_abstention(searches, how)
    refusing = abstention_verdict(abstention, searcher.refuses)
    warnings = [*asked.notes, *search_warnings(scores, abstention, searcher.refuses, settings)]
    times = [one.milliseconds for one in searches]
    return RetrievalReport(
        recipe=recipe.name,
        about=recipe.about,
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        version=version("tutelage"),
        machine=machine(),
        documents=len(searcher.index.document_ids()),
        search=_search(settings),
        queries="made from the catalogue" if asked.origin is None else asked.origin.name,
        answerable=sum(query.answerable for query in asked.queries),
        unanswerable=sum(not query.answerable for query in asked.queries),
        confidence=how.confidence,
        resamples=how.resamples,
        measures=tuple(measures(settings.top_k)),
        verdicts=(*search_verdicts(scores, pairs, how.confidence), *([refusing] if refusing else [])),
        warnings=tuple(warnings),
        scores=scores,
        pairs=pairs,
        abstention=abstention,
        milliseconds_median=float(np.median(times)),
        milliseconds_p95=float(np.quantile(times, 0.95)),
        misses=_misses(searcher, searches, how.seed),
    )


def _search(settings: Retrieval) -> str:
    """What is searched by, in words."""
    name = settings.embedding.model
    return f"{name} and BM25, re-ranked by {settings.rerank}" if settings.rerank else f"{name} and BM25"


def _misses(searcher: Searcher, searches: Sequence[Searched], seed: int) -> tuple[Miss, ...]:
    """A seeded draw of the questions none of whose documents was found."""
    missed = [one for one in searches if one.useful and not _useful(one) & set(one.hybrid[:DEPTH])]
    random.Random(seed).shuffle(missed)
    drawn = missed[:MISSES]
    names = [name for one in drawn for name in [*one.relevant, *one.hybrid[:2]]]
    titles = {name: document.title for name, document in searcher.index.documents(names).items()}
    return tuple(
        Miss(
            query=one.query,
            kind=one.kind,
            wanted="; ".join(titles.get(name, name) for name in sorted(_useful(one))),
            found=tuple(titles.get(name, name) for name in one.hybrid[:2]),
        )
        for one in drawn
    )


def _useful(one: Searched) -> set[str]:
    return {name for name, grade in one.relevant.items() if grade > 0}


def _facts(report: RetrievalReport) -> dict[str, object]:
    whole = report.of("hybrid")
    figures = {} if whole is None else {name: figure.value for name, figure in whole.figures.items()}
    return {"questions": report.answerable + report.unanswerable, "scores": figures}
