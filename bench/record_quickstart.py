"""Record the teachers of the quickstarts: raw replies by id -> the journals that `provider: recorded` plays.

    python bench/record_quickstart.py

Run it again whenever a quickstart's recipe or prompt changes: the requests' keys hold the prompt, the model and the
sampling. A second line with the same id is the reply to being asked again. Tokens are not counted but ESTIMATED
as characters / 4 (no model was called: recipes/data/README.md).
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from recipes.chat import ChatRequest, Reply, Usage
from recipes.load import load_recipe
from recipes.prompts import load_prompt
from recipes.rows import Example
from recipes.schema import Recipe
from recipes.tables import read_table
from synth.examples import Examples
from synth.journal import Journal
from synth.tasks.asking import Task
from synth.tasks.labels import LabelTask
from synth.tasks.reasoning import ReasoningTask

RECIPES = Path(__file__).parent.parent / "recipes"
TEACHERS = {"quickstart": "tweets", "quickstart-products": "products"}
"""Recipe -> its sample data: data/<name>-teacher.jsonl is read, data/<name>-journal.jsonl is written."""


def replies_by_id(path: Path) -> dict[str, list[str]]:
    """The raw replies to each example, in the order of asking."""
    replies: dict[str, list[str]] = defaultdict(list)
    for _, record in read_table(path):
        replies[record.get("id") or record["uid"]].append(record["reply"])
    return replies


def estimated(request: ChatRequest, text: str) -> Usage:
    """Tokens as characters / 4. Nothing is counted as cached."""
    return Usage(prompt=sum(len(message.content) for message in request.messages) // 4, completion=len(text) // 4)


def record(recipe: Recipe, journal: Journal, replies: dict[str, list[str]]) -> int:
    """Write the reply to every request that the recipe makes; returns how many."""
    prompt = load_prompt(recipe)
    task: Task = LabelTask(recipe, prompt) if recipe.task == "classify" else ReasoningTask(recipe, prompt)
    written = 0

    def answer(example: Example) -> None:
        nonlocal written
        for text in replies[example.id]:
            for request in task.advance(example, lambda request: journal.get(request.key()))[0]:
                journal.put(request.key(), example.id, Reply(text, usage=estimated(request, text)), model=request.model)
                written += 1

    with Examples(recipe.source) as examples:
        examples.read(recipe)
        for example in examples.stream():
            answer(example)
    return written


def main() -> None:
    for name, data in TEACHERS.items():
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
