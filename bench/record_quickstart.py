"""Record the teachers of the quickstarts: raw replies by id -> the journals that `provider: recorded` plays.

    python bench/record_quickstart.py                         # all of them
    python bench/record_quickstart.py quickstart-reviews

Run it again whenever a quickstart's recipe or prompt changes: the requests' keys hold the prompt, the model and the
sampling. A second line with the same id is the reply to being asked again. Tokens are not counted but ESTIMATED
as characters / 4 (no model was called: recipes/data/README.md).
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from recipes.chat import ChatRequest, Reply, Usage
from recipes.load import load_recipe
from recipes.prompts import load_prompt
from recipes.rows import Example
from recipes.schema import Recipe
from recipes.tables import read_table
from synth.build import open_task
from synth.examples import Examples
from synth.journal import Journal
from synth.tasks.asking import Task
from synth.tasks.understanding import UnderstandingTask

RECIPES = Path(__file__).parent.parent / "recipes"
TEACHERS = {"quickstart": "tweets", "quickstart-products": "products", "quickstart-reviews": "reviews"}
"""Recipe -> its sample data: data/<name>-teacher.jsonl is read, data/<name>-journal.jsonl is written."""


Replies = dict[tuple[str, str | None], list[str]]
"""(id of an example, analysis or rewrite where there are two prompts) -> replies in the order of asking."""


def replies_by_id(path: Path) -> Replies:
    """The raw replies on file."""
    replies: Replies = defaultdict(list)
    for _, record in read_table(path):
        replies[record.get("id") or record["uid"], record.get("part")].append(record["reply"])
    return replies


def estimated(request: ChatRequest, text: str) -> Usage:
    """Tokens as characters / 4. Nothing is counted as cached."""
    return Usage(prompt=sum(len(message.content) for message in request.messages) // 4, completion=len(text) // 4)


def part_of(task: Task, request: ChatRequest) -> str | None:
    """Which prompt of a task that has two a request is made with."""
    if not isinstance(task, UnderstandingTask):
        return None
    return next(
        part for part, prompt in task.prompts.items() if prompt.static == request.messages[: len(prompt.static)]
    )


def record(recipe: Recipe, journal: Journal, replies: Replies) -> int:
    """Write the reply to every request that the recipe makes; returns how many."""
    task = open_task(recipe, load_prompt(recipe))
    left = {key: list(texts) for key, texts in replies.items()}
    written = 0

    def answer(example: Example) -> None:
        nonlocal written
        while requests := task.advance(example, lambda request: journal.get(request.key()))[0]:
            before = written
            for request in requests:
                texts = left.get((example.id, part_of(task, request)))
                if texts:
                    reply = Reply(texts[0], usage=estimated(request, texts.pop(0)))
                    journal.put(request.key(), example.id, reply, model=request.model)
                    written += 1
            if written == before:
                return  # no reply on file

    with Examples(recipe.source) as examples:
        examples.read(recipe)
        for example in examples.stream():
            answer(example)
    return written


def main() -> None:
    for name in sys.argv[1:] or TEACHERS:
        data = TEACHERS[name]
        path = RECIPES / "data" / f"{data}-journal.jsonl"
        path.touch()  # a recipe that names a missing file does not load
        partial = path.with_name(path.name + ".partial")
        partial.unlink(missing_ok=True)
        replies = replies_by_id(RECIPES / "data" / f"{data}-teacher.jsonl")
        with Journal.open(partial) as journal:
            written = record(load_recipe(RECIPES / f"{name}.yaml"), journal, replies)
        partial.replace(path)
        partial.with_name(f".{partial.name}.lock").unlink(missing_ok=True)
        print(f"{path}: {written} replies recorded")


if __name__ == "__main__":
    main()
