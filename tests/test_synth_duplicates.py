"""Near duplicates: what counts as near, and that a group never spans two sides of a split."""

from __future__ import annotations

import sqlite3
from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recipes.source import Source
from synth import duplicates
from synth import examples as examples_module
from synth.content import Content
from synth.duplicates import SKETCH, bucket_hashes, near_groups, similarity, sketch
from synth.examples import Examples
from synth.sources import SourceRow


def jaccard(first, second):
    grams = [
        {tuple(text.split()[at : at + 3]) for at in range(max(1, len(text.split()) - 2))} for text in (first, second)
    ]
    return len(grams[0] & grams[1]) / len(grams[0] | grams[1])


def near(first, second):
    return similarity(sketch(first), sketch(second))


def test_case_links_mentions_and_punctuation_do_not_count():
    assert near("So SAD!!", "so sad") == 1
    assert near("@bob look at http://t.co/x: it's great", "Look at its great @alice www.x.org") == 1
    assert near("so sad", "so glad") == 0
    assert near(":)", ":(") == 0
    assert near("😀", "😀") == 1


def test_similarity_is_jaccard_of_word_trigrams():
    first = " ".join(f"w{n}" for n in range(20))
    second = first.replace("w19", "other")
    assert near(first, second) == jaccard(first, second) == 17 / 19


def test_similarity_of_long_texts_is_an_estimate():
    first = [f"w{n}" for n in range(2_000)]
    second = first[:1_800] + [f"x{n}" for n in range(200)]
    exact = jaccard(" ".join(first), " ".join(second))
    assert len(sketch(" ".join(first))) == SKETCH
    assert abs(near(" ".join(first), " ".join(second)) - exact) < 0.1


_WORDS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=14).map(" ".join)


@given(st.lists(_WORDS, min_size=2, max_size=12, unique=True), st.sampled_from([0.5, 0.8, 1.0]))
@settings(max_examples=150, deadline=None)
def test_every_near_pair_shares_a_bucket_and_a_group(texts, threshold):
    groups = near_groups(((text, text) for text in texts), threshold, sqlite3.connect(""))
    for first, second in combinations(texts, 2):
        if near(first, second) >= threshold:
            assert set(bucket_hashes(sketch(first), threshold)) & set(bucket_hashes(sketch(second), threshold))
            assert groups[first] == groups[second]
    for name, group in groups.items():
        assert group == min(other for other in groups if groups[other] == group)
        assert any(near(name, other) >= threshold for other in groups if other != name)


def test_groups_do_not_depend_on_the_order():
    texts = [f"{start} the quick brown fox jumps over the lazy dog {end}" for start in "abc" for end in "xyz"]
    texts += [f"an unrelated remark number {n}" for n in range(5)]
    found = [near_groups(((t, t) for t in order), 0.6, sqlite3.connect("")) for order in (texts, texts[::-1])]
    assert found[0] == found[1]
    assert len(set(found[0].values())) == 1


def test_what_everybody_says_brings_nobody_together(monkeypatch):
    """Else 400 texts with a phrase in common cost 40,000 comparisons, and 2,000,000 reviews a day."""
    calls = 0

    def counted(first, second):
        nonlocal calls
        calls += 1
        return similarity(first, second)

    monkeypatch.setattr(duplicates, "similarity", counted)
    said = "i will be back the food was great and the staff is friendly"
    texts = [f"{said} " + " ".join(f"{word}{number}" for word in "abcdefghijkl") for number in range(400)]
    texts += [f"{texts[0]} indeed", f"{texts[399]} indeed"]
    groups = near_groups(((text, text) for text in texts), 0.8, sqlite3.connect(""))
    assert {frozenset(text for text in groups if groups[text] == group) for group in groups.values()} == {
        frozenset((texts[0], texts[400])),
        frozenset((texts[399], texts[401])),
    }
    assert calls <= 4


