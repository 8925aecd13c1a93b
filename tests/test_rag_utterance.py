"""What a model says, as it comes, to pieces of an answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rag.speakers import Piece
from rag.utterance import Utterance


def uttered(texts: list[str], opened: bool = False, stop: tuple[str, ...] = ()) -> tuple[list[Piece], bool]:
    utterance = Utterance(opened, stop)
    pieces = [piece for text in texts for piece in utterance.add(text)]
    return [*pieces, *utterance.end()], utterance.stopped


@given(
    st.text(alphabet="ab\n", max_size=30),
    st.lists(st.integers(1, 4), max_size=30),
    st.sampled_from(["ab", "aab", "\n\n", "bab"]),
)
def test_what_is_said_ends_before_the_first_stop_string(text: str, sizes: list[int], stop: str) -> None:
    texts, rest = [], text
    for size in sizes:
        texts.append(rest[:size])
        rest = rest[size:]
    pieces, stopped = uttered(["x", *texts, rest], stop=(stop, "never"))
    assert "".join(piece.text for piece in pieces) == ("x" + text).partition(stop)[0]
    assert stopped == (stop in "x" + text)


def test_no_beginning_of_a_stop_string_is_said_too_early() -> None:
    utterance = Utterance(stop=("END", "\n\nQ:"))
    assert utterance.add("Yes E") == [Piece("Yes ")]
    assert utterance.add("N") == []
    assert utterance.add("\n\n") == [Piece("EN")]
    assert utterance.add("Q") == []
    assert utterance.end() == [Piece("\n\nQ")]
    assert not utterance.stopped


def test_stop_strings_are_not_looked_for_in_the_thought() -> None:
    pieces, stopped = uttered(["<think>Not\n\n", "yet</think>", "\n\nThe end", ".\n\nMore"], stop=("\n\n", ""))
    assert [piece for piece in pieces if piece.thought] == [Piece("Not", True), Piece("\n\nyet", True)]
    assert "".join(piece.text for piece in pieces if not piece.thought) == "The end."
    assert stopped
    assert uttered(["It is.</think> Yes"], opened=True)[0] == [Piece("It is.", True), Piece("Yes")]
