"""What seq2seq students write, read back: inverse for any text, places as numbers, what is counted as invalid."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recipes.aspects import (
    NOTHING,
    category_text,
    one_line,
    prefix,
    read_opinions,
    read_tuples,
    target_text,
    tuples_of,
    write_opinions,
    write_tuples,
)
from recipes.rows import GRADES, POLARITIES, Aspect, AspectRow, Opinion, UnderstandingRow
from recipes.seq2seq_student import Seq2seqStudent

WORDS = st.one_of(st.text(min_size=1), st.text(alphabet=" |;#n\n\tone", min_size=1)).filter(lambda text: text.split())
"""Any text, and such as is made of the marks themselves."""
OPINIONS = st.lists(
    st.builds(
        Opinion,
        target=WORDS,
        aspect=WORDS,
        sentiment=st.sampled_from(GRADES),
        reasoning=st.one_of(st.just(""), WORDS),
    )
)
TERMS = st.lists(
    st.builds(
        Aspect,
        target=WORDS,
        polarity=st.sampled_from(POLARITIES),
        start=st.one_of(st.none(), st.integers(0, 500)),
        end=st.integers(0, 500),
    )
)
CATEGORIES = st.lists(
    st.builds(
        Aspect, category=WORDS.filter(lambda text: bool(category_text(text))), polarity=st.sampled_from(POLARITIES)
    )
)


@given(OPINIONS)
def test_opinions_are_read_as_they_were_written_but_for_white_space(opinions: list[Opinion]) -> None:
    text = write_opinions(opinions)
    read, invalid = read_opinions(text)
    told = [
        opinion.model_copy(
            update={name: one_line(getattr(opinion, name)) for name in ("target", "aspect", "reasoning")}
        )
        for opinion in opinions
    ]
    assert (list(read), invalid) == (told, 0)
    assert read_opinions(one_line(text)) == (read, invalid)  # what a tokenizer of T5 leaves of it


@given(TERMS)
def test_terms_are_read_as_they_were_written(aspects: list[Aspect]) -> None:
    text = write_tuples("atsa", aspects)
    assert read_tuples("atsa", text) == (tuples_of("atsa", aspects), 0)
    assert read_tuples("atsa", one_line(text)) == read_tuples("atsa", text)


@given(CATEGORIES)
def test_categories_are_read_as_they_were_written(aspects: list[Aspect]) -> None:
    assert read_tuples("acsa", write_tuples("acsa", aspects)) == (tuples_of("acsa", aspects), 0)


@given(st.text())
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    nothing = one_line(text).lower() == NOTHING
    for read, invalid in (read_opinions(text), read_tuples("atsa", text), read_tuples("acsa", text)):
        assert nothing == (len(read) + invalid == 0)


def test_the_forms_by_hand() -> None:
    terms = [
        Aspect(target="waiter", polarity="negative", start=100, end=106),
        Aspect(target="fish | chips", polarity="positive", start=20, end=32),
        Aspect(target="waiter", polarity="negative", start=140, end=146),
    ]
    assert write_tuples("atsa", terms) == "fish || chips | positive ; waiter | negative"
    food = [Aspect(category="FOOD#STYLE_OPTIONS", polarity="neutral"), Aspect(category="service", polarity="conflict")]
    assert write_tuples("acsa", food) == "food style_options neutral ; service conflict"
    said = Opinion(target="soup", aspect="taste", sentiment="very negative", reasoning="Implied; a fact shows it.")
    assert write_opinions([said, said]) == " ; ".join(["soup | taste | very negative | Implied;; a fact shows it."] * 2)
    assert write_opinions([]) == write_tuples("atsa", []) == write_tuples("acsa", []) == "none"
    assert read_opinions(" None ") == ((), 0) == read_tuples("atsa", "none")


def test_places_are_numbers_and_not_strings() -> None:
    """The published code sorted "100" before "20"."""
    aspects = [Aspect(target=str(at), polarity="neutral", start=at, end=at + 1) for at in (100, 20, 3)]
    assert [name for name, _ in tuples_of("atsa", aspects)] == ["3", "20", "100"]


def test_what_is_no_tuple_counts_as_invalid() -> None:
    text = "food | positive ; service | good ; waiter ; | negative ; wine | Neutral"
    assert read_tuples("atsa", text) == ((("food", "positive"), ("wine", "neutral")), 3)
    assert read_tuples("acsa", "food quality positive ; positive ; prices high") == ((("food quality", "positive"),), 2)
    assert read_tuples("atsa", "food | positive ; food | positive") == ((("food", "positive"),) * 2, 0)
    assert read_tuples("atsa", "") == ((), 1) == read_opinions("")
    assert read_opinions("soup | taste | awful | it says so ; | a | neutral | b")[1] == 2
    assert read_tuples("atsa", "food | positive ;") == ((("food", "positive"),), 1)  # cut off


def test_a_row_says_what_is_to_be_written() -> None:
    where = {"id": "a", "text": "t", "split": "train", "group": "g"}
    half = UnderstandingRow(**where, rewrite="I\nlike it.")  # type: ignore[arg-type]
    assert target_text(half, "rewrite") == "I like it."
    assert target_text(half, "analysis") is None
    assert target_text(UnderstandingRow(**where, analysis=()), "analysis") == "none"  # type: ignore[arg-type]
    row = AspectRow(**where, aspects=(Aspect(target="t", polarity="neutral"),))  # type: ignore[arg-type]
    assert target_text(row, "atsa") == "t | neutral"


def test_prefixes_have_defaults() -> None:
    student = Seq2seqStudent(kind="seq2seq", base="scratch", prefixes={"atsa": "terms: "})
    assert (prefix(student, "atsa"), prefix(student, "acsa")) == ("terms: ", "find aspects: ")
