"""Reciprocal rank fusion, by hand."""

from __future__ import annotations

from pytest import approx

from rag.fusion import Fused, Hit, fuse


def hits(*names: str) -> list[Hit]:
    """Hits in order: "a2" is the second piece of document a."""
    return [Hit(name, name[0], 1.0 - place / 10) for place, name in enumerate(names)]


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    found = fuse([hits("a1", "b1", "c1"), hits("b2", "a3")])
    assert [(one.document, one.chunk) for one in found] == [("a", "a1"), ("b", "b2"), ("c", "c1")]
    assert found[0].score == approx(1 / 61 + 1 / 62)
    assert found[2].score == approx(1 / 63)


def test_ranks_count_documents_and_not_pieces() -> None:
    found = fuse([hits("a1", "a2", "a3", "b1")])
    assert found == [Fused("a", "a1", 1 / 61), Fused("b", "b1", 1 / 62)]


def test_a_document_is_shown_by_its_highest_piece() -> None:
    assert [one.chunk for one in fuse([hits("b1", "a1"), hits("a2")])] == ["a2", "b1"]


def test_nothing_found() -> None:
    assert fuse([[], []]) == []
