"""One answer of the assistant and what can be told of it: its citations, what they bear, and what is made up. Pure.

Words and figures are compared, not meanings: a paraphrase without a word of its passage counts as not borne.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rag.answers import Done, unsupported
from rag.citations import find_citations, without_citations
from rag.passages import Passage
from rag.sentences import sentences, telling_words
from recipes.queries import Query
from recipes.rows import Row

WITH, WITHOUT = "with retrieval", "without retrieval"
SHARED = 0.5
"""Share of a sentence's telling words that its passage must have to bear it."""


class Answered(Row):
    """A question and its answer: a line of retrieval/answers.jsonl.

    mode: with or without retrieval. failed: why there is no answer, or empty. abstained: it says that the catalogue
    has none. silent: a model was asked and wrote nothing of use, and passages were quoted in its place. cites: it cites
    a passage. sentences: those that tell something; cited_sentences: those with a citation. citations: of such
    sentences, each passage once; borne: those whose passage bears the sentence. ungrounded, ungrounded_cited: sentences
    with a figure or name that is not in the passages found, in those cited. right_source: whether it cites a document
    that answers; None where none does, and without retrieval. invented, stripped: citations and links taken out.
    """

    mode: str
    query: str
    answerable: bool
    failed: str = ""
    response: str = ""
    abstained: bool = False
    silent: bool = False
    cites: bool = False
    sentences: int = 0
    cited_sentences: int = 0
    citations: int = 0
    borne: int = 0
    ungrounded: tuple[str, ...] = ()
    ungrounded_cited: tuple[str, ...] = ()
    right_source: bool | None = None
    invented: int = 0
    stripped: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    @property
    def given(self) -> bool:
        """Whether it is an answer and no refusal."""
        return not self.failed and not self.abstained


def read_answer(query: Query, mode: str, done: Done, passages: Sequence[Passage], seconds: float) -> Answered:
    """What can be told of an answer. passages: those found for the question; without retrieval none could be cited."""
    numbered = {passage.number: passage for passage in passages} if mode == WITH else {}
    parts = _sentences(done.response)
    cited = [(part, number) for part in parts for number in find_citations(part) if number in numbered]
    used = [numbered[number] for number in done.citations if number in numbered]
    useful = {document for document, grade in query.relevant.items() if grade > 0}
    right = any(passage.document in useful for passage in used) and not done.abstained
    return Answered(
        mode=mode,
        query=query.query,
        answerable=query.answerable,
        response=done.response,
        abstained=done.abstained,
        silent=done.quoted,
        cites=bool(used),
        sentences=len(parts),
        cited_sentences=len({part for part, _ in cited}),
        citations=len(cited),
        borne=sum(bears(part, numbered[number], query.query) for part, number in cited),
        ungrounded=unsupported(done.response, passages, query.query),
        ungrounded_cited=unsupported(done.response, used, query.query) if used else (),
        right_source=right if query.answerable and mode == WITH else None,
        invented=done.invented,
        stripped=done.stripped,
        prompt_tokens=done.ending.prompt_tokens,
        completion_tokens=done.ending.completion_tokens,
        seconds=round(seconds, 4),
    )


def _sentences(response: str) -> list[str]:
    """The sentences that tell something, each with the citations that follow it."""
    found: list[str] = []
    for part in sentences(response):
        if telling_words(without_citations(part)):
            found.append(part)
        elif found and find_citations(part):
            found[-1] += f" {part}"
    return found


def bears(sentence: str, passage: Passage, question: str) -> bool:
    """Whether a passage bears a sentence: it has half of the words that tell something and, unless the question has
    them, every number, name, code and quotation.
    """
    words = telling_words(without_citations(sentence))
    known = set(telling_words(_text(passage.title, passage.text, passage.metadata)))
    return sum(word in known for word in words) >= SHARED * len(words) and not unsupported(
        sentence, [passage], question
    )


def _text(title: str, text: str, metadata: Mapping[str, object]) -> str:
    return "\n".join([title, text, *(f"{name} {value}" for name, value in metadata.items())])
