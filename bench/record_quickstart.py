"""Record the quickstart's teacher: raw replies by id -> the journal that `provider: recorded` plays.

    python bench/record_quickstart.py

Run it again whenever recipes/quickstart.yaml or its prompt changes: the requests' keys hold the prompt, the model and
the sampling. A second line with the same id is the reply to being asked again. Tokens are not counted but ESTIMATED
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
from synth.tasks.labels import LabelTask

ROOT = Path(__file__).parent.parent
REPLIES = ROOT / "recipes" / "data" / "tweets-teacher.jsonl"
JOURNAL = ROOT / "recipes" / "data" / "tweets-journal.jsonl"


def replies_by_id(path: Path) -> dict[str, list[str]]:
    """The raw replies to each text, in the order of asking."""
    replies: dict[str, list[str]] = defaultdict(list)
    for _, record in read_table(path):
        replies[record["id"]].append(record["reply"])
    return replies


def estimated(request: ChatRequest, text: str) -> Usage:
    """Tokens as characters / 4. Nothing is counted as cached."""
    return Usage(prompt=sum(len(message.content) for message in request.messages) // 4, completion=len(text) // 4)


def record(recipe: Recipe, journal: Journal, replies: dict[str, list[str]]) -> int:
    """Write the reply to every request that the recipe makes; returns how many."""
    task = LabelTask(recipe, load_prompt(recipe))
    written = 0

    def answer(example: Example) -> None:
        nonlocal written
        for text in replies[example.id]:
            for request in task.missing(example, lambda request: journal.get(request.key())):
                journal.put(request.key(), example.id, Reply(text, usage=estimated(request, text)), model=request.model)
                written += 1

    with Examples(recipe.source) as examples:
        examples.read(recipe)
        for example in examples.stream():
            answer(example)
    return written


def main() -> None:
    JOURNAL.touch()  # a recipe that names a missing file does not load
    recipe = load_recipe(ROOT / "recipes" / "quickstart.yaml")
    partial = JOURNAL.with_name(JOURNAL.name + ".partial")
    partial.unlink(missing_ok=True)
    with Journal.open(partial) as journal:
        written = record(recipe, journal, replies_by_id(REPLIES))
    partial.replace(JOURNAL)
    partial.with_name(f".{partial.name}.lock").unlink(missing_ok=True)
    print(f"{JOURNAL}: {written} replies recorded")


if __name__ == "__main__":
    main()
