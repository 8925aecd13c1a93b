"""A generative student, from its rows to its record: rows as tokens, one model per seed, curve and cards."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from finetune import processes
from finetune.bases import Base, find_base
from finetune.causal_card import causal_card
from finetune.causal_lessons import CausalLesson, encode_rows, training_rows, validation_rows
from finetune.causal_record import CausalRecord, CausalSeed, best_causal_seed
from finetune.causal_watch import perplexity
from finetune.course import CausalCourse, Saving
from finetune.curve import curve_svg
from finetune.formats import Renderer
from finetune.hardware import Machine, find_machine
from finetune.merged_base import whole_base
from finetune.record import mean_and_deviation
from finetune.rejected import REJECTED
from finetune.seeds import one_seed, taught_files
from recipes.console import say
from recipes.counts import counted
from recipes.errors import TrainingError
from recipes.rows import ResponseRow, write_rows
from recipes.runs import RunFolder, digest, write_atomic
from recipes.schema import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NO_MATTER = {
    "seeds", "push_to_hub", "answering", "report_to", "micro_batch", "gradient_checkpointing",
}  # fmt: skip
"""Settings that a trained model does not depend on."""


def train_causals(recipe: Recipe, name: str, run: RunFolder, inputs: dict[str, str], saving: Saving) -> CausalRecord:
    """Train a generative student with each of its seeds. Raises TrainingError where a row cannot be trained on."""
    from finetune.causal import train_causal  # torch, transformers, peft and trl: seconds

    student, machine = recipe.causal(name), find_machine(recipe.causal(name).precision)
    rows = training_rows(recipe, name, run)
    tokenizer = _tokenizer(recipe, name, find_base(recipe, name, run), rows)
    renderer = Renderer(student, tokenizer)
    training = encode_rows(renderer, rows, student.max_length, "train", name)
    checked = validation_rows(recipe, name, run)
    validation = encode_rows(renderer, checked, student.max_length, "validation", name)
    _introduce(recipe, name, training, validation, machine)
    decides = _decides(recipe, name, inputs)
    seeds: dict[int, CausalSeed] = {}
    for seed in student.seeds:
        title = f"student {name}" + (f", seed {seed}" if len(student.seeds) > 1 else "")
        base = find_base(recipe, name, run, seed)
        fingerprint = digest([decides, seed, taught_files(base)])
        base = whole_base(base, title)
        course = CausalCourse(
            name, student, seed, base, tokenizer, training, validation, machine, fingerprint, title
        )  # fmt: skip
        train = partial(train_causal, course, saving=saving)
        seeds[seed] = one_seed(run, name, seed, fingerprint, title, CausalSeed, train)
    record = _causal_record(recipe, name, training, validation, machine, seeds)
    if processes.leads():
        write_rows(run.student(name) / REJECTED, [*training.rejected, *validation.rejected])
        _write_pages(recipe, run, record)
    return record


def _tokenizer(recipe: Recipe, name: str, base: Base, rows: list[ResponseRow]) -> PreTrainedTokenizerBase:
    from finetune.causal_model import load_causal_tokenizer
    from finetune.scratch import make_tokenizer
    from finetune.silence import quiet

    with quiet():
        if recipe.students[name].base == "scratch":
            return make_tokenizer(recipe.causal(name), rows)
        return load_causal_tokenizer(base)


def _decides(recipe: Recipe, name: str, inputs: dict[str, str]) -> str:
    """What all seeds depend on. Of a student that this one is built on, its model counts: see `taught_files`."""
    rest = {key: sha for key, sha in inputs.items() if key != "student" and not key.startswith("base students.")}
    return digest([rest, recipe.causal(name).model_dump(exclude=_NO_MATTER)])


def _introduce(recipe: Recipe, name: str, training: CausalLesson, validation: CausalLesson, machine: Machine) -> None:
    """Say what is about to be trained, on what, and what is left out. Raises TrainingError where nothing is left."""
    student = recipe.causal(name)
    rejected = len(training.rejected) + len(validation.rejected)
    if rejected and len(training):
        longest = max(one.tokens for one in [*training.rejected, *validation.rejected])
        say(
            f"student {name}: {counted(rejected, 'row')} not used: longer than max_length {student.max_length} tokens "
            f"(the longest has {longest:,}); they are listed in students/{name}/{REJECTED}"
        )
    if not len(training):
        raise TrainingError(f"students.{name}: all rows are longer than max_length {student.max_length}: raise it")
    seeds = f", {len(student.seeds)} seeds" if len(student.seeds) > 1 else ""
    tokens = sum(len(row.input_ids) for row in training.rows)
    say(
        f"student {name}: {counted(len(training), 'row')} of {tokens / len(training):,.0f} tokens, {len(validation):,} "
        f"to validate{seeds}; {machine.about}"
    )


def _causal_record(
    recipe: Recipe, name: str, training: CausalLesson, validation: CausalLesson, machine: Machine,
    seeds: dict[int, CausalSeed],
) -> CausalRecord:  # fmt: skip
    student = recipe.causal(name)
    mean, deviation = mean_and_deviation([one.validation_loss for one in seeds.values()])
    unused = set() if student.base == "scratch" else {"scratch"}
    shown = unused | {"kind", "base", "revision", "format", "instruction", "quantization", "lora", "answering", "seeds",
             "push_to_hub", "report_to"}  # fmt: skip
    return CausalRecord(
        name=name, kind="causal", base=student.base, revision=student.revision, format=student.format,
        instruction=student.instruction, max_length=student.max_length, quantization=student.quantization,
        lora=student.lora, answering=student.answering,
        rows={"train": len(training), "validation": len(validation)},
        rejected={"train": len(training.rejected), "validation": len(validation.rejected)},
        best_seed=best_causal_seed(seeds), validation_loss=mean,
        perplexity=None if mean is None else perplexity(mean), deviation=deviation,
        seconds=round(sum(one.seconds for one in seeds.values()), 1), device=machine.about,
        hyperparameters=student.model_dump(mode="json", exclude=shown), seeds=seeds,
    )  # fmt: skip


def _write_pages(recipe: Recipe, run: RunFolder, record: CausalRecord) -> None:
    """The card and the curve of each seed, and those of the best one for the student."""
    base = find_base(recipe, record.name, run)
    for seed, one in record.seeds.items():
        write_atomic(run.student(record.name, seed) / "README.md", causal_card(recipe, record, base, one).encode())
    best = record.seeds[record.best_seed]
    write_atomic(run.student(record.name) / "README.md", causal_card(recipe, record, base, best).encode())
    checked = [(one.step, one.loss) for one in best.validations]
    curve = curve_svg(record.name, best.losses, checked, best.best_step)
    write_atomic(run.student(record.name) / "curve.svg", curve.encode())
