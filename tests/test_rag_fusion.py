"""Scores of two searches joined, by hand."""

from __future__ import annotations

from pytest import approx

from rag.fusion import MEANING, Fused, Hit, fuse, others


def hits(**scores: float) -> list[Hit]:
    """Hits in order: a2 is the second piece of document a."""
    return [Hit(name, name[0], score) for name, score in scores.items()]


def test_scores_are_shares_of_what_they_could_be() -> None:
    found = fuse(hits(a1=0.8, b1=0.5, c1=0.2), hits(b2=6.0, a3=3.0), most=12.0)
    assert [(one.document, one.chunk) for one in found] == [("a", "a1"), ("b", "b2"), ("c", "c1")]
    assert found[0].score == approx(MEANING * 0.8 + (1 - MEANING) * 0.25)
    assert found[1].score == approx(MEANING * 0.5 + (1 - MEANING) * 0.5)
    assert found[2].score == approx(MEANING * 0.2)


def test_words_found_in_part_do_not_outweigh_the_meaning() -> None:
    dense, lexical = hits(a1=0.6, b1=0.3), hits(b1=2.0, c1=1.9)
    assert fuse(dense, lexical, most=20.0)[0].document == "a"
    assert fuse(dense, lexical, most=2.0)[0].document == "b", "all of its words are there"


def test_what_only_the_words_find_is_as_near_as_the_last_of_the_others() -> None:
    found = {one.document: one.score for one in fuse(hits(a1=0.6, b1=0.3), hits(z1=5.0), most=10.0)}
    assert found["z"] == approx(MEANING * 0.3 + (1 - MEANING) * 0.5)


def test_a_document_counts_once_by_its_best_piece() -> None:
    found = fuse(hits(a1=0.9, a2=0.8, b1=0.5), hits(b3=4.0, b2=2.0), most=4.0)
    assert [one.document for one in found] == ["b", "a"]
    assert found[0] == Fused("b", "b3", approx(MEANING * 0.5 + (1 - MEANING)))


def test_a_tie_goes_to_the_nearer() -> None:
    assert [one.document for one in fuse(hits(b1=0.5, a1=0.5), [], most=1.0)] == ["b", "a"]


def test_one_list_or_none() -> None:
    assert fuse([], [], most=0.0) == []
    assert [one.document for one in fuse(hits(a1=0.5), [], most=0.0)] == ["a"]
    assert [one.document for one in fuse([], hits(a1=2.0, b1=1.0), most=4.0)] == ["a", "b"]


def test_further_pieces_come_best_first_each_by_its_own_scores() -> None:
    dense, lexical = hits(a1=0.9, a2=0.8, b1=0.5), hits(b3=4.0, a2=2.0)
    ranked = fuse(dense, lexical, most=4.0)
    assert [one.chunk for one in ranked] == ["a1", "b3"]
    assert others(dense, lexical, 4.0, ranked) == [
        Fused("a", "a2", approx(MEANING * 0.8 + (1 - MEANING) * 0.5)), Fused("b", "b1", approx(MEANING * 0.5)),
    ]  # fmt: skip
    assert others([], [], 0.0, []) == []
