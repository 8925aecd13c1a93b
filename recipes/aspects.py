"""What a seq2seq student writes, as one line of text, and that line read back: opinions, and tuples of terms or
categories and their polarity.

Each pair of functions is inverse but for white space, of which T5's tokenizer keeps a single space (no line breaks,
therefore). A `|` or `;` of the text itself stands twice: an escape of one's own, such as a backslash, would be <unk>
to T5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from recipes.rows import GRADES, POLARITIES, Aspect, AspectRow, Grade, Opinion, Polarity, UnderstandingRow
from recipes.seq2seq_student import Seq2seqStudent, Target

TupleTask = Literal["atsa", "acsa"]
Tuple = tuple[str, Polarity]
"""(term or category, polarity)."""

PREFIXES: dict[Target, str] = {
    "analysis": "analyse opinions: ",
    "rewrite": "rewrite feelings: ",
    "atsa": "find terms: ",
    "acsa": "find aspects: ",
}
NOTHING = "none"
"""Written for an empty list. No opinion and no tuple reads so: each has a bar or a polarity."""

_BAR, _STOP = (re.compile(rf"(?<!{mark}){mark}(?!{mark})") for mark in (r"\|", ";"))
"""A mark that stands alone parts fields or tuples; one that stands twice is the text's own."""


def prefix(student: Seq2seqStudent, target: Target) -> str:
    """What stands before the text for `target`."""
    return student.prefixes.get(target, PREFIXES[target])


def target_text(row: UnderstandingRow | AspectRow, target: Target) -> str | None:
    """What a student is to write for `row`; None where the row has no such part."""
    if isinstance(row, AspectRow):
        return write_tuples("atsa" if target == "atsa" else "acsa", row.aspects)
    if target == "analysis":
        return None if row.analysis is None else write_opinions(row.analysis)
    return None if row.rewrite is None else one_line(row.rewrite)


def one_line(text: str) -> str:
    """`text` with its white space collapsed, as T5's tokenizer reads it."""
    return " ".join(text.split())


def write_opinions(opinions: Sequence[Opinion]) -> str:
    """ "target | aspect | sentiment | reasoning ; ..." in the order given."""
    parts = ((told.target, told.aspect, told.sentiment, told.reasoning) for told in opinions)
    return " ; ".join(" | ".join(map(_doubled, fields)) for fields in parts) or NOTHING


def read_opinions(text: str) -> tuple[tuple[Opinion, ...], int]:
    """(opinions, how many pieces are none). A piece needs four fields, a target, an aspect and one of the grades."""
    found = [_opinion(piece) for piece in _pieces(text)]
    opinions = tuple(opinion for opinion in found if opinion is not None)
    return opinions, len(found) - len(opinions)


def _opinion(piece: str) -> Opinion | None:
    fields = [_single(field) for field in _BAR.split(piece)]
    if len(fields) != 4 or not fields[0] or not fields[1]:
        return None
    grade = grade_of(fields[2])
    if grade is None:
        return None
    return Opinion(target=fields[0], aspect=fields[1], sentiment=grade, reasoning=fields[3])


def grade_of(text: str) -> Grade | None:
    """The grade that `text` names, whatever its case; None where it names none."""
    said = one_line(text).lower()
    return next((grade for grade in GRADES if grade == said), None)


def tuples_of(task: TupleTask, aspects: Sequence[Aspect]) -> tuple[Tuple, ...]:
    """The gold tuples as they are written and scored: terms in the order of their place, each tuple once.

    Places are compared as numbers (as strings, 100 comes before 20). A term that stands twice with one polarity is one
    tuple: the metric counts (text, term, polarity), and a decoder that learns repeats falls into loops.
    """
    if task == "acsa":
        return tuple(dict.fromkeys((category_text(aspect.category or ""), aspect.polarity) for aspect in aspects))
    placed = sorted(aspects, key=lambda aspect: (aspect.start is None, aspect.start or 0, aspect.end or 0))
    return tuple(dict.fromkeys((one_line(aspect.target or ""), aspect.polarity) for aspect in placed))


def category_text(category: str) -> str:
    """A category in words: FOOD#QUALITY is "food quality"."""
    return one_line(category.replace("#", " ").lower())


def write_tuples(task: TupleTask, aspects: Sequence[Aspect]) -> str:
    """atsa "term | polarity ; ..." in the order of place, acsa "category polarity ; ..." in the order given."""
    between = " | " if task == "atsa" else " "
    return " ; ".join(_doubled(name) + between + polarity for name, polarity in tuples_of(task, aspects)) or NOTHING


def read_tuples(task: TupleTask, text: str) -> tuple[tuple[Tuple, ...], int]:
    """(tuples, how many pieces are none). A piece needs a term or category, and one of the four polarities.

    Repeats are kept. Whether a term stands in the sentence is for the one who has the sentence to see.
    """
    found = [_tuple(task, piece) for piece in _pieces(text)]
    tuples = tuple(pair for pair in found if pair is not None)
    return tuples, len(found) - len(tuples)


def _tuple(task: TupleTask, piece: str) -> Tuple | None:
    if task == "acsa":
        name, _, said = _single(piece).lower().rpartition(" ")
        fields = [name, said]
    else:
        fields = [_single(field) for field in _BAR.split(piece)]
    if len(fields) != 2 or not fields[0]:
        return None
    polarity = next((polarity for polarity in POLARITIES if polarity == fields[1].lower()), None)
    return None if polarity is None else (fields[0], polarity)


def _pieces(text: str) -> list[str]:
    """The parts of an answer; an empty answer is one part, which says nothing."""
    return [] if one_line(text).lower() == NOTHING else _STOP.split(text)


def _doubled(text: str) -> str:
    return one_line(text).replace("|", "||").replace(";", ";;")


def _single(field: str) -> str:
    return one_line(field.replace("||", "|").replace(";;", ";"))
