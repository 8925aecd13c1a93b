"""python -m finetune preview|ask|merge|export: what is done with a student besides training it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.cli import Launch, add_launch_options, open_launch, stage_parser
from recipes.errors import TrainingError

if TYPE_CHECKING:
    from finetune.merge import Dtype

_DTYPES: dict[str, Dtype] = {"fp16": "float16", "bf16": "bfloat16"}


def preview(argv: list[str]) -> int:
    """Show rows as a student will see them."""
    parser = stage_parser("finetune preview", "Show rows as a student will see them; train nothing.")
    _add_student(parser, "show this student's rows only")
    parser.add_argument("--rows", metavar="N", type=_count, default=3, help="rows of each student to show; default 3")
    args = parser.parse_args(argv)
    launch = open_launch(args)
    names = [args.student] if args.student else list(launch.recipe.students)

    from finetune.train import lineage
    from synth.datasets import build_rows

    for name in names:
        lineage(launch.recipe, name)  # a wrong name is found before the teacher is paid
    with launch.run.lock():
        build_rows(launch.recipe, launch.run, launch.yes)

    from rich.console import Console

    from finetune.preview import preview_student

    for name in names:
        preview_student(launch.recipe, name, launch.run, args.rows, Console(highlight=False))
    return 0


def ask(argv: list[str]) -> int:
    """Ask a trained student."""
    parser = _parser("ask", "Ask a trained student a question; without one, each line of the input is a question.")
    parser.add_argument("question", metavar="QUESTION", nargs="?", help="the question, in quotation marks")
    _add_seed(parser)
    parser.add_argument("--draw", type=int, metavar="N", default=0, help="another number, another answer; default 0")
    parser.add_argument("--thinking", action="store_true", help="show the reasoning before the answer too")
    args = parser.parse_intermixed_args(argv)  # options may stand between the recipe and the question
    if args.question is not None and not args.question.strip():
        parser.error("the question is empty")
    launch = open_launch(args)
    name = _chosen(launch, args.student)
    from finetune.questions import one_question, typed_questions

    asked = typed_questions() if args.question is None else one_question(args.question)
    _note_changes(launch, name)
    from finetune.ask import Asking

    asking = Asking(launch.recipe, launch.run, name, args.seed, args.thinking, args.draw)
    return 0 if asking.ask_all(asked) else 1


def merge(argv: list[str]) -> int:
    """Merge a student's adapter into its base."""
    parser = _parser("merge", "Merge a student's adapter into its base: one model, as safetensors.")
    _add_export(parser, "folder to write to; default students/<name>/merged in the run folder")
    args = parser.parse_args(argv)
    launch = open_launch(args)
    name = _chosen(launch, args.student)
    _merge(launch, name, args)
    return 0


def export(argv: list[str]) -> int:
    """Write a student in a form that other programs read."""
    parser = _parser("export", "Write a student for other programs: safetensors, or GGUF for llama.cpp and Ollama.")
    _add_export(parser, "folder to write to; default students/<name>/merged or gguf in the run folder")
    parser.add_argument("--to", choices=("safetensors", "gguf"), default="gguf", help="default gguf")
    parser.add_argument(
        "--quantize", metavar="KINDS", type=_kinds,
        help="of GGUF: one or more of f16, q8_0, q4_0 with commas between; default q8_0. A Modelfile names the first",
    )  # fmt: skip
    args = parser.parse_args(argv)
    if args.to == "safetensors" and args.quantize:
        parser.error("--quantize is of GGUF files: safetensors are not quantised here; leave it out, or use --to gguf")
    if args.to == "gguf" and args.dtype:
        parser.error("--dtype is of safetensors: for GGUF files use --quantize, or use --to safetensors")
    launch = open_launch(args)
    name = _chosen(launch, args.student)
    if args.to == "safetensors":
        _merge(launch, name, args)
        return 0
    from finetune.taken import take

    taken = take(launch.recipe, launch.run, name, args.seed)
    _note_changes(launch, name)
    from finetune.gguf_folder import export_gguf_files  # seconds, that a refusal need not wait

    export_gguf_files(taken, args.quantize or ("q8_0",), args.out, not args.no_parity)
    return 0


def _merge(launch: Launch, name: str, args: argparse.Namespace) -> None:
    from finetune.taken import take

    taken = take(launch.recipe, launch.run, name, args.seed)
    _note_changes(launch, name)
    from finetune.merged import merge_student  # seconds, that a refusal need not wait

    merge_student(taken, _DTYPES[args.dtype] if args.dtype else None, args.out, not args.no_parity)


def _note_changes(launch: Launch, name: str) -> None:
    """Say where the student that is used is not what the recipe says by now."""
    from finetune.trained import say_changes

    say_changes(launch.recipe, name, launch.run, launch.arguments)


def _add_export(parser: argparse.ArgumentParser, where: str) -> None:
    _add_seed(parser)
    parser.add_argument(
        "--dtype", choices=tuple(_DTYPES),
        help="of safetensors; default fp16, the nearer to the student; bf16 where a weight is too large for it",
    )  # fmt: skip
    parser.add_argument("--out", metavar="DIR", type=Path, help=where)
    parser.add_argument("--no-parity", action="store_true", help="do not compare the result with the student")


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    strange = [kind for kind in kinds if kind not in ("f16", "q8_0", "q4_0")]
    if strange:
        raise argparse.ArgumentTypeError(f"{strange[0]!r} is not one of f16, q8_0, q4_0")
    return kinds


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    """The parser of a command on one trained student."""
    parser = argparse.ArgumentParser(prog=f"python -m finetune {command}", description=description)
    parser.add_argument("recipe", metavar="RECIPE", help="recipe file")
    add_launch_options(parser)
    _add_student(parser, "which student; default the last of the recipe")
    return parser


def _add_student(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--student", metavar="NAME", help=text)


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, metavar="N", help="the model of this training seed; default the best")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number, 0 or more")
    return int(text)


def _chosen(launch: Launch, name: str | None) -> str:
    """The student that is meant: the one named, else the last, which the others lead up to."""
    students = launch.recipe.students
    if name is not None and name not in students:
        raise TrainingError(f"the recipe {launch.recipe.name} has no student {name!r}; it has {', '.join(students)}")
    return name or list(students)[-1]


COMMANDS = {"preview": preview, "ask": ask, "merge": merge, "export": export}
