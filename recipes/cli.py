"""What all launchers share: their arguments, opening a recipe and its run folder, and how they end."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from recipes.console import warn
from recipes.errors import RunError, Terminated, TutelageError
from recipes.keys import redact

if TYPE_CHECKING:  # pydantic is not needed to print a --help
    from recipes.runs import RunFolder
    from recipes.schema import Recipe

_OWN = frozenset({"recipes", "synth", "finetune", "rag", "eval"})


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of a launcher.

    arguments: what to hand to another launcher so that it does the same recipe in the same run folder.
    """

    recipe: Recipe
    run: RunFolder
    yes: bool
    arguments: list[str]


def stage_parser(module: str, description: str) -> argparse.ArgumentParser:
    """The parser of `python -m <module> recipe.yaml`; a launcher may add arguments of its own."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("recipe", metavar="RECIPE", help="recipe file, e.g. recipes/quickstart.yaml")
    add_launch_options(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask before the first paid call")
    return parser


def add_launch_options(parser: argparse.ArgumentParser) -> None:
    """--set and --run."""
    add_overrides(parser)
    parser.add_argument("--run", metavar="DIR", help="run folder; default runs/<name of the recipe>")


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """--set."""
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides",
        help="override one value of the recipe, e.g. --set source.train=100; may be repeated",
    )  # fmt: skip


def open_launch(args: argparse.Namespace, alone: bool = False) -> Launch:
    """Load the recipe that the arguments name. alone: that of an assistant alone will do.

    Raises RecipeError with all its mistakes, RunError for an assistant alone where rows and students are needed.
    """
    from recipes.alone import refuse_alone
    from recipes.load import load_recipe

    recipe = load_recipe(args.recipe, args.overrides)
    if not alone:
        refuse_alone(recipe)
    run = open_run(recipe, args)
    yes = bool(getattr(args, "yes", False))
    arguments = [args.recipe, *(part for override in args.overrides for part in ("--set", override))]
    arguments += ["--run", args.run] if args.run else []
    return Launch(recipe, run, yes, arguments + (["--yes"] if yes else []))


def open_run(recipe: Recipe, args: argparse.Namespace) -> RunFolder:
    """The run folder named by --run, or runs/<recipe> in the working directory. Nothing is written yet.

    Raises RunError for a file, and where runs/<recipe> is that of another recipe of the same name.
    """
    from recipes.origin import origin_of, refuse_other
    from recipes.runs import RunFolder
    from recipes.section import beside

    path = beside(Path(), args.run) if args.run else Path("runs") / recipe.name
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file: name a folder with --run")
    run = RunFolder(path, origin_of(recipe, Path(args.recipe)))
    if not args.run:
        refuse_other(recipe, run)
    return run


def run_main(main: Callable[[list[str] | None], int | None]) -> NoReturn:
    """Run a launcher and exit: mistakes as a sentence and their code, Ctrl-C as 130, our own bugs as a traceback.

    SIGTERM where it is heard as a wish to stop: 143.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a Windows console cannot show every letter
    try:
        code = main(None) or 0
        sys.stdout.flush()
    except TutelageError as error:
        code = _end(str(error), error.code)
    except KeyboardInterrupt as stop:
        code = _end("stopped", 143 if isinstance(stop, Terminated) else 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader (head, less) has gone: no complaint
        code = 141
    except OSError as error:
        code = _end(_system_sentence(error), 1)
    except Exception as error:
        code = _end(*_unexpected(error))
    sys.exit(code)


def _end(sentence: str, code: int) -> int:
    if os.environ.get("RANK", "0") != "0":
        time.sleep(3)  # of several processes the first says what befell all; one that is still here then is alone in it
        sentence = f"process {os.environ['RANK']}: {sentence}"
    if os.environ.get("TUTELAGE_DEBUG") == "1" and code != 70:
        warn(redact(traceback.format_exc()))
    warn(redact(sentence))
    return code


def _unexpected(error: Exception) -> tuple[str, int]:
    """What is said of an error that nobody foresaw, and its code."""
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing and missing not in _OWN:
        return f"the Python package {missing} is not installed here: `pip install -e .` installs all that is needed", 1
    return traceback.format_exc() + "this is our fault, not yours: please report it", 70


def _system_sentence(error: OSError) -> str:
    """What the operating system refused, and for which file."""
    import errno

    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return f"{where}the disk is full: make room and run the same command again; nothing written so far is lost"
    return f"{where}{error.strerror or error}"
