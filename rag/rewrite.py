"""A question that refers back ("and how much does it weigh?") -> one that can be searched for by itself.

Whether it does is told by its words (English ones). Then the model may write it anew, but only from words of the
conversation: what it adds of its own is not searched for. Without a model, or where it wrote something else, the words
that the conversation is about are put behind the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import dropwhile, islice

from rag.qualities import asked_qualities
from rag.sanitise import escaped, visible
from rag.sentences import telling_words
from recipes.rows import Turn

MOST_TOKENS = 200
"""Of a rewritten question, a thought before it included."""
_MOST_CHARS = 300
_MOST_WORDS, _MOST_NAMES = 8, 4
_OWN_WORDS = 0.7
"""Share of a rewritten question's words that the conversation must have."""

_REFERS = re.compile(
    r"\b(?:it|its|it['’]s|these|those|they|them|their|theirs|he|she|him|her|former|latter|another|both|either|neither|"
    r"instead|ones|others|likewise)\b|"
    r"\b(?:this|that)(?: one)?(?=\s*[?.!,]|\s*$|\s+(?:is|was|has|does|can|will|come|cost|work|fit|last|one)\b)|"
    r"\b(?:of|about|for|with|than|like|to|from|between|is|does|has|can|was|will|have|get|buy|order|want) "
    r"(?:this|that)\b|"
    r"\b(?:the|any|every|each|another|a) (?:\w+ )?one\b|\bone(?=\s*[?.!]|\s*$)|"
    r"\bthe (?:other|same)\b|\bthe (?:first|second|third|fourth|last|\w+(?:er|est))(?=\s*[?.!,]|\s*$)",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\s*(?:and|but|or|also|then|so|what about|how about|what of|which of|any (?:other|more|in)|anything else|more|"
    r"why)\b",
    re.IGNORECASE,
)
_ASPECT = re.compile(
    r"\W*(?:(?:what|which|is|are|how|in|the|a|any|does|do|there|about|much|many|what['’]s)\W+)*(?:price|cost|costs|size|sizes|"
    r"colou?rs?|weight|warranty|brand|material|dimensions?|capacity|delivery|stock|available|cheaper|bigger|smaller|larger|"
    r"lighter|heavier|better|heavy|big|long|tall|wide|large|much|many|old|expensive|made of)"
    r"(?:\W+(?:is|are|does|do|there|have))*\W*",
    re.IGNORECASE,
)
"""Nothing but what is asked of a thing, and no thing."""
_NAME = re.compile(r"\b[A-Z][\w-]*(?: [A-Z\d][\w-]*)*|\b(?=[\w-]{0,30}\d)(?=[\w-]{0,30}[A-Za-z])[\w-]{2,40}")
_LIKEWISE = re.compile(
    r"\s*(?:(?:and |or )?(?:what|how) about|(?:and|or)(?: for| of)?(?= (?:the|a|an|your|this|that)\b))(?: \S+){1,6}\s*",
    re.IGNORECASE,
)
"""Another thing of which the same is asked: `and the red one?`"""
_QUOTES = "\"'“”‘’`*_ "
_LABEL = re.compile(r"^(?:rewritten |standalone |last )?(?:question|query)\s*:\s*", re.IGNORECASE)


def refers_back(question: str, history: Sequence[Turn]) -> bool:
    """Whether a question can be understood only after what was said before it."""
    if not any(turn.role == "user" for turn in history):
        return False
    patterns = _REFERS.search(question), _GOES_ON.match(question), _ASPECT.fullmatch(question)
    return any(patterns) or not telling_words(question)


def rewriting(question: str, history: Sequence[Turn]) -> tuple[Turn, ...]:
    """What a model is asked, to write the question anew."""
    who = {"user": "Customer", "assistant": "Assistant"}
    said = "\n".join(f"{who[turn.role]}: {' '.join(turn.content.split())[:1000]}" for turn in history)
    asked = (
        f"A conversation:\n{said}\n\nThe customer goes on: {escaped(question)}\n\nWrite what the customer asks now as "
        "one question that can be understood without the conversation: put the names in place of words like it or "
        "that one. Add nothing else. Write the question alone."
    )
    return (Turn(role="user", content=asked),)


def read_rewritten(reply: str, question: str, history: Sequence[Turn]) -> str | None:
    """The question in a model's reply; None where that is none, or has words of its own."""
    lines = [_LABEL.sub("", line.strip(_QUOTES)).strip(_QUOTES) for line in visible(reply).splitlines()]
    written = next(filter(None, lines), "")
    words = telling_words(written)
    if not words or len(written) > _MOST_CHARS:
        return None
    asked = set(telling_words(question))
    known = asked | {word for turn in history for word in telling_words(turn.content)}
    if sum(word in known for word in words) < _OWN_WORDS * len(words) or 2 * len(asked & {*words}) < len(asked):
        return None
    return written


def joined(question: str, history: Sequence[Turn]) -> str:
    """The question with the words behind it that the last questions and the last answer are about. What was asked of
    it is left out, but for a question that asks nothing itself.
    """
    asked = set(telling_words(question))
    likewise = _LIKEWISE.fullmatch(question) and not asked_qualities(question)
    if likewise and any(_names(question)) and (same := _last_asked(history)):
        return f"{question} ({same})"
    about: dict[str, None] = {}
    for earlier in [turn.content for turn in reversed(history) if turn.role == "user"][:3]:
        words = set(telling_words(earlier))
        kept = earlier if likewise else _without_qualities(earlier)
        about |= {word: None for word in telling_words(kept) if word not in asked}
        if about and len((about.keys() | words) - asked) >= 2:
            break
    answer = next((turn.content for turn in reversed(history) if turn.role == "assistant"), "")
    said = asked | about.keys()
    names = (name for name in _names(answer) if not said.issuperset(telling_words(name)))
    behind = [*islice(about, _MOST_WORDS), *islice(names, _MOST_NAMES)]
    return f"{question} ({' '.join(behind)})" if behind else question


def _last_asked(history: Sequence[Turn]) -> str:
    """How a price, a colour or the like was asked for last, without the thing; empty where none was."""
    for earlier in [turn.content for turn in reversed(history) if turn.role == "user"][:3]:
        found = [words[0] for one in asked_qualities(earlier) for words in one.asked.finditer(earlier)]
        if found:
            return " ".join(" ".join([*words.split()[:2], *words.split()[2:][-1:]]) for words in found[:_MOST_NAMES])
        if not _LIKEWISE.fullmatch(earlier):
            break  # something else was asked since
    return ""


def _without_qualities(question: str) -> str:
    """A question without the words that ask for a price, a colour or the like; of `how much can the table hold`, the
    table stays.
    """
    for quality in asked_qualities(question):
        question = quality.asked.sub(lambda found: f" {' '.join(found[0].split()[2:-1])} ", question)
    return question


def _names(text: str) -> Iterator[str]:
    """What looks like a name, each once: capitalised words and model codes; not a single word that only begins a
    sentence.
    """
    told = set()
    for match in _NAME.finditer(text):
        begins = text[max(0, match.start() - 9) : match.start()].rstrip(" \"'“*")[-1:] in ("", *".!?:\n")
        name = list(dropwhile(lambda word: not telling_words(word), match[0].split(" ")))
        shown = " ".join(name)
        if shown not in told and name and (len(name) > 1 or not begins or any(map(str.isdigit, shown))):
            told.add(shown)
            yield shown
