"""The rows of every dataset, and JSONL in and out.

Example    one source row, cleaned, with a stable id and its side of the split
LabelRow   an example with what the teacher made of it: a label
ResponseRow  a question and its response, of a generative task
UnderstandingRow  a review, the opinions in it and a rewrite of it
AspectRow  a text and its gold tuples
Reject     an example that did not become a row, with the reason
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from recipes.errors import SourceError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
Outcome = Literal["clean", "repaired", "malformed", "refused", "truncated"]


class Row(BaseModel):
    """Shared ground of all row types: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Turn(Row):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Example(Row):
    """One cleaned source row. `fields` are what prompts may name; `gold` is the human label, where there is one.

    history: what was said before the field `question` of a conversation (task: chat).
    """

    id: str
    fields: dict[str, str]
    history: tuple[Turn, ...] = ()
    gold: str | None = None
    slices: dict[str, str] = {}
    """Column -> value, by which scores are told apart."""
    split: Split
    group: str
    """Exact and near duplicates share a group; a group never spans two splits."""


class LabelRow(Row):
    """A text with a teacher's label: one line of rows/{train,validation,test}.jsonl.

    label: the silver label (majority of the votes, or the likeliest of a teacher's scores); None for a tie that was
    kept for soft targets, and where no teacher labelled.
    soft: probability per label in the recipe's order, from votes, logprobs or scores; of a teacher of several labels
    each by itself. Empty where no teacher labelled.
    votes: the label of each vote, None where that vote gave no usable answer.
    outcome: repaired if any counted vote needed repair, else clean.
    slices: column -> value, by which scores are told apart.
    """

    id: str
    text: str
    gold: str | None = None
    slices: dict[str, str] = {}
    split: Split
    group: str
    label: str | None
    soft: tuple[float, ...]
    rationale: str | None = None
    votes: tuple[str | None, ...]
    outcome: Outcome

    @classmethod
    def of(
        cls,
        example: Example,
        label: str | None,
        soft: tuple[float, ...],
        votes: tuple[str | None, ...],
        rationale: str | None = None,
        outcome: Outcome = "clean",
    ) -> LabelRow:
        """The row of an example with the field `text`."""
        return cls.model_construct(
            id=example.id, text=example.fields["text"], gold=example.gold, slices=example.slices, split=example.split,
            group=example.group, label=label, soft=soft, rationale=rationale, votes=votes, outcome=outcome,
        )  # fmt: skip


class ResponseRow(Row):
    """A question and its response: one line of rows/{train,validation,test}.jsonl of a generative task.

    history: turns before the question (a system message first, if any); empty but for task: chat.
    question, response: what the student is asked, and what it is to answer. reasoning: Complex_CoT, where there is one.
    fields: the source's own, such as title and description: what the response is checked against, no student's input.
    outcome: repaired if the reply was mended, else clean.
    """

    id: str
    split: Split
    group: str
    history: tuple[Turn, ...] = ()
    question: str
    reasoning: str | None = None
    response: str
    fields: dict[str, str] = {}
    outcome: Outcome = "clean"


Grade = Literal["very negative", "negative", "neutral", "positive", "very positive"]
GRADES: tuple[Grade, ...] = ("very negative", "negative", "neutral", "positive", "very positive")
Polarity = Literal["positive", "negative", "neutral", "conflict"]
POLARITIES: tuple[Polarity, ...] = ("positive", "negative", "neutral", "conflict")


class Opinion(Row):
    """One opinion of a review, as a teacher reads it: on what (target, as the review puts it; aspect, in a word or
    two), how it feels (sentiment), and what shows it (reasoning, which says where the opinion is implied).
    """

    target: str
    aspect: str
    sentiment: Grade
    reasoning: str


class UnderstandingRow(Row):
    """A review, the opinions in it, and a rewrite in the first person that makes feelings explicit (task:
    understanding; arXiv 2412.18552). One of the two may be None where the teacher's reply could not be used.
    """

    id: str
    text: str
    split: Split
    group: str
    slices: dict[str, str] = {}
    analysis: tuple[Opinion, ...] | None = None
    rewrite: str | None = None
    outcome: Outcome = "clean"


class Aspect(Row):
    """One gold tuple: a term of the text with its place (atsa; start and end in characters, end exclusive), or a
    category (acsa); and its polarity.
    """

    target: str | None = None
    category: str | None = None
    polarity: Polarity
    start: int | None = None
    end: int | None = None


class AspectRow(Row):
    """A text and its gold tuples, terms in the order of their place (tasks atsa and acsa)."""

    id: str
    text: str
    split: Split
    group: str
    slices: dict[str, str] = {}
    aspects: tuple[Aspect, ...]


class Reject(Row):
    """An example that is not in the dataset, and why. `reply` is the last raw teacher reply, where there was one."""

    id: str
    text: str
    gold: str | None = None
    slices: dict[str, str] = {}
    split: Split | None
    stage: Literal["source", "teacher", "filter"]
    reason: str
    detail: str = ""
    reply: str | None = None


def storable(text: str) -> str:
    """`text` with what UTF-8 cannot hold mended: surrogate pairs joined, lone surrogates replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


RowType = TypeVar("RowType", bound=Row)


def read_rows(path: Path, kind: type[RowType]) -> Iterator[RowType]:
    """Yield the rows of a JSONL file. Raises SourceError naming file:line for a line that is no `kind`."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield kind.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                raise SourceError(f"{path}:{number}: {where or 'line'}: {first['msg']}") from None


def count_rows(path: Path) -> int:
    """Lines in a JSONL file; 0 where there is none."""
    if not path.exists():
        return 0
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


@contextmanager
def row_writer(path: Path) -> Iterator[Callable[[Row], None]]:
    """Write rows to `path` as a stream; the file appears whole when the block ends well, and not at all otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as out:

        def write(row: Row) -> None:
            out.write(row.model_dump_json().encode() + b"\n")

        yield write
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write all rows at once, atomically."""
    with row_writer(path) as write:
        for row in rows:
            write(row)
