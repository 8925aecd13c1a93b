"""Thumbs up and down on answers, as lines that can become the rows of the next dataset.

    runs/<recipe>/feedback/up.jsonl     source: {path: up.jsonl, messages: messages}, task: chat
    runs/<recipe>/feedback/down.jsonl   what went wrong: to be read by a person, not to be trained on
    runs/<recipe>/feedback/aside.jsonl  liked, and to be read before anybody trains on it; `aside` says why

`messages` is what the model was shown, passages and all, and what it answered: a student is trained on what it will
see. Only answers of this server can be rated, while it remembers them. But whoever may ask says what a question is, and
sends the conversation before it: where that has a system message, or an answer that this server does not remember to
have given (one that was stopped in the middle, too), the row is set aside, and so is one in which the model gave no
answer and passages were quoted. Users' own turns and comments are theirs in every file.
"""

from __future__ import annotations

import os
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import orjson

from rag.openai_errors import ApiError, bad
from rag.openai_request import read_object
from recipes.rows import Row, Turn, storable

Rating = Literal["up", "down"]

ASIDE = "aside.jsonl"
MAX_COMMENT_CHARS = 2_000


class Answer(Row):
    """One turn of what was answered, with its reasoning where there was any."""

    role: Literal["assistant"] = "assistant"
    content: str
    reasoning_content: str | None = None


class FeedbackRow(Row):
    """One line. question: as it was asked; query: what was searched for; documents: ids, [1] first. aside: why it is
    not to be trained on, liked or not.
    """

    id: str
    time: str
    rating: Rating
    comment: str
    model: str
    question: str
    query: str
    documents: tuple[str, ...]
    messages: tuple[Turn | Answer, ...]
    aside: str | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that was given, as far as a rating needs it. aside: see FeedbackRow."""

    id: str
    model: str
    question: str
    query: str
    documents: tuple[str, ...]
    prompt: tuple[Turn, ...]
    response: str
    reasoning: str
    aside: str = ""

    def size(self) -> int:
        """Characters."""
        texts = (self.question, self.query, self.response, self.reasoning, *(turn.content for turn in self.prompt))
        return sum(map(len, texts))

    def rated(self, rating: Rating, comment: str) -> FeedbackRow:
        """The line of a rating."""
        answer = Answer(content=self.response, reasoning_content=self.reasoning or None)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return FeedbackRow(
            id=self.id, time=now, rating=rating, comment=storable(comment), model=self.model, question=self.question,
            query=self.query, documents=self.documents, messages=(*self.prompt, answer), aside=self.aside or None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Vote:
    """What a client thinks of an answer; rating None takes back what it said."""

    id: str
    rating: Rating | None
    comment: str


def read_vote(body: bytes) -> Vote:
    """The body of POST /v1/feedback. Raises ApiError (400) that names the field that is wrong."""
    fields = read_object(body)
    for name in fields:
        if name not in ("id", "rating", "comment"):
            raise bad(f"Unrecognized request argument supplied: {name[:40]}", name[:40], "unknown_parameter")
    identity, rating, comment = fields.get("id"), fields.get("rating"), fields.get("comment") or ""
    if not isinstance(identity, str):
        raise bad("id must be the id of an answer", "id")
    if rating not in ("up", "down", None) or "rating" not in fields:
        raise bad("rating must be up, down, or null to take it back", "rating")
    if not isinstance(comment, str) or len(comment) > MAX_COMMENT_CHARS:
        raise bad(f"comment must be a string of at most {MAX_COMMENT_CHARS:,} characters", "comment")
    return Vote(identity, rating, comment)


class Feedback:
    """The answers that can still be rated, and the files of a run folder that ratings go to.

    most: answers that are remembered; most_chars: characters of all of them together.
    """

    def __init__(self, folder: Path, most: int = 1_000, most_chars: int = 8_000_000) -> None:
        self._folder, self._most, self._most_chars = folder, most, most_chars
        self._given: OrderedDict[str, Given] = OrderedDict()
        self._said: Counter[str] = Counter()  # responses of those
        self._rated: dict[str, str] = {}  # id -> the file that has its line
        self._chars = 0
        self._lock, self._writing = Lock(), Lock()  # an answer is never waited with for a disk

    def remember(self, given: Given, before: Sequence[Turn] = ()) -> None:
        """Let an answer be rated; the oldest are forgotten for it. before: what its client says was said before."""
        with self._lock:
            if not given.aside and any(self._is_made_up(turn) for turn in before):
                given = replace(given, aside="a system message or an answer in it is not this server's")
            self._given[given.id] = given
            self._said[given.response.strip()] += 1
            self._chars += given.size()
            while len(self._given) > self._most or (self._chars > self._most_chars and len(self._given) > 1):
                old, gone = self._given.popitem(last=False)
                self._chars -= gone.size()
                self._said[gone.response.strip()] -= 1
                if not self._said[gone.response.strip()]:
                    del self._said[gone.response.strip()]
                self._rated.pop(old, None)

    def _is_made_up(self, turn: Turn) -> bool:
        return turn.role == "system" or (turn.role == "assistant" and turn.content.strip() not in self._said)

    def rate(self, vote: Vote) -> None:
        """Put a rating on disk, synced, in place of an earlier one. Raises ApiError (404) for an unknown answer."""
        from filelock import FileLock

        with self._lock:
            given = self._given.get(vote.id)
        if given is None:
            message = "this server knows no such answer; it remembers the latest until it is restarted"
            raise ApiError(404, message, param="id", code="unknown_answer")
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._writing, FileLock(self._folder / ".lock", timeout=10):
            if vote.id in self._rated:
                _remove(self._folder / self._rated[vote.id], vote.id)
            self._note(vote.id, None)
            if vote.rating is not None:
                name = ASIDE if given.aside and vote.rating == "up" else f"{vote.rating}.jsonl"
                _append(self._folder / name, given.rated(vote.rating, vote.comment))
                self._note(vote.id, name)

    def _note(self, identity: str, name: str | None) -> None:
        """Remember which file has the line of an answer that can still be rated."""
        with self._lock:
            self._rated.pop(identity, None)
            if name is not None and identity in self._given:
                self._rated[identity] = name


def _append(path: Path, row: Row) -> None:
    """One more line; what a crash left of a line before it is cut off."""
    with path.open("a+b") as lines:
        size = lines.seek(0, os.SEEK_END)
        if size and (lines.seek(size - 1), lines.read(1))[1] != b"\n":
            lines.seek(0)
            lines.truncate(lines.read().rfind(b"\n") + 1)
        lines.write(row.model_dump_json(exclude_none=True).encode() + b"\n")
        lines.flush()
        os.fsync(lines.fileno())


def _remove(path: Path, identity: str) -> None:
    """The file without the line of that id."""
    if not path.exists():
        return  # somebody took it away, to learn from it
    partial = path.with_name(path.name + ".partial")
    with path.open("rb") as lines, partial.open("wb") as kept:
        kept.writelines(line for line in lines if _id(line) != identity)
        kept.flush()
        os.fsync(kept.fileno())
    partial.replace(path)


def _id(line: bytes) -> Any:
    try:
        return orjson.loads(line).get("id")
    except (ValueError, AttributeError):
        return None  # a line of somebody else's stays as it is
