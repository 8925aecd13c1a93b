"""python -m recipes check|plan|list|keys|doctor: what a recipe says, before anything is paid for or trained."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.cli import add_launch_options, add_overrides, open_run, run_main
from recipes.console import say, show
from recipes.errors import RecipeError

if TYPE_CHECKING:
    from recipes.schema import Recipe

SHIPPED = Path(__file__).parent


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = _parser().parse_args(argv)
    if args.command == "check":
        return _check(args)
    if args.command == "plan":
        return _plan(args)
    return {"list": _list, "keys": _keys, "doctor": _doctor}[args.command]()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m recipes", description="Check and plan recipes. Nothing is asked, downloaded or trained."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="every mistake in recipe files, with file and line")
    check.add_argument("recipe", metavar="RECIPE", nargs="+", help="recipe files")
    add_overrides(check)
    plan = commands.add_parser("plan", help="calls, tokens, dollars, stages and training steps of a recipe")
    plan.add_argument("recipe", metavar="RECIPE", help="recipe file")
    add_launch_options(plan)
    plan.add_argument(
        "--device", metavar="NAME", help="memory of generative students on t4, rtx4060, l4, a100-40gb, h100, 24gb ...; "
        "this machine's where not given",
    )  # fmt: skip
    commands.add_parser("list", help="the recipes that come with tutelage")
    commands.add_parser("keys", help="every key of a recipe, its default and its meaning")
    commands.add_parser("doctor", help="what this machine has: hardware, versions, keys")
    return parser


def _check(args: argparse.Namespace) -> int:
    from recipes.label_checks import unknown_labels
    from recipes.load import load_recipe

    mistakes: list[str] = []
    for path in _expanded(args.recipe):
        try:
            lost = unknown_labels(load_recipe(path, args.overrides))
            show(f"{path}: ok" + (f"; {lost}" if lost else ""))
        except RecipeError as error:
            mistakes += error.mistakes
    if mistakes:
        raise RecipeError(mistakes)
    return 0


def _expanded(names: list[str]) -> list[str]:
    """Files for patterns too: the Windows shells hand `recipes/*.yaml` on as it is."""
    found: list[str] = []
    for name in names:
        path = Path(name)
        matching = sorted(str(file) for file in path.parent.glob(path.name)) if "*" in path.name else []
        found += matching or [name]
    return found


def _plan(args: argparse.Namespace) -> int:
    from recipes.load import load_recipe
    from recipes.memory_plan import memory_lines
    from recipes.plan import make_plan

    recipe = load_recipe(args.recipe, args.overrides)
    memory = memory_lines(recipe, args.device)
    for line in make_plan(recipe, open_run(recipe, args)).lines():
        show(line)
    for place, line in enumerate(memory):
        show(f"{'' if place else 'memory':<9} {line}")
    return 0


def _list() -> int:
    from recipes.load import load_recipe

    code = 0
    for path in sorted(SHIPPED.glob("*.yaml")):
        needs: list[str] = []
        try:
            recipe = load_recipe(path)
        except RecipeError as error:
            needs, found = _files_of_yours(path, error)
            if found is None:
                say(str(error))
                code = error.code
                continue
            recipe = found
        show(recipe.name)
        about = {"about": recipe.about, "file": str(path)} | _about_rows(recipe) | _about_answers(recipe)
        for title, text in (about | {"needs": ", ".join(needs)}).items():
            if text:
                show(f"    {title:<9} {text}")
    return code


def _files_of_yours(path: Path, error: RecipeError) -> tuple[list[str], Recipe | None]:
    """(files that a recipe wants and that cannot be shipped, the recipe); no recipe where more than that is wrong."""
    from recipes.mistakes import shape_mistakes
    from recipes.schema import Recipe
    from recipes.yaml_files import read_document

    told = (mistake.partition("there is no file ")[2] for mistake in error.mistakes)
    missing = [re.split(r" \(|; ", rest)[0] for rest in told]
    recipe, _ = shape_mistakes(read_document(path), Recipe) if all(missing) else (None, [])
    return missing, recipe


def _about_rows(recipe: Recipe) -> dict[str, str]:
    if recipe.task == "none":
        return {}
    students = ", ".join(f"{name} ({student.base})" for name, student in recipe.students.items())
    task = f"{recipe.task}: {', '.join(recipe.labels)}" if recipe.labels else recipe.task
    teacher = recipe.teacher
    asked = "nobody is asked" if teacher.provider == "none" else f"{teacher.model} ({teacher.provider})"
    return {"task": task, "teacher": asked, "students": students}


def _about_answers(recipe: Recipe) -> dict[str, str]:
    from recipes.index_plan import answers_line

    if recipe.retrieval is None:
        return {}
    catalogue = recipe.retrieval.catalogue
    answers = answers_line(recipe, recipe.assistant) if recipe.assistant is not None else ""
    return {"catalogue": catalogue.path or catalogue.hub or "", "assistant": answers}


def _keys() -> int:
    from recipes.reference import reference

    show(reference().rstrip())
    return 0


def _doctor() -> int:
    from recipes.doctor import report_lines

    for line in report_lines():
        show(line)
    return 0


if __name__ == "__main__":
    run_main(main)
