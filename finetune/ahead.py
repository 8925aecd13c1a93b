"""What would stop a student's training, found before the teacher is paid and before another student is trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from finetune import processes
from finetune.bases import Base, check_length, find_base, load_classifier, load_pretrained, load_tokenizer
from finetune.hardware import find_machine
from finetune.rendering import alpaca_frame, think_frame
from finetune.scratch import positions_of
from finetune.silence import quiet
from recipes.base_kinds import kind_problem
from recipes.errors import TrainingError
from recipes.rows import ResponseRow, read_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.seq2seq_student import Seq2seqStudent
from recipes.students import CausalStudent

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SHORTEST = ResponseRow(id="shortest", split="train", group="", question="x", response="x")


def check_machine(recipe: Recipe, names: Iterable[str]) -> None:
    """Refuse what this machine lacks: a tracker's package, a GPU for fp16, a step that all processes can share."""
    for name in names:
        student, title = recipe.students[name], f"students.{name}"
        if isinstance(student, CausalStudent):
            processes.share_of(student.batch_size, title)
            _check_trackers(title, student)
        else:
            processes.check_alone(title)
        if student.precision == "fp16":  # else there is nothing to ask torch for
            find_machine(student.precision)


def check_rows(recipe: Recipe, names: Iterable[str], run: RunFolder) -> None:
    """Refuse a format that has one question for rows that are longer conversations, naming the first."""
    chains = names if recipe.task == "chat" else ()
    students = [(name, one) for name in chains if isinstance(one := recipe.students[name], CausalStudent)]
    short = [(name, student) for name, student in students if student.format != "chat" and student.rows == "task"]
    if not short:
        return
    paths = [run.rows / f"{split}.jsonl" for split in ("train", "validation")]
    rows = (row for path in paths if path.exists() for row in read_rows(path, ResponseRow))
    long = next((row.id for row in rows if any(turn.role != "system" for turn in row.history)), None)
    if long is not None:
        name, student = short[0]
        raise TrainingError(
            f"students.{name}: format: {student.format} has one question and its answer, and the row {long} is a "
            "longer conversation: use format: chat"
        )


def check_bases(recipe: Recipe, names: Iterable[str], run: RunFolder) -> None:
    """Load what these students start from, each base once: a classifier's whole, which is small, of a generative one
    its config and tokenizer. Raises TrainingError for one that is not there or cannot be used, and for a max_length
    that is more than it takes, or less than the format takes before anything is said.
    """
    students = list(names)
    for root, taught in _by_root(recipe, students).items():
        start = recipe.students[root]
        with quiet():
            if isinstance(start, Seq2seqStudent):
                _check_seq2seqs(recipe, None if start.base == "scratch" else find_base(recipe, root, run), taught)
            elif isinstance(start, CausalStudent) and start.base == "scratch":
                _check_scratch(recipe, root, taught)
            elif isinstance(start, CausalStudent):
                _check_causal(recipe, find_base(recipe, root, run), taught)
            else:
                _check_classifiers(recipe, find_base(recipe, root, run), taught)


def _by_root(recipe: Recipe, names: list[str]) -> dict[str, list[str]]:
    """Students by the one of them that their chain begins with: what that one starts from, all of them do."""
    found: dict[str, list[str]] = {}
    for name in names:
        root = name
        while (other := recipe.base_student(root)) in names:
            root = other
        found.setdefault(root, []).append(name)
    return found


def _check_classifiers(recipe: Recipe, base: Base, names: list[str]) -> None:
    _read_config(base, "classifier", names[0])
    tokenizer, model = load_tokenizer(base), load_classifier(base, recipe.labels)
    for place, name in enumerate(names):  # a second lesson may go beyond what the first one's tokenizer was cut to
        own = replace(base, taught_length=0) if place else base
        check_length(f"students.{name}", recipe.students[name].max_length, own, tokenizer, model)


def _check_causal(recipe: Recipe, base: Base, names: list[str]) -> None:
    from finetune.causal_model import check_positions, load_causal_tokenizer

    config = _read_config(base, "causal", names[0])
    tokenizer = load_causal_tokenizer(base)
    for name in names:
        student = recipe.causal(name)
        if config is not None:
            check_positions(base, config, student.max_length)
        _check_frame(name, student, tokenizer)


def _check_seq2seqs(recipe: Recipe, base: Base | None, names: list[str]) -> None:
    """base: None for one that is made, whose tokenizer is trained on rows that are not there yet."""
    from finetune.seq2seq_codec import Seq2seqCodec
    from finetune.seq2seq_lessons import render, task_of
    from finetune.seq2seq_model import check_positions, load_seq2seq_tokenizer

    if base is None:
        return
    config = _read_config(base, "seq2seq", names[0])
    codec = Seq2seqCodec(load_seq2seq_tokenizer(base))
    for name in names:
        student = recipe.seq2seq(name)
        if config is not None:
            check_positions(f"students.{name}", student, base, config)
        for target in student.writes(task_of(recipe, name)):
            _, cut = codec.sources([render(student, target, "x")], student.max_length)
            if cut:
                raise TrainingError(
                    f"students.{name}: max_length {student.max_length} has no room for any text after the prefix of "
                    f"{target}: raise it, or shorten prefixes.{target}"
                )


def _read_config(base: Base, kind: str, name: str) -> Any:
    """The config of a base, None where that is a trained student, of the right kind by itself."""
    from transformers import AutoConfig

    if base.taught_length is not None:
        return None
    config = load_pretrained(AutoConfig, base)
    problem = kind_problem(kind, config.to_dict())
    if problem:
        raise TrainingError(f"students.{name}: the base model {base.name} {problem}")
    return config


def _check_frame(name: str, student: CausalStudent, tokenizer: PreTrainedTokenizerBase) -> None:
    from finetune.formats import Renderer

    _check_room(name, student, len(Renderer(student, tokenizer).encode(_SHORTEST).input_ids))


def _check_scratch(recipe: Recipe, root: str, names: list[str]) -> None:
    """The tokenizer will be trained on rows that are not there yet; but no tokenizer makes less than a token a word."""
    longest = positions_of(recipe.causal(root))
    for name in names:
        student = recipe.causal(name)
        make = {"alpaca": alpaca_frame, "think": think_frame}.get(student.format)
        frame = make(("system", "user") if student.instruction else ("user",), "", "") if make is not None else None
        words = f"{student.instruction or ''} {'' if frame is None else frame.prompt}".split()
        _check_room(name, student, len(words))
        if student.max_length > longest:
            raise TrainingError(
                f"students.{name}: max_length {student.max_length} is more than students.{root} takes: set it to "
                f"{longest} or less, or that of students.{root} higher"
            )


def _check_room(name: str, student: CausalStudent, needed: int) -> None:
    if needed > student.max_length:
        said = f"format: {student.format}" + (" with its instruction" if student.instruction else "")
        raise TrainingError(
            f"students.{name}: max_length {student.max_length} has no room for any row: {said} takes {needed} tokens "
            "or more before a question and its answer: raise it"
        )


def _check_trackers(title: str, student: CausalStudent) -> None:
    if not student.report_to:
        return
    from finetune.trackers import PACKAGES  # transformers: seconds

    for tracker in student.report_to:
        if not any(find_spec(package) for package in PACKAGES[tracker]):
            raise TrainingError(
                f"{title}: report_to names {tracker}, which is not installed: pip install {tracker}, or leave it out"
            )
