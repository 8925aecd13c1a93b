"""python -m eval recipe.yaml: compare the students of a recipe with their teacher, and write the report."""

from __future__ import annotations

from recipes.cli import Launch, open_launch, run_main, stage_parser


def main(argv: list[str] | None = None) -> int:
    """Bring rows, students and the report up to date and print the scores. Returns the exit code."""
    parser = stage_parser("eval", "Score the teacher, the students and the baselines of a recipe on the same rows.")
    launch = open_launch(parser.parse_args(argv))
    with launch.run.lock():
        _compare(launch)
    return 0


def _compare(launch: Launch) -> None:
    from eval.compare import compare
    from eval.report import print_report
    from finetune.hub import push_students
    from finetune.train import check_ahead, train_students, with_bases
    from recipes.console import say
    from recipes.evaluation_checks import BASE_OF
    from synth.build import build_dataset

    wanted = launch.recipe.evaluation.models
    names = [name for name in launch.recipe.students if wanted is None or {name, f"{BASE_OF}{name}"} & set(wanted)]
    check_ahead(launch.recipe, names, launch.run)
    build_dataset(launch.recipe, launch.run, launch.yes)
    train_students(launch.recipe, names, launch.run)
    print_report(compare(launch.recipe, launch.run, launch.yes))
    say(f"report: {launch.run.path / 'report.html'}")
    push_students(launch.recipe, with_bases(launch.recipe, names), launch.run)  # with the scores on their cards


if __name__ == "__main__":
    run_main(main)
