"""python -m finetune recipe.yaml: rows -> students, and then the comparison with their teacher.

python -m finetune preview|ask|merge|export recipe.yaml: see commands.py.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from finetune import processes
from finetune.commands import COMMANDS
from recipes.cli import open_launch, run_main, stage_parser
from recipes.console import say

if TYPE_CHECKING:
    from recipes.cli import Launch


def main(argv: list[str] | None = None) -> int:
    """Bring rows, students and the report up to date; return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in COMMANDS:
        return COMMANDS[words[0]](words[1:])
    parser = stage_parser("finetune", "Train the students of a recipe, then compare them with their teacher.")
    parser.epilog = f"Other commands: python -m finetune {'|'.join(COMMANDS)} recipe.yaml; each has a --help. "
    parser.epilog += "Several GPUs: accelerate launch -m finetune recipe.yaml (torchrun refuses --run)."
    parser.add_argument(
        "--student", metavar="NAME", help="train this student only (and those it starts from), and compare nothing"
    )
    parser.add_argument("--no-eval", action="store_true", help="stop when the students are trained")
    args = parser.parse_args(words)
    launch = open_launch(args)

    from finetune.hub import push_students
    from finetune.train import train_students, with_bases
    from finetune.unsloth_backend import import_first

    names = [args.student] if args.student else list(launch.recipe.students)
    # a wrong name is found before the teacher is paid
    import_first(launch.recipe, with_bases(launch.recipe, names))
    with launch.run.lock() if processes.leads() else nullcontext():
        if processes.leads():
            _bring_rows(launch, names)
        processes.wait()
        train_students(launch.recipe, names, launch.run)
    processes.leave()
    if not processes.leads():
        return 0
    sources = [launch.recipe.source, *(dataset.source for dataset in launch.recipe.datasets.values())]
    if all(source.test == 0 for source in sources):
        say("no comparison: source.test is 0, so no row was kept to compare on")
    elif not (args.no_eval or args.student):
        # a process of its own: imports run one way, and eval comes after finetune
        command = [sys.executable, "-m", "eval", *launch.arguments]
        code = subprocess.run(command, check=False, env=processes.alone()).returncode  # noqa: S603
        if code:
            return code
    with launch.run.lock():
        push_students(launch.recipe, with_bases(launch.recipe, names), launch.run)  # with the scores on their cards
    return 0


def _bring_rows(launch: Launch, names: list[str]) -> None:
    """Bring the rows up to date; what would stop the students is found before the teacher is paid."""
    from finetune.train import check_ahead
    from synth.datasets import build_rows

    check_ahead(launch.recipe, names, launch.run)
    build_rows(launch.recipe, launch.run, launch.yes)


if __name__ == "__main__":
    run_main(main)
