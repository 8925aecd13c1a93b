"""How documents are cut."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rag.chunks import cut_document, searched, windows
from rag.documents import Document

TEXTS = st.text(st.sampled_from("ab .!?\n"), max_size=400)


def spans(text: str) -> list[tuple[int, int]]:
    """Two letters a token at most, so that words are cut too."""
    return [found.span() for found in re.finditer(r"\w{1,2}|[^\w\s]", text)]


def a_document(title: str, body: str) -> Document:
    return Document("d", title, {"title": title, "description": body}, {})


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(4, 40), st.integers(0, 20))
def test_every_letter_is_in_some_piece_and_none_is_too_long(text: str, tokens: int, overlap: int) -> None:
    found = spans(text)
    covered: set[int] = set()
    last = -1
    for begin, end in windows(text, found, tokens, min(overlap, tokens // 2)):
        assert len([one for one in found if one[0] >= begin and one[1] <= end]) <= tokens
        assert begin > last or begin == end == 0
        assert text[begin:end] == text[begin:end].strip()
        last = begin
        covered |= set(range(begin, end))
    assert covered >= {place for place, letter in enumerate(text) if not letter.isspace()}


def test_a_cut_falls_behind_a_sentence() -> None:
    text = "One two three four five six. Seven eight nine ten eleven twelve thirteen fourteen."
    pieces = [text[begin:end] for begin, end in windows(text, spans(text), 20, 0)]
    assert pieces[0] == "One two three four five six."


def test_neighbours_share_words() -> None:
    text = " ".join(f"w{n}" for n in range(40))
    pieces = [text[begin:end].split() for begin, end in windows(text, spans(text), 10, 4)]
    assert all(set(one) & set(two) for one, two in pairwise(pieces))


def test_the_title_is_searched_with_each_piece_but_is_not_its_text() -> None:
    document = a_document("Blue lamp", " ".join(f"word{n}" for n in range(100)))
    chunks = cut_document(document, "s", 40, 4, spans)
    assert len(chunks) > 1
    assert all("Blue lamp" not in chunk.text for chunk in chunks)
    assert all(len(spans(searched("Blue lamp", chunk.text))) <= 40 for chunk in chunks)
    assert [chunk.place for chunk in chunks] == list(range(len(chunks)))


def test_a_title_alone_is_a_piece() -> None:
    (chunk,) = cut_document(a_document("Blue lamp", ""), "s", 40, 4, spans)
    assert chunk.text == searched("Blue lamp", chunk.text) == "Blue lamp"


def test_of_a_long_title_nothing_is_lost() -> None:
    title = " ".join(f"t{n}" for n in range(60))
    chunks = cut_document(a_document(title, "The end."), "s", 20, 2, spans)
    assert {*title.split(), "end."} <= {word for chunk in chunks for word in chunk.text.split()}


def test_the_same_text_has_the_same_ids_and_other_text_or_settings_others() -> None:
    one = a_document("Lamp", "red")
    ids = {cut_document(document, how, 20, 2, spans)[0].id for document, how in (
        (one, "s"), (a_document("Lamp", "red"), "s"), (a_document("Lamp", "blue"), "s"), (one, "t"),
    )}  # fmt: skip
    assert len(ids) == 3


def test_a_price_changes_the_document_but_not_its_vectors() -> None:
    cheap = Document("d", "Lamp", {"title": "Lamp"}, {"price": 1})
    dear = Document("d", "Lamp", {"title": "Lamp"}, {"price": 2})
    assert cheap.digest("s") != dear.digest("s")
    assert cheap.text_digest("s") == dear.text_digest("s")


def bytes_of(text: str) -> list[tuple[int, int]]:
    """A token for each byte, as byte-level tokenizers have them: all those of a letter are in its place."""
    return [(at, at + 1) for at, letter in enumerate(text) if letter != " " for _ in letter.encode()]


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("a \U0001f600é."), max_size=60), st.integers(2, 20), st.integers(0, 10))
def test_letters_of_several_tokens_are_not_cut_and_none_is_lost(text: str, tokens: int, overlap: int) -> None:
    covered: set[int] = set()
    last = -1
    for begin, end in windows(text, bytes_of(text), tokens, min(overlap, tokens // 2)):
        assert len(bytes_of(text[begin:end])) <= max(tokens, 4)
        assert begin > last or begin == end
        last = begin
        covered |= set(range(begin, end))
    assert covered >= {place for place, letter in enumerate(text) if letter != " "}


def test_a_text_that_ends_with_letters_of_several_tokens_is_cut() -> None:
    face = "\U0001f600"
    chunks = cut_document(a_document(face, face * 9), "s", 14, 4, bytes_of)
    assert [len(chunk.text) for chunk in chunks] == [2, 2, 2, 2, 1]
