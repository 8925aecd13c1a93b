"""python -m eval recipe.yaml: compare the students of a recipe with their teacher, score what it retrieves, and write
the reports.
"""

from __future__ import annotations

from recipes.cli import Launch, open_launch, run_main, stage_parser


def main(argv: list[str] | None = None) -> int:
    """Bring rows, students, index and reports up to date and print the scores. Returns the exit code."""
    parser = stage_parser(
        "eval",
        "Score the teacher, the students and the baselines of a recipe on the same rows, and what it retrieves and "
        "answers from its catalogue.",
    )
    parser.add_argument(
        "--retrieval", action="store_true",
        help="score retrieval and the assistant alone: of the students only the one that answers is trained",
    )  # fmt: skip
    args = parser.parse_args(argv)
    launch = open_launch(args, alone=True)
    _check_retrieval(launch, args.retrieval)
    with launch.run.lock():
        if not args.retrieval and _has_models(launch):
            _compare(launch)
        if launch.recipe.retrieval is not None:
            _score_retrieval(launch)
    return 0


def _check_retrieval(launch: Launch, wanted: bool) -> None:
    """Find what would stop the scoring of retrieval before anything is paid for or trained."""
    from recipes.errors import RunError

    if launch.recipe.retrieval is not None:
        from eval.query_set import own_set

        own_set(launch.recipe)
    elif wanted:
        raise RunError(f"the recipe {launch.recipe.name} has no section retrieval: it says what is searched")


def _has_models(launch: Launch) -> bool:
    """Whether there are models to compare: an assistant alone has none, and without test rows they cannot be, which is
    a mistake where nothing else is to be scored.
    """
    from recipes.alone import is_alone
    from recipes.console import say

    if is_alone(launch.recipe):
        return False
    sources = (launch.recipe.source, *(one.source for one in launch.recipe.datasets.values()))
    if all(source.test == 0 for source in sources) and launch.recipe.retrieval is not None:
        say("report: none, as there are no test rows to compare models on (source.test: 0)")
        return False
    return True


def _compare(launch: Launch) -> None:
    from eval.compare import compare
    from eval.report import print_report
    from finetune.hub import push_students
    from finetune.train import check_ahead, train_students, with_bases
    from recipes.console import say
    from recipes.evaluation_checks import BASE_OF
    from synth.datasets import build_rows

    wanted = launch.recipe.evaluation.models
    names = [name for name in launch.recipe.students if wanted is None or {name, f"{BASE_OF}{name}"} & set(wanted)]
    check_ahead(launch.recipe, names, launch.run)
    build_rows(launch.recipe, launch.run, launch.yes)
    train_students(launch.recipe, names, launch.run)
    print_report(compare(launch.recipe, launch.run, launch.yes))
    say(f"report: {launch.run.path / 'report.html'}")
    push_students(launch.recipe, with_bases(launch.recipe, names), launch.run)  # with the scores on their cards


def _score_retrieval(launch: Launch) -> None:
    from eval.query_set import queries_path
    from eval.retrieval_page import print_retrieval, report_path
    from eval.score_retrieval import score_retrieval
    from rag.indexing import build_index
    from recipes.console import say
    from recipes.errors import TeacherError

    _train_assistant(launch)
    build_index(launch.recipe, launch.run)
    report = score_retrieval(launch.recipe, launch.run, launch.yes)
    print_retrieval(report)
    say(f"retrieval: {report_path(launch.run)}, questions: {queries_path(launch.run)}")
    if report.failed:
        raise TeacherError(f"assistant: {report.stopped}; what it has answered is kept, run the same command again")


def _train_assistant(launch: Launch) -> None:
    """Bring the student up to date that the assistant answers with, where one does and is to be scored."""
    from finetune.train import check_ahead, train_students
    from synth.datasets import build_rows

    recipe, run = launch.recipe, launch.run
    if recipe.assistant is None or not recipe.evaluation.retrieval.answers:
        return
    if recipe.assistant.model.startswith("students."):
        names = [recipe.assistant.model.removeprefix("students.")]
        check_ahead(recipe, names, run)
        build_rows(recipe, run, launch.yes)
        train_students(recipe, names, run)


if __name__ == "__main__":
    run_main(main)
