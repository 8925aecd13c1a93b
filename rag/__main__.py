"""python -m rag index|search|chat|serve recipe.yaml: a catalogue, searched and answered from. See commands.py."""

from __future__ import annotations

import argparse
import sys

from rag.commands import COMMANDS
from recipes.cli import run_main


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in COMMANDS:
        return COMMANDS[words[0]](words[1:])
    parser = argparse.ArgumentParser(
        prog="python -m rag",
        description="Search a recipe's catalogue, and talk to the assistant that answers from it.",
        epilog="\n".join(["commands:", *_about(), "", "Each command has a --help."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", metavar="COMMAND", choices=list(COMMANDS), help=", ".join(COMMANDS))
    parser.add_argument(
        "recipe", metavar="RECIPE", nargs="?", help="recipe file, e.g. recipes/catalogue-assistant.yaml"
    )
    parser.parse_args(words)
    return 2  # the parser has said what is wrong


def _about() -> list[str]:
    return [f"  {name:<8} {(command.__doc__ or '').strip()}" for name, command in COMMANDS.items()]


if __name__ == "__main__":
    run_main(main)
