"""python -m synth RECIPE: bring a recipe's rows up to date."""

from __future__ import annotations

from recipes.cli import open_launch, run_main, stage_parser
from recipes.errors import SourceError


def main(argv: list[str] | None = None) -> int:
    """Ask the teacher what is not on record yet and write the rows. Returns the exit code."""
    parser = stage_parser("synth", "Let the teacher label the texts of a recipe: source -> rows.")
    parser.add_argument(
        "--ask-again", action="store_true",
        help="ask anew about the rows that were rejected for what the teacher replied (truncated, malformed ...)",
    )  # fmt: skip
    args = parser.parse_args(argv)
    launch = open_launch(args)
    from recipes.local_teacher import LocalTeacher
    from synth import processes
    from synth.datasets import build_rows
    from synth.labelling import dismiss, help_label

    several = processes.count() > 1 and isinstance(launch.recipe.teacher, LocalTeacher)
    if not processes.leads():
        if several:
            help_label(launch.recipe)
            processes.leave()
        return 0
    with launch.run.lock():
        facts = build_rows(launch.recipe, launch.run, launch.yes, ask_again=args.ask_again, helped=several).facts
    if several:
        dismiss()
        processes.leave()
    if not facts["rows"]["train"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in facts["reasons"].items())
        cause = f"; most calls failed as {facts['failed_as']}" if facts.get("failed_as") else ""
        raise SourceError(f"no row is left to train on ({reasons}{cause}): see {launch.run.rows / 'rejects.jsonl'}")
    return 0


if __name__ == "__main__":
    run_main(main)
