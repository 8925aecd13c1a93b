"""What a client may ask of the assistant, and what an answer comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rag.citations import without_citations
from rag.passages import Found, Passage, held
from rag.prompting import CHARS_PER_TOKEN
from rag.sentences import sentences
from rag.speakers import Ending
from rag.utterance import Utterance
from recipes.rows import Turn
from synth.grounding import ungrounded

if TYPE_CHECKING:
    from rag.where import Where


@dataclass(frozen=True, slots=True)
class Options:
    """What a client may ask for; None: the recipe's own."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    where: Where | None = None
    top_k: int | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """The passages that the answer is given, and the question that was searched for."""

    found: Found
    question: str


@dataclass(frozen=True, slots=True)
class Done:
    """What an answer comes to.

    citations: numbers of Sources that it cites. invented: citations taken out; stripped: links, images and markup taken
    out. abstained: it says that the catalogue has no answer. response: all of it. prompt: what the model was shown, or
    would have been. ungrounded: sentences with a figure, name or quotation that no passage has. quoted: a model was
    asked and wrote no answer, so that sentences of the passages stand for it.
    """

    ending: Ending
    citations: tuple[int, ...]
    invented: int
    stripped: int
    abstained: bool
    response: str
    prompt: tuple[Turn, ...] = ()
    ungrounded: tuple[str, ...] = ()
    quoted: bool = False


def as_asked(text: str, options: Options) -> tuple[str, Literal["stop", "length"]]:
    """A text that no model wrote, ended where a model's would have been: before a stop string, and at the tokens that
    were asked for.
    """
    utterance = Utterance(stop=options.stop)
    said = "".join(piece.text for piece in [*utterance.add(text), *utterance.end()])
    most = CHARS_PER_TOKEN * (options.max_tokens or len(said))
    return said[:most], "length" if len(said) > most else "stop"


def unsupported(response: str, passages: Sequence[Passage], question: str) -> tuple[str, ...]:
    """The sentences of a response with a figure, a name or a quotation that neither passages nor question have."""
    said, shown = without_citations(response), [text for one in passages for text in (one.title, one.text)]
    pieces = ungrounded(said, [*shown, question], [text for one in passages for text in held(one).values()])
    return tuple(sentence for sentence in sentences(said) if any(piece in sentence for piece in pieces))
