"""The probability a teacher gave each label, read from the alternatives of the token where the label begins."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from recipes.chat import Reply

if TYPE_CHECKING:
    from recipes.prompts import AnswerFormat

_OPENING = " \t\r\n\"'`*_:"
_CLOSING = " \t\r\n\"'`*_.,;:!}"


def label_probabilities(reply: Reply, answer: AnswerFormat, labels: Sequence[str]) -> tuple[float, ...] | None:
    """Probability per label, in the order of `labels`, normalised over them; None where no alternative is one.

    A token need not hold a whole label: an alternative counts for each label that it may begin, in equal parts where
    they are several; the one that was generated is followed to the token that decides.
    """
    tokens = reply.logprobs or ()
    start = _label_start("".join(token.token for token in tokens), answer)
    mass = [0.0] * len(labels)
    share, written, end = 1.0, "", 0
    for token in tokens:
        begin, end = end, end + len(token.token)
        if end <= start:
            continue
        head = token.token[: max(0, start - begin)]
        chosen = written + token.token[len(head) :]
        undecided = len(_fitting(chosen, labels)) > 1
        followed = 0.0
        for text, logprob in token.top:
            probability = share * math.exp(min(0.0, logprob))
            spelled = written + (_bare(text, head) if not written else text)
            if undecided and spelled == chosen:
                followed += probability  # the next token tells which
                continue
            _spread(mass, probability, _fitting(spelled, labels))
        if not undecided:
            break
        share, written = followed, chosen
    else:
        exact = [place for place, label in enumerate(labels) if label.casefold() == written.casefold()]
        _spread(mass, share, exact or _fitting(written, labels))
    total = sum(mass)
    return tuple(value / total for value in mass) if total > 0 else None


def _label_start(text: str, answer: AnswerFormat) -> int:
    """Offset of the label's first character in a reply."""
    start = text.rfind("</think>") + len("</think>") if "</think>" in text else 0
    if answer.kind == "json":
        found = list(re.finditer(rf"[\"']{re.escape(answer.label)}[\"']\s*:", text[start:], re.IGNORECASE))
        start += found[-1].end() if found else 0
    else:
        named = re.match(
            r"[\s*_\"'`]*(?:final )?(?:label|sentiment|answer)[\s*_\"'`]*[:=]", text[start:], re.IGNORECASE
        )
        start += named.end() if named else 0
    return start + len(text[start:]) - len(text[start:].lstrip(_OPENING))


def _bare(text: str, head: str) -> str:
    """An alternative without what stands before the label in the same token."""
    return text[len(head) :] if head and text.startswith(head) else text.lstrip(_OPENING)


def _fitting(spelled: str, labels: Sequence[str]) -> list[int]:
    """Places of the labels that `spelled` may be the beginning of, or is, with its closing quote or comma."""
    low = spelled.casefold()
    if not low:
        return []
    folded = [label.casefold() for label in labels]
    return [
        place
        for place, label in enumerate(folded)
        if label.startswith(low) or (low.startswith(label) and not low[len(label) :].strip(_CLOSING))
    ]


def _spread(mass: list[float], probability: float, places: list[int]) -> None:
    for place in places:
        mass[place] += probability / len(places)
