"""The baselines of tuples: the lexicon, one-vs-rest, and those of sentiment."""

from __future__ import annotations

from pathlib import Path

import tuple_runs

from eval.tuple_baselines import baselines_of, labelled, lexicon, one_vs_rest
from eval.tuple_rows import OWN, read_set
from recipes.rows import Aspect, AspectRow, Polarity, write_rows


def row_of(number: int, text: str, *aspects: tuple[str, Polarity]) -> AspectRow:
    made = tuple(
        Aspect(target=term, polarity=polarity, start=text.index(term), end=text.index(term) + len(term))
        for term, polarity in aspects
    )
    return AspectRow(id=str(number), text=text, split="train", group=str(number), aspects=made)


TRAIN = [
    row_of(1, "The wine list is long", ("wine list", "positive")),
    row_of(2, "A wine list and wine", ("wine list", "negative")),
    row_of(3, "The wine list again, and Wine", ("wine list", "negative"), ("Wine", "neutral")),
    row_of(4, "Nothing here"),
]


def test_the_longest_term_that_stands_in_the_text_with_its_most_frequent_polarity() -> None:
    tag = lexicon(TRAIN)
    assert tag(["Their WINE LIST was fine, the wine not", "swine flu", ""]) == [
        (("WINE LIST", "negative"), ("wine", "neutral")),
        (),
        (),
    ]


def test_a_lexicon_without_terms_names_none() -> None:
    assert lexicon([row_of(1, "Nothing here")])(["The wine"]) == [()]


def test_a_term_with_signs_is_no_pattern() -> None:
    tag = lexicon([row_of(1, "The mac (and cheese)", ("mac (and cheese)", "positive"))])
    assert tag(["A mac (and cheese) please"]) == [(("mac (and cheese)", "positive"),)]


def test_a_term_is_found_whose_text_has_a_ligature() -> None:
    tag = lexicon([row_of(1, "The \ufb01let", ("\ufb01let", "positive"))])
    assert tag(["A \ufb01let"]) == [(("filet", "positive"),)], "as gold has it: NFKC"


def category_rows() -> list[AspectRow]:
    said: list[tuple[str, str, Polarity]] = [
        ("delicious food", "FOOD#QUALITY", "positive"),
        ("awful food", "FOOD#QUALITY", "negative"),
        ("friendly waiters", "service", "positive"),
        ("rude waiters", "service", "negative"),
    ]
    return [
        AspectRow(
            id=f"{number} {text}", text=f"{text} in {number}", split="train", group=text,
            aspects=(Aspect(category=category, polarity=polarity),),
        )
        for number in range(12)
        for text, category, polarity in said
    ]  # fmt: skip


def test_one_vs_rest_learns_pairs_and_always_names_one() -> None:
    tag = one_vs_rest(category_rows())
    assert tag(["awful food and rude waiters", "zzz"])[0] == (("food quality", "negative"), ("service", "negative"))
    assert len(tag(["zzz"])[0]) >= 1


def test_one_vs_rest_of_a_single_pair_says_that_pair() -> None:
    assert one_vs_rest(category_rows()[:1])(["anything"]) == [(("food quality", "positive"),)]


def test_the_majority_is_that_of_the_train_rows(tmp_path: Path) -> None:
    run, recipe = tuple_runs.RunFolder(tmp_path), tuple_runs.recipe_of()
    tuple_runs.make_rows(run)
    scored = read_set(recipe, run, "moods")
    rows = [tuple_runs.mood_of("train", n).model_copy(update={"gold": "negative"}) for n in range(3)]
    write_rows(run.of_dataset("moods").rows / "train.jsonl", rows)
    assert set(labelled(scored, "majority")) == {"negative"}
    assert len(labelled(scored, "vader")) == len(scored.ids)
    assert baselines_of(scored, None) == ["majority", "vader"]
    assert baselines_of(scored, ["vader"]) == ["vader"]
    assert baselines_of(read_set(recipe, run, OWN), None) == []
