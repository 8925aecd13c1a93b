"""Words, repetition, ROUGE-L and chrF, by hand and against the packages' own figures."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.overlap import chrf, corpus_chrf, rouge_l
from eval.words import repeated_share, words

PLAIN = st.text(st.sampled_from("abc 12,.-"), max_size=30)


def test_words_of_any_script() -> None:
    assert words("Don't stop: 3.5-inch STRASSE_ß") == ["don", "t", "stop", "3", "5", "inch", "strasse", "ss"]
    assert words("Été, café") == ["été", "café"]
    assert words("这是 USB 线") == ["这", "是", "usb", "线"]
    assert words("한국어 텍스트") == ["한국어", "텍스트"]
    assert words(" ... ") == []


def test_repetition_by_hand() -> None:
    assert repeated_share("one two three four five") == 0.0
    # a b c d a b c d: five 4-grams abcd bcda cdab dabc abcd, one of them for the second time
    assert repeated_share("a b c d a b c d") == pytest.approx(1 / 5)
    assert repeated_share("no no no no no no") == pytest.approx(2 / 3)
    assert repeated_share("") == repeated_share("too short a") == 0.0
    assert repeated_share("word " * 200) == pytest.approx(196 / 197)


def test_rouge_l_by_hand() -> None:
    # LCS "the cat on the mat" has 5 of 6 reference words and 5 of 5 answer words: F1 = 2 * 5 / 11
    found = rouge_l(["the cat on the mat", "a dog", "", "Été café"], ["the cat sat on the mat", "the cat", "x", "été"])
    assert found.tolist() == pytest.approx([10 / 11, 0.0, 0.0, 2 / 3])


def test_chrf_by_hand() -> None:
    # "ab" against "abc": unigrams P 2/2 R 2/3, bigrams P 1/1 R 1/2, the reference alone has a trigram; means over the
    # two orders that both have: P = 1, R = 7/12, F2 = 5 P R / (4 P + R) = 5 * 7/12 / (4 + 7/12) = 35/55
    assert chrf(["ab", "same text", ""], ["abc", "same text", "abc"]).tolist() == pytest.approx([35 / 55, 1.0, 0.0])


def test_corpus_chrf_is_no_mean_of_rows() -> None:
    answers, references = ["a", "bcdefgh"], ["b", "bcdefgh"]
    assert corpus_chrf(answers[1:], references[1:]) == pytest.approx(1.0)
    assert 0.5 < corpus_chrf(answers, references) < 1.0
    assert chrf(answers, references).mean() == pytest.approx(0.5)


@given(st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_plain_english_scores_as_the_package_does(pairs: list[tuple[str, str]]) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    answers, references = zip(*pairs, strict=True)
    theirs = RougeScorer(["rougeL"])
    expected = [theirs.score(reference, answer)["rougeL"].fmeasure for answer, reference in pairs]
    assert rouge_l(answers, references).tolist() == expected
    assert all(0 <= one <= 1 + 1e-12 for one in chrf(answers, references))
    assert 0 <= corpus_chrf(answers, references) <= 1 + 1e-12
