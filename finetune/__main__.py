"""python -m finetune recipe.yaml: rows -> students, and then the comparison with their teacher."""

from __future__ import annotations

import subprocess
import sys

from recipes.cli import open_launch, run_main, stage_parser


def main(argv: list[str] | None = None) -> int:
    """Bring rows, students and the report up to date; return the exit code."""
    parser = stage_parser("finetune", "Train the students of a recipe, then compare them with their teacher.")
    parser.add_argument(
        "--student", metavar="NAME", help="train this student only (and those it starts from), and compare nothing"
    )
    parser.add_argument("--no-eval", action="store_true", help="stop when the students are trained")
    args = parser.parse_args(argv)
    launch = open_launch(args)

    from finetune.train import lineage, train_students
    from recipes.stages import rows_inputs
    from synth.build import build_dataset

    names = [args.student] if args.student else list(launch.recipe.students)
    for name in names:
        lineage(launch.recipe, name)  # a wrong name is found before the teacher is paid
    with launch.run.lock():
        if launch.recipe.teacher.provider != "recorded" and launch.run.why_stale("rows", rows_inputs(launch.recipe)):
            from finetune.bases import check_bases

            check_bases(launch.recipe, names, launch.run)  # so is a base that is not there
        build_dataset(launch.recipe, launch.run, launch.yes)
        train_students(launch.recipe, names, launch.run)
    if args.no_eval or args.student:
        return 0
    # a process of its own: imports run one way, and eval comes after finetune
    return subprocess.run([sys.executable, "-m", "eval", *launch.arguments], check=False).returncode  # noqa: S603


if __name__ == "__main__":
    run_main(main)
