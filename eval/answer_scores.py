"""The scores of one generative model: a tally per measure and seed, their means, deviations and intervals over rows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from eval.comparison import Figure
from eval.generate import Response, Responses
from eval.intervals import wilson
from eval.measures import MEASURES
from eval.metrics import Floats
from eval.overlap import chrf, corpus_chrf, rouge_l
from eval.questions import Questions
from eval.resampling import Tally, bootstrap_ratio, mean_tally
from eval.responses import ResponseScores, SeedFigures
from eval.words import repeated_share, words
from recipes.schema import Evaluation
from synth.grounding import ungrounded

Tallies = dict[str, Tally]
NAN = math.nan


@dataclass(frozen=True)
class ScoredModel:
    """All answers of one model, one set or one per seed, with their tallies. chosen: the place of the seed that tests
    are made on, the best by validation loss.
    """

    sets: tuple[Responses, ...]
    tallies: tuple[Tallies, ...]
    chosen: int = 0
    validation: tuple[float | None, ...] = ()

    @property
    def name(self) -> str:
        return self.sets[0].name

    @property
    def main(self) -> Responses:
        return self.sets[self.chosen]


def score_answers(
    questions: Questions, sets: Sequence[Responses], chosen: int = 0, validation: Sequence[float | None] = ()
) -> ScoredModel:
    """Measure every set of one model's answers."""
    return ScoredModel(tuple(sets), tuple(tallies(questions, one) for one in sets), chosen, tuple(validation))


def tallies(questions: Questions, said: Responses) -> Tallies:
    """measure -> tally over the questions; measures that nobody could take of this model are left out."""
    lines = said.lines
    has = np.array([bool(line.response.strip()) for line in lines])
    talk = [bool(questions.talk(at, line.response)) for at, line in enumerate(lines)]
    found = {
        "answered": mean_tally(has.astype(np.float64)),
        "repeats": mean_tally(np.array([repeated_share(line.text) for line in lines])),
        "words": mean_tally(np.where(has, [len(words(line.response)) for line in lines], NAN)),
        "meta_talk": mean_tally(np.where(has, talk, NAN)),
        "grounded": mean_tally(np.array([_grounded(questions, at, line) for at, line in enumerate(lines)])),
        "stopped": _known(lines, lambda line: line.stopped),
        "valid": _known(lines, lambda line: line.valid),
        "tokens": _known(lines, lambda line: line.tokens),
    }
    if said.role != "teacher":
        overlap = rouge_l([line.response for line in lines], questions.references)
        found["rouge_l"], found["rouge_l_all"] = mean_tally(np.where(has, overlap, NAN)), mean_tally(overlap)
        found["chrf_rows"] = mean_tally(
            np.where(has, chrf([line.response for line in lines], questions.references), NAN)
        )
        found |= _losses(questions, lines)
    return {name: tally for name, tally in found.items() if tally.scored.any()}


def score_model(
    model: ScoredModel, about: str, usd_per_1000: float | None, questions: Questions, how: Evaluation
) -> ResponseScores:
    """Score one model: means over its seeds, and intervals over the questions."""
    points = [_points(questions, one, found) for one, found in zip(model.sets, model.tallies, strict=True)]
    names = [name for name in points[model.chosen] if all(name in point for point in points)]
    speeds = [one.tokens_per_second for one in model.sets if one.tokens_per_second is not None]
    return ResponseScores(
        name=model.name,
        role=model.main.role,
        about=about,
        answered=sum(bool(line.response.strip()) for line in model.main.lines),
        figures={name: _figure([point[name] for point in points], _ends(model, name, how)) for name in names},
        unscored={
            name: missing
            for name, tally in model.tallies[model.chosen].items()
            if (missing := int((~tally.scored).sum()))
        },
        tokens_per_second=statistics.fmean(speeds) if speeds else None,
        usd_per_1000=usd_per_1000,
        seeds=_seeds(model, points),
    )


def _grounded(questions: Questions, place: int, line: Response) -> float:
    sources = questions.sources(place)
    if not sources or not line.response.strip():
        return NAN
    return float(not ungrounded(line.response, sources))


def _known(lines: Sequence[Response], read: Callable[[Response], float | None]) -> Tally:
    values = [read(line) for line in lines]
    return mean_tally(np.array([NAN if value is None else float(value) for value in values]))


def _losses(questions: Questions, lines: Sequence[Response]) -> Tallies:
    """Loss of the reference responses, by token (nats) and by character (bits)."""
    nats = np.array([NAN if line.nll is None else line.nll for line in lines])
    tokens = np.array([line.nll_tokens or 0 for line in lines], dtype=np.float64)
    characters = np.array([len(response) for response in questions.references], dtype=np.float64)
    return {"loss": Tally(nats, tokens), "bits_per_char": Tally(nats / math.log(2), characters)}


def _points(questions: Questions, said: Responses, found: Tallies) -> dict[str, float | None]:
    points = {name: tally.value() for name, tally in found.items()}
    if "chrf_rows" in points:
        kept = [(line.response, reference) for line, reference in zip(said.lines, questions.references, strict=True)
                if line.response.strip()]  # fmt: skip
        points["chrf"] = corpus_chrf(*zip(*kept, strict=True))
    if points.get("loss") is not None:
        points["perplexity"] = float(_exp(np.array(points["loss"])))
    return points


def _exp(loss: Floats) -> Floats:
    """Perplexity of a loss; one beyond what a float holds stays a number."""
    return np.asarray(np.exp(np.minimum(loss, 700.0)), dtype=np.float64)


def _ends(model: ScoredModel, name: str, how: Evaluation) -> tuple[float, float] | None:
    """Ends of a figure's interval: Wilson's for a share of yes or no in one set, bootstrap over rows for all else."""
    if name == "chrf":
        return None
    shape: Callable[[Floats], Floats] | None = _exp if name == "perplexity" else None
    used = [one["loss" if name == "perplexity" else name] for one in model.tallies]
    if name in MEASURES and MEASURES[name].yes_no and len(used) == 1:
        values = used[0].parts[used[0].scored]
        found = wilson(int(values.sum()), len(values), how.confidence)
    else:
        drawn = bootstrap_ratio(used, how.confidence, how.resamples, how.seed, shape)
        if drawn is None:
            return None
        found = drawn
    return found.low, found.high


def _figure(values: Sequence[float | None], ends: tuple[float, float] | None) -> Figure:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Figure()
    low, high = ends or (None, None)
    deviation = statistics.stdev(known) if len(known) > 1 else None
    return Figure(value=statistics.fmean(known), low=low, high=high, deviation=deviation)


def _seeds(model: ScoredModel, points: Sequence[dict[str, float | None]]) -> tuple[SeedFigures, ...]:
    validation = model.validation or (None,) * len(points)
    return tuple(
        SeedFigures(seed=one.seed, chosen=place == model.chosen, validation=validation[place], figures=points[place])
        for place, one in enumerate(model.sets)
        if one.seed is not None
    )