def divided(texts, test_texts=(), **source):
    settings_ = {"path": "x", "text": "text", "test": 3, "validation": 0.3, **source}
    with Examples(Source(**settings_)) as examples:
        for side, rows in (("test", test_texts), ("pool", texts)):
            examples.add(
                side, (SourceRow(n, f"{side}{n}", Content({"text": text}), None) for n, text in enumerate(rows, 1))
            )
        examples.divide()
        return list(examples.stream()), list(examples.rejects())


@given(st.lists(_WORDS, min_size=8, max_size=25))
@settings(max_examples=60, deadline=None)
def test_near_duplicates_are_never_on_two_sides(texts):
    texts += [f"filler sentence number {n} of its own" for n in range(8)]
    examples, rejects = divided(texts)
    assert len(examples) + len(rejects) == len(texts)
    for first, second in combinations(examples, 2):
        if near(first.fields["text"], second.fields["text"]) >= 0.8:
            assert (first.split, first.group) == (second.split, second.group)


@given(st.lists(_WORDS, min_size=3, max_size=15), st.lists(_WORDS, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_train_rows_near_a_given_test_row_are_dropped(texts, test_texts):
    texts += [f"filler sentence number {n} of its own" for n in range(8)]
    examples, rejects = divided(texts, test_texts, test=None)
    tested = [example for example in examples if example.split == "test"]
    trained = [example for example in examples if example.split != "test"]
    assert {example.fields["text"] for example in tested} == set(test_texts)
    assert len(trained) + len(tested) + len(rejects) == len(texts) + len(test_texts)
    for one in trained:
        assert all(near(one.fields["text"], other.fields["text"]) < 0.8 for other in tested)
    assert {reject.reason for reject in rejects} <= {"duplicate", "near_duplicate_of_test"}


def test_a_group_that_fits_nowhere_is_trained_on_only_if_all_rows_are():
    same = ["so sad", "So sad!", "so sad..."]
    whole, _ = divided([*same, "a", "b"], test=1, validation=0)
    assert sorted(example.split for example in whole) == ["test", "train", "train", "train", "train"]
    part, _ = divided([*same, "a", "b", "c"], test=1, validation=0, train=2)
    assert sorted(example.split for example in part) == ["test", "train", "train"]


@pytest.fixture
def few_compared(monkeypatch):
    monkeypatch.setattr(examples_module, "LEAST_COMPARED", 4)
    monkeypatch.setattr(examples_module, "COMPARED_PER_ROW", 2)


@given(st.lists(_WORDS, min_size=12, max_size=40, unique=True), st.integers(0, 5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_small_draw_of_many_rows_keeps_near_ones_together_and_its_counts(few_compared, texts, seed):
    texts += [f"filler sentence number {n} of its own" for n in range(8)]
    examples, rejects = divided(texts, train=3, test=2, validation=0, seed=seed)
    assert sorted(example.split for example in examples) == ["test"] * 2 + ["train"] * 3
    for first, second in combinations(examples, 2):
        if near(first.fields["text"], second.fields["text"]) >= 0.8:
            assert first.split == second.split
    again, _ = divided(texts[::-1], train=3, test=2, validation=0, seed=seed)
    assert {(example.fields["text"], example.split) for example in again} == {
        (example.fields["text"], example.split) for example in examples
    }
    assert {reject.reason for reject in rejects} <= {"duplicate"}


def test_more_rows_are_compared_where_test_rows_reject_too_many(few_compared):
    near_test = [f"the quick brown fox jumps over the lazy dog again and again on day {n}" for n in range(30)]
    others = [f"remark {n} is like no other remark {n * n}" for n in range(10)]
    tests = ["the quick brown fox jumps over the lazy dog again and again on day x"]
    for seed in range(5):
        examples, rejects = divided([*near_test, *others], tests, train=8, test=None, validation=0, seed=seed)
        assert sorted(example.split for example in examples) == ["test"] + ["train"] * 8
        assert {example.fields["text"] for example in examples if example.split == "train"} <= set(others)
        assert {reject.reason for reject in rejects} == {"near_duplicate_of_test"}
