"""python -m rag index|search|chat|serve. Each brings what comes before it up to date, and says so."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from recipes.cli import Launch, add_launch_options, open_launch, stage_parser
from recipes.console import say, show
from recipes.errors import AskError, RunError

if TYPE_CHECKING:
    from rag.passages import Found
    from rag.where import Where


def index(argv: list[str]) -> int:
    """Bring the index of the catalogue up to date."""
    parser = argparse.ArgumentParser(
        prog="python -m rag index",
        description="Bring the index of a recipe's catalogue up to date: only what is new or changed is embedded.",
    )
    parser.add_argument("recipe", metavar="RECIPE", help="recipe file with a section retrieval")
    add_launch_options(parser)
    _bring_index(open_launch(parser.parse_args(argv), alone=True))
    return 0


def search(argv: list[str]) -> int:
    """Search the catalogue."""
    parser = argparse.ArgumentParser(prog="python -m rag search", description="Search a recipe's catalogue.")
    parser.add_argument("recipe", metavar="RECIPE", help="recipe file with a section retrieval")
    parser.add_argument("query", metavar="QUERY", help="what to search for, in quotation marks")
    add_launch_options(parser)
    parser.add_argument("--top", metavar="N", type=_count, help="passages to show; default retrieval.top_k")
    parser.add_argument(
        "--where", metavar="FILTER", default="", help="on metadata, e.g. 'brand=Acme price<20', or the same as JSON"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a passage, for other programs")
    args = parser.parse_intermixed_args(argv)
    if not args.query.strip():
        parser.error("the query is empty")
    launch = open_launch(args, alone=True)
    _needs_retrieval(launch)
    where = _where(args.where, launch)
    _bring_index(launch)

    from rag.retriever import open_retriever

    with open_retriever(launch.recipe, launch.run) as retriever:
        found = retriever.search(args.query, where, args.top)
    for line in _json_lines(found) if args.json else _lines(found):
        show(line)
    return 0 if found.passages else 1


def chat(argv: list[str]) -> int:
    """Talk to the assistant in this terminal."""
    parser = stage_parser("rag chat", "Talk to the assistant; from a pipe each line is a question of its own.")
    parser.add_argument("--thinking", action="store_true", help="show the reasoning before the answer too")
    args = parser.parse_args(argv)
    launch = open_launch(args, alone=True)
    if args.thinking and launch.recipe.assistant is not None and launch.recipe.assistant.thoughts == "hide":
        raise AskError(
            "--thinking: the recipe's assistant.thoughts is hide; add --set assistant.thoughts=show to see them"
        )
    _bring_assistant(launch)
    from rag.terminal import chat as talk

    return talk(launch.recipe, launch.run, args.thinking)


def serve(argv: list[str]) -> int:
    """Serve the assistant: a page for browsers, an OpenAI-compatible API for programs."""
    parser = stage_parser("rag serve", "Serve the assistant: a chat page and an OpenAI-compatible API.")
    parser.add_argument("--host", metavar="ADDRESS", help="address to listen on; default assistant.host")
    parser.add_argument(
        "--port", metavar="N", type=_port, help="port to listen on, 0 for any free one; default assistant.port"
    )
    args = parser.parse_args(argv)
    launch = open_launch(args, alone=True)
    _needs_retrieval(launch)
    from rag.serving import serve as listen

    listen(launch.recipe, launch.run, args.host, args.port, lambda: _bring_assistant(launch))
    return 0


def _bring_index(launch: Launch) -> None:
    _needs_retrieval(launch)
    from rag.indexing import build_index

    with launch.run.lock():
        build_index(launch.recipe, launch.run)


def _bring_assistant(launch: Launch) -> None:
    """Bring up to date what the assistant answers with: the student, with its rows, and the index."""
    recipe, run = launch.recipe, launch.run
    _needs_retrieval(launch)
    if recipe.assistant is None:
        say("the recipe has no section assistant: answers are sentences of the passages (assistant.model: extractive)")
    elif recipe.assistant.model.startswith("students."):
        name = recipe.assistant.model.removeprefix("students.")
        from finetune.train import check_ahead, train_students, with_bases
        from finetune.unsloth_backend import import_first
        from synth.datasets import build_rows

        import_first(recipe, with_bases(recipe, [name]))
        with run.lock():
            check_ahead(recipe, [name], run)
            build_rows(recipe, run, launch.yes)
            train_students(recipe, [name], run)
    _bring_index(launch)


def _needs_retrieval(launch: Launch) -> None:
    if launch.recipe.retrieval is None:
        raise RunError(
            f"the recipe {launch.recipe.name} has no section retrieval, which says what is searched: "
            "recipes/catalogue-assistant.yaml shows one"
        )


def _where(text: str, launch: Launch) -> Where | None:
    """The filter that --where says."""
    if not text.strip():
        return None
    if text.lstrip().startswith("{"):
        try:
            found: Where = json.loads(text)
        except ValueError as error:
            raise AskError(f"--where: {error}") from None
        return found
    from rag.filter_words import read_filter

    assert launch.recipe.retrieval is not None
    return read_filter(text, launch.recipe.retrieval.catalogue.metadata)


def _lines(found: Found) -> list[str]:
    """What was found, for a person."""
    lines = []
    for passage in found.passages:
        text = passage.text if len(passage.text) <= 300 else passage.text[:300] + " ..."
        facts = [passage.document, *(f"{name} {text}" for name, text in passage.facts.items())]
        lines += [f"[{passage.number}] {passage.title}", f"    {' · '.join(facts)}"]
        lines += [f"    {line}" for line in text.splitlines()] if passage.text != passage.title else []
        lines += [f"    {passage.link}"] if passage.link else []
    if not lines:
        return ["nothing was found"]
    return [*lines, _confidence(found)]


def _confidence(found: Found) -> str:
    if found.answerable and not found.confidence:
        return "no confidence is known: the catalogue is too small to set a threshold on"
    sure = "" if found.answerable else "; too little to answer from (retrieval.refuse)"
    return f"confidence {found.confidence:.2f}{sure}"


def _json_lines(found: Found) -> list[str]:
    from dataclasses import asdict

    about = {"confidence": found.confidence, "answerable": found.answerable}
    return [json.dumps(asdict(passage) | about, ensure_ascii=False) for passage in found.passages]


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number, 1 or more")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


COMMANDS = {"index": index, "search": search, "chat": chat, "serve": serve}
