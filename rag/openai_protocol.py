"""What POST /v1/chat/completions answers, whole or in pieces, in OpenAI's words.

Sources go three ways. `annotations` is OpenAI's own list of url_citation, which its clients keep: where each `[n]`
stands in the text, with title and address. `sources` lists every passage that the answer was given, cited or not;
`written` there are numbers of its `metadata` as the catalogue writes them, where that is otherwise: 24.50.
`query` is what was searched for, `abstained` says that the catalogue has no answer, `quoted` that a model was asked and
gave none, so that sentences of the passages stand for it, and `ungrounded` lists sentences with a figure, name or
quotation that no passage has. Reasoning is `reasoning_content`, as DeepSeek and vLLM have it. In a stream each of these
but content and reasoning_content comes in one delta alone: clients that add deltas up take them as they are.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from rag.citations import Citations
from rag.lexer import CITE, CITED, CODE, CODED
from rag.passages import Passage

_MARKED = re.compile(f"{CITE}(\\d+){CITED}|{CODE}([^{CODED}]*){CODED}")


@dataclass(frozen=True, slots=True)
class Completion:
    """What all parts of one answer share. model: its name in the API; created: seconds since 1970. counted: a last
    event of the stream has its tokens; every other one then says, as OpenAI's do, that it has none.
    """

    model: str
    created: int
    counted: bool = False
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_urlsafe(18)}")

    def chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        """One event of a stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        none = {"usage": None} if self.counted else {}
        return self._envelope("chat.completion.chunk") | {"choices": [choice]} | none

    def count(self, usage: dict[str, int]) -> dict[str, Any]:
        """The last event of a stream whose client wants to know its tokens."""
        return self._envelope("chat.completion.chunk") | {"choices": [], "usage": usage}

    def whole(self, message: dict[str, Any], finish: str, usage: dict[str, int]) -> dict[str, Any]:
        """The answer in one piece."""
        choice = {"index": 0, "message": {"role": "assistant", "refusal": None} | message}
        choice |= {"logprobs": None, "finish_reason": finish}
        return self._envelope("chat.completion") | {"choices": [choice], "usage": usage}

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def usage(prompt: int, completion: int) -> dict[str, int]:
    """Tokens, as OpenAI counts them."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def model_entry(model: str, created: int, name: str, examples: Sequence[str]) -> dict[str, Any]:
    """A model of GET /v1/models. name: what the page calls it. examples: questions that the page proposes."""
    shown = {"name": name, "examples": list(examples)}
    return {"id": model, "object": "model", "created": created, "owned_by": "tutelage"} | shown


def sources(passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """The passages that an answer may cite, by their number."""
    return [
        {
            "number": passage.number,
            "title": passage.title,
            "document": passage.document,
            "link": web_link(passage.link),
            "text": passage.text,
            "metadata": dict(passage.metadata),
            "written": dict(passage.written),
            "score": passage.score,
        }
        for passage in passages
    ]


def url_citations(text: str, cited: Sequence[int], passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """Where `text` cites which passage: text[start_index:end_index] is `[n]`. Only numbers in `cited` count, and no
    index in code.
    """
    known = {passage.number: passage for passage in passages if passage.number in set(cited)}
    return [_url_citation(known[number], start) for number, start in _cited(text) if number in known]


def _cited(text: str) -> Iterator[tuple[int, int]]:
    """(n, where it stands) of each `[n]` that is a citation, as the filter that let it through tells them."""
    at = 0
    for mark in _MARKED.finditer(Citations(None).whole(text)):
        shown = f"[{mark[1] or mark[2]}]"
        start = text.find(shown, at)
        if start >= 0:
            at = start + len(shown)
            if mark[1]:
                yield int(mark[1]), start


def _url_citation(passage: Passage, start: int) -> dict[str, Any]:
    about = {
        "start_index": start,
        "end_index": start + len(f"[{passage.number}]"),
        "title": passage.title,
        "url": web_link(passage.link) or f"urn:tutelage:document:{quote(passage.document, safe='')}",
        "number": passage.number,
    }
    return {"type": "url_citation", "url_citation": about}


def web_link(link: str | None) -> str | None:
    """`link` where a browser may safely follow it: http or https, and nothing that runs."""
    if link is None:
        return None
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    return link if parts.scheme in ("http", "https") and parts.netloc and link.isprintable() else None
