"""How students were trained, as report.json holds it: a curve for each seed, whatever the kind of student."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from eval.comparison import LossCurve
from finetune.causal_record import CausalRecord, read_any_record
from finetune.record import StudentRecord
from finetune.seq2seq_record import Seq2seqRecord
from recipes.runs import RunFolder
from recipes.schema import Recipe

POINTS = 60
"""Most points of a training loss; each is the mean of the steps around it."""


def training_curves(recipe: Recipe, run: RunFolder, compared: Iterable[str]) -> tuple[LossCurve, ...]:
    """A curve for each seed of these students and of those that they started from, in the order of their training."""
    students = dict.fromkeys(one for name in compared for one in _line(recipe, name))
    return tuple(curve for name in students for curve in curves_of(read_any_record(run, name)))


def curves_of(record: StudentRecord | CausalRecord | Seq2seqRecord) -> Iterator[LossCurve]:
    """The curve of each seed of a student, in their order."""
    if isinstance(record, CausalRecord):
        yield from _causal(record)
    elif isinstance(record, Seq2seqRecord):
        yield from _seq2seq(record)
    else:
        yield from _classifier(record)


def _line(recipe: Recipe, name: str) -> list[str]:
    """A student after those that it started from."""
    base = recipe.base_student(name)
    return [name] if base is None else [*_line(recipe, base), name]


def _classifier(record: StudentRecord) -> Iterator[LossCurve]:
    for seed in record.seeds.values():
        losses = [one.validation_loss for one in seed.epochs]
        scores = [one.macro_f1 for one in seed.epochs]
        per_epoch = max(1, seed.steps // max(1, len(seed.epochs)))
        bare = _bare(record.name, seed.seed, record.best_seed, seed.losses)
        bare = bare.model_copy(update={"temperature": record.temperature})
        yield _by_epoch(bare, per_epoch, seed.best_epoch, losses, "macro F1", scores, record.multi_label)


def _seq2seq(record: Seq2seqRecord) -> Iterator[LossCurve]:
    for seed in record.seeds.values():
        losses, scores = [one.validation_loss for one in seed.epochs], [one.score for one in seed.epochs]
        bare = _bare(record.name, seed.seed, record.best_seed, seed.losses)
        yield _by_epoch(bare, seed.steps_per_epoch, seed.best_epoch, losses, "micro F1", scores, seed.score is None)


def _causal(record: CausalRecord) -> Iterator[LossCurve]:
    for seed in record.seeds.values():
        yield _bare(record.name, seed.seed, record.best_seed, seed.losses).model_copy(
            update={
                "validation_steps": tuple(one.step for one in seed.validations),
                "validation": tuple(one.loss for one in seed.validations),
                "best_step": seed.best_step,
            }
        )


def _bare(student: str, seed: int, best: int, losses: Sequence[float]) -> LossCurve:
    """The training loss alone."""
    steps, means = _thinned(losses)
    return LossCurve(student=student, seed=seed, chosen=seed == best, steps=steps, loss=means)


def _by_epoch(
    bare: LossCurve,
    per_epoch: int,
    best_epoch: int,
    losses: Sequence[float | None],
    score: str,
    scores: Sequence[float | None],
    by_loss: bool,
) -> LossCurve:
    """With what each epoch's validation found; nothing of it where there were no validation rows."""
    scored = any(value is not None for value in scores)
    if not scored and all(value is None for value in losses):
        return bare.model_copy(update={"epoch_steps": per_epoch})
    return bare.model_copy(
        update={
            "validation_steps": tuple(per_epoch * (place + 1) for place in range(len(scores))),
            "validation": tuple(losses),
            "score": score if scored else "",
            "scores": tuple(scores) if scored else (),
            "epoch_steps": per_epoch,
            "best_step": per_epoch * best_epoch,
            "best_by": "loss" if by_loss else _decided(score, scores, best_epoch),
        }
    )


def _decided(score: str, scores: Sequence[float | None], best_epoch: int) -> str:
    """A score, or the loss where another epoch has the same score as the best."""
    best = scores[best_epoch - 1]
    return f"the lowest loss of those with an equal {score}" if scores.count(best) > 1 else score


def _thinned(losses: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Steps and losses as means over equal runs of steps, at most POINTS of them."""
    size = max(1, -(-len(losses) // POINTS))
    runs = [(start, losses[start : start + size]) for start in range(0, len(losses), size)]
    steps = tuple(start + (len(some) + 1) / 2 for start, some in runs)
    return steps, tuple(sum(some) / len(some) for _, some in runs)
