"""A seq2seq student, from its rows to its record: one model per seed, several at once where there is room; curve and
cards."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from finetune import processes
from finetune.bases import find_base
from finetune.course import Saving
from finetune.curve import curve_svg
from finetune.parallel_seeds import train_at_once
from finetune.record import mean_and_deviation, read_seed
from finetune.rejected import REJECTED
from finetune.seeds import one_seed
from finetune.seq2seq_card import seq2seq_card
from finetune.seq2seq_course import Seq2seqCourse, make_course, of_seed
from finetune.seq2seq_model import skeleton
from finetune.seq2seq_notes import both, introduce
from finetune.seq2seq_record import Seq2seqRecord, Seq2seqSeed, best_seq2seq_seed
from recipes.aspects import prefix
from recipes.console import say
from recipes.counts import counted
from recipes.rows import write_rows
from recipes.runs import RunFolder, write_atomic
from recipes.schema import Recipe
from recipes.seq2seq_memory import MOST_TOKENS, seed_bytes, seeds_that_fit, token_bytes


def train_seq2seqs(recipe: Recipe, name: str, run: RunFolder, inputs: dict[str, str], saving: Saving) -> Seq2seqRecord:
    """Train a seq2seq student with each of its seeds. Raises TrainingError where one fails, by its seed."""
    processes.check_alone(f"students.{name}")
    student = recipe.seq2seq(name)
    course = make_course(recipe, name, run, inputs, student.seeds[0])
    introduce(course)
    at_once = seeds_at_once(course)
    courses = {seed: of_seed(course, recipe, run, inputs, seed) for seed in student.seeds}
    left = [seed for seed in student.seeds if _finished(courses[seed], run) is None]
    if at_once > 1 and len(left) > 1:
        say(f"student {name}: {counted(len(left), 'seed')} to train, {min(at_once, len(left))} at a time")
        train = partial(train_seed, recipe, name, run.path, inputs, saving, at_once)
        train_at_once({courses[seed].title: partial(train, seed) for seed in left}, at_once)
    else:
        for one in courses.values():
            _train(one, run, saving)
    found = {seed: _finished(one, run) for seed, one in courses.items()}
    record = _seq2seq_record(course, {seed: one for seed, one in found.items() if one is not None})
    write_rows(run.student(name) / REJECTED, [*course.training.rejected, *course.validation.rejected])
    _write_pages(recipe, run, record)
    return record


def train_seed(
    recipe: Recipe, name: str, folder: Path, inputs: dict[str, str], saving: Saving, at_once: int, seed: int
) -> None:
    """What a process of its own does: one seed of a student in a run folder; `at_once` of them share the machine."""
    course = make_course(recipe, name, RunFolder(folder), inputs, seed, at_once)
    if course.machine.device == "cpu":
        import torch

        torch.set_num_threads(max(1, torch.get_num_threads() // at_once))
    _train(course, RunFolder(folder), saving)


def _train(course: Seq2seqCourse, run: RunFolder, saving: Saving) -> None:
    from finetune.seq2seq import train_seq2seq  # torch and transformers: seconds

    train = partial(train_seq2seq, course, saving=saving)
    one_seed(run, course.name, course.seed, course.fingerprint, course.title, Seq2seqSeed, train)


def _finished(course: Seq2seqCourse, run: RunFolder) -> Seq2seqSeed | None:
    return read_seed(run.student(course.name, course.seed), course.fingerprint, Seq2seqSeed)


def seeds_at_once(course: Seq2seqCourse) -> int:
    """How many seeds are trained at a time: as many as the recipe says, or on a GPU as many as there is memory for."""
    student = course.student
    if student.parallel is not None or course.machine.device != "cuda" or len(student.seeds) == 1:
        return min(student.parallel or 1, len(student.seeds))
    import torch

    model = skeleton(course.base, student, course.codec.tokenizer)
    longest = student.batch_size * (student.max_length + student.max_target_length)
    each = token_bytes(model.config.to_dict(), course.machine.precision)
    needed = seed_bytes(model.num_parameters(), each, min(MOST_TOKENS, longest))
    return min(len(student.seeds), seeds_that_fit(int(torch.cuda.mem_get_info()[0]), needed))


def _seq2seq_record(course: Seq2seqCourse, seeds: dict[int, Seq2seqSeed]) -> Seq2seqRecord:
    student, training, validation = course.student, course.training, course.validation
    targets = student.writes(course.task)
    score, score_deviation = mean_and_deviation([one.score for one in seeds.values()])
    loss, loss_deviation = mean_and_deviation([one.validation_loss for one in seeds.values()])
    shown_apart = {
        "kind", "base", "revision", "data", "targets", "prefixes", "seeds", "push_to_hub", "parallel", "share",
        "max_length", "max_target_length",
    } | (set() if student.base == "scratch" else {"scratch"})  # fmt: skip
    return Seq2seqRecord(
        name=course.name, kind="seq2seq", base=student.base, revision=student.revision, data=student.data,
        task=course.task, targets=list(targets), prefixes={target: prefix(student, target) for target in targets},
        share=student.share, max_length=student.max_length, max_target_length=student.max_target_length,
        rows={"train": len(training), "validation": len(validation)},
        rejected={"train": len(training.rejected), "validation": len(validation.rejected)},
        skipped=both(training.skipped, validation.skipped), truncated=training.cut, unknown=training.unknown,
        best_seed=best_seq2seq_seed(seeds), score=score, validation_loss=loss,
        deviation=loss_deviation if score is None else score_deviation,
        seconds=round(sum(one.seconds for one in seeds.values()), 1), device=course.machine.about,
        hyperparameters=student.model_dump(mode="json", exclude=shown_apart), seeds=seeds,
    )  # fmt: skip


def _write_pages(recipe: Recipe, run: RunFolder, record: Seq2seqRecord) -> None:
    """The card of each seed, and card and curve of the best one for the student."""
    base = find_base(recipe, record.name, run)
    for seed, one in record.seeds.items():
        card = seq2seq_card(recipe, record, base, one)
        write_atomic(run.student(record.name, seed) / "README.md", card.encode())
    best = record.seeds[record.best_seed]
    write_atomic(run.student(record.name) / "README.md", seq2seq_card(recipe, record, base, best).encode())
    checked = [
        (one.epoch * best.steps_per_epoch, one.validation_loss)
        for one in best.epochs
        if one.validation_loss is not None
    ]
    curve = curve_svg(record.name, best.losses, checked, best.best_epoch * best.steps_per_epoch)
    write_atomic(run.student(record.name) / "curve.svg", curve.encode())
