"""[n] in answers: every form is read, an invented one never comes out, and the pieces it came in do not show."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.citations import MOST_CHARS, Citations, find_citations, is_citation, without_citations
from rag.lexer import CITE, CITED, CODE, CODED


def plainly(text: str) -> str:
    return text.translate(str.maketrans({CITE: "[", CITED: "]", CODE: "[", CODED: "]"}))


def checked(text: str, numbers: tuple[int, ...] = (1, 2, 3)) -> str:
    return plainly(Citations(numbers).whole(text))


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        ("It boils [1].", (1,)),
        ("It boils [ 2 ].", (2,)),
        ("It boils [1, 3].", (1, 3)),
        ("It boils [1,3;2].", (1, 3, 2)),
        ("It boils [1 and 2].", (1, 2)),
        ("It boils [1, 2, and 3].", (1, 2, 3)),
        ("It boils [1][2].", (1, 2)),
        ("It boils [1-3].", (1, 2, 3)),
        ("It boils [1–2].", (1, 2)),
        ("It boils [1 to 3].", (1, 2, 3)),
        ("It boils [[1]].", (1,)),
        ("It boils [^2].", (2,)),
        ("It boils [#1].", (1,)),
        ("It boils [passage 1, passage 3].", (1, 3)),
        ("It boils [Sources 1-2].", (1, 2)),
        ("It boils 【1】.", (1,)),
        ("It boils 【1†source】.", (1,)),
        ("It boils [2†L1-L9].", (2,)),
        ("It boils ［２］.", (2,)),
        ("It boils [１，３].", (1, 3)),
        ("It boils [٣].", (3,)),
        ("It boils [²].", (2,)),
        ("It boils.", ()),
        ("It boils [1.5] [12 cm] [a1] [-1] [1:2] [x] [].", ()),
        ("`a[1]` and `f(x)[0][1]` and\n```\nb[2]\n```\n", ()),
        ("`[1]` and ``x`` [2]", (1, 2)),
    ],
)
def test_forms(written: str, numbers: tuple[int, ...]) -> None:
    assert find_citations(written) == numbers
    bare = "It boils" + "".join(f" [{number}]"[bool(place) :] for place, number in enumerate(numbers)) + "."
    if written.startswith("It boils") and numbers:
        assert checked(written) == bare


@pytest.mark.parametrize(
    ("written", "left", "invented"),
    [
        ("It boils [9].", "It boils.", 1),
        ("It boils [9] quickly.", "It boils quickly.", 1),
        ("It boils[9] and [1].", "It boils and [1].", 1),
        ("It boils[9]well", "It boils well", 1),
        ("It boils [1, 9].", "It boils [1].", 1),
        ("It boils [9][8] [7].", "It boils.", 3),
        ("It boils [2-5].", "It boils [2][3].", 1),
        ("It boils [4-900000000000].", "It boils.", 1),
        ("It boils [0].", "It boils.", 1),
        ("It boils 【8】, [^7] and ［９］.", "It boils, and.", 3),
        ("`a[9]` `[9]` x[9]", "`a[9]` `` x", 2),
        ("```py\na[9]\n[9]\n```\nb[9]", "```py\na[9]\n\n```\nb", 2),
        ("`[1][9]`", "`[1]`", 1),
        ("an open `tick and b[9]", "an open `tick and b", 1),
        ("```no fence``` b[9]", "```no fence``` b", 1),
    ],
)
def test_what_is_invented_is_taken_out_and_counted(written: str, left: str, invented: int) -> None:
    reader = Citations((1, 2, 3))
    assert plainly(reader.whole(written)) == left
    assert reader.invented == invented


def test_a_group_without_end_is_bounded() -> None:
    reader = Citations((1,))
    said = reader.feed("[" + "1, " * 1000)
    assert said.startswith("(") and len(said) > 2000  # no bracket that a later `]` could close
    assert len(reader.close()) <= MOST_CHARS


def test_earlier_answers_lose_their_citations() -> None:
    assert without_citations("It boils [1], as `a[1]` does [2, 3].") == "It boils, as `a[1]` does."
    assert is_citation("[1, 3]") and not is_citation("[1, 3] ")


PARTS = st.lists(
    st.sampled_from(
        ["[", "]", "[1]", "[9]", "1", "9", ", ", "-", " and ", "passage ", "【", "】", "†s", "`", "```", "~~~", "\n",
         " ", "   ", "a", "x", ".", "(", "^", "²", "[1, 9]", "a[9]", "[1-9]", "to", "é"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(PARTS, st.data())
def test_pieces_do_not_show(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    at_once, by_letters, in_pieces = (Citations((1, 2)) for _ in range(3))
    whole = at_once.whole(text)
    assert "".join(map(by_letters.feed, text)) + by_letters.close() == whole
    parts = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert "".join(map(in_pieces.feed, parts)) + in_pieces.close() == whole
    assert (at_once.cited, at_once.invented) == (by_letters.cited, by_letters.invented)
    checked_numbers = [int(number) for number in re.findall(f"{CITE}(\\d+){CITED}", whole)]
    assert list(dict.fromkeys(checked_numbers)) == list(at_once.cited)
    assert not set(at_once.cited) - {1, 2}
