"""Grounding, meta-talk, languages: what an answer invents is found, and what it says in other words is not blamed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import recipes
from recipes.errors import SourceError
from synth.grounding import _MEASURE, ungrounded
from synth.languages import Language
from synth.quantities import quantities, spelt
from synth.wording import meta_talk


def lines_of(name):
    text = (Path(recipes.__file__).parent / "data" / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


SOURCE = (
    "Kettle KX-1200 “Dawn”. Holds 1,700 ml in eight minutes; 3½ m cord, 34 × 24 cm, 2 to 12 cups, $29.99. "
    "Made in 1998 by Oona Merriwick. The lid says “never open while hot”. Two-hundred-page manual, twenty-four recipes."
)

SUPPORTED = [
    "It holds 1700 ml, or 1,700ml.",
    "A 3.5 m cord; 3 1/2 m; 3,5 m; 3-1/2 m.",
    "It is 34 x 24 cm; 34x24 and 34 by 24.",
    "8 minutes, 200 pages, 24 recipes.",
    "It costs 29.99 dollars ($29.99).",
    "The KX1200 and the kx-1200 are one kettle.",
    "By Oona Merriwick, whose name is Merriwick's own.",
    'It warns: "Never open, while hot".',
    "1. First reason\n2. Second reason\n10) Tenth.",
    "Here are 3 reasons, step 4 of 5, 24/7 in use.",
    "Ready for 2-12 cups, a 1998 design, in the '90s style? No.",
    "Key Features: it boils. **Final Verdict**\nGreat Choice",
    "A \"soft\" click. For 10 people.",
    "In the United States on New Year's Eve.",
    "",
]  # fmt: skip
INVENTED = [
    ("It holds 1800 ml.", ["1800 ml"]),
    ("It weighs 1,700 kg and 2 cups fit.", ["1,700 kg"]),
    ("A 5 m cord.", ["5 m"]),
    ("5 in the box, 15 in all.", ["15"]),
    ('It has 2,400 watts and a 5-year warranty, 5" wide.', ["2,400 watts", "5-year", '5"']),
    ("The KX-1300 is better, as is the B07XYZ12.", ["KX-1300", "B07XYZ12"]),
    ("It won the Golden Spoon Award in 2021.", ["Golden Spoon Award", "2021"]),
    ("The lid says “always open while hot”.", ["“always open while hot”"]),
    ("Made for iPhone and PlayStation owners.", ["iPhone", "PlayStation"]),
    ("Write to Maria Gonzales. Maria Gonzales knows.", ["Maria Gonzales"]),
    ("It is 34 x 25 cm.", ["25 cm"]),
    ("$39.99 only", ["$39.99"]),
]


@pytest.mark.parametrize("answer", SUPPORTED)
def test_what_the_source_has_in_other_words_is_grounded(answer):
    assert ungrounded(answer, [SOURCE]) == []


@pytest.mark.parametrize(("answer", "pieces"), INVENTED, ids=[pieces[0] for _, pieces in INVENTED])
def test_what_the_source_lacks_is_named(answer, pieces):
    assert ungrounded(answer, [SOURCE]) == pieces


UNITS = [
    ("Bakes at 350°F.", "Set it to 350 degrees F, 350 degrees Fahrenheit, 350 °F, 350 degrees.", []),
    ("Bakes at 350 degrees Fahrenheit.", "350° F is hot; 350 degree Celsius.", ["350 degree Celsius"]),
    ("From 20 °C on.", "20 degrees Celsius, 20 degrees centigrade, 20C, 20°F", ["20°F"]),
    ("Costs £15.", "It is 15 pounds, a 15-pound toy; 15 lbs", ["15 lbs"]),
    ("Weighs 15 lb.", "15 pounds; £15", ["£15"]),
    ("Weighs 15 pounds.", "15 lb, 15 kg", ["15 kg"]),
    ("A toy.", "Not for under-3s, nor for the over-60s.", ["60"]),
    ("A cell of 1500mAh; KX-12000; XKX-1", "500mAh, 1500 mAh, KX-1200, KX12000, KX-1", ["500mAh", "KX-1200", "KX-1"]),
    ("The KX 1200 2 is one. A 21,500mAh pack.", "KX-1200 or kx1200, 500mAh", ["500mAh"]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "answer", "pieces"), UNITS, ids=[source for source, _, _ in UNITS])
def test_units_and_codes_are_compared_whole(source, answer, pieces):
    assert ungrounded(answer, [source]) == pieces


def test_every_source_counts():
    assert ungrounded("It fits 40 cm.", ["a lamp", "Is there one for 40 cm?"]) == []


@given(st.text())
def test_a_text_is_grounded_in_itself(text):
    assert ungrounded(text, [text]) == []


def test_real_descriptions_are_grounded_in_themselves_and_the_recorded_responses_in_their_products():
    from recipes.answers_reasoning import parse_reasoned
    from recipes.chat import Reply
    from recipes.prompts import AnswerFormat

    products = {row["uid"]: row for row in lines_of("products.jsonl")}
    blamed = judged = 0
    for line in lines_of("products-teacher.jsonl"):
        product = products[line["uid"]]
        assert ungrounded(product["content"], [product["content"]]) == []
        reply = parse_reasoned(Reply(line["reply"]), AnswerFormat(kind="reasoning"))
        if reply.outcome in ("clean", "repaired"):
            judged += 1
            blamed += bool(ungrounded(reply.response, [product["title"], product["content"], reply.question]))
    assert judged > 100
    assert blamed <= 0.05 * judged


def test_numbers_are_read_whichever_way_they_are_written():
    def values(text):
        return [max(reading) for quantity in quantities(text) for reading in quantity.readings[:1]]

    assert values("1,000 1.000.000 2½ ½ 3 1/2 1/4 0.5 .5 10/15 5x7") == [
        1000, 1_000_000, 2.5, 0.5, 3.5, 0.25, 0.5, 0.5, 10, 15, 5, 7,
    ]  # fmt: skip
    assert [quantity.unit for quantity in quantities("5cm 5-inch 5″ $5 5 in 5 in the box 5 % 20 °C")] == [
        "cm", "in", "in", "$", None, None, "%", "°c",
    ]  # fmt: skip
    assert spelt("Twenty-four, three hundred and a dozen") >= {24, 300, 12}


TALK = [
    "The context mentions a battery.",
    "the description does not mention a warranty",
    "Based on the information provided, it fits.",
    "According to the product description, it is blue.",
    "The weight is stated in the title.",
    "As an AI language model, I cannot say.",
    "judging from the given text",
    "The provided description highlights comfort.",
    "From the description, we know its size.",
    "I don't have access to real-time prices.",
    "the title and description say so",
    "the information given is thin",
    "My Complex_CoT is above",
]
NO_TALK = [
    "In the context of modern design it shines.",
    "The text explains calculus with examples.",
    "The title story is the best.",
    "A detailed description of the region is included.",
    "It fits that description of a light tent.",
    "the maps provided with the game",
    "from this title you may expect much",
    "learn words from the context",
    "An AI camera and a language model kit.",
]


@pytest.mark.parametrize("text", TALK)
def test_meta_talk_is_found(text):
    assert meta_talk(text)


@pytest.mark.parametrize("text", NO_TALK)
def test_talk_about_a_product_is_left_alone(text):
    assert meta_talk(text) is None


def test_real_descriptions_have_no_meta_talk():
    assert not [row for row in lines_of("products.jsonl") if meta_talk(row["content"])]


def test_a_word_such_as_a_bears_out_no_price():
    source = "A pump with a filter and two hoses. Price: 24.50"
    assert ungrounded("Price only 1 EUR.", [source, "What does a pump cost?"]) == ["1 EUR"]
    assert ungrounded("It is $2, not €24.50.", [source]) == ["$2"]
    assert ungrounded("It has 1 year.", [source]) == []
    assert ungrounded("It costs 1 EUR, or £20.", ["It costs one euro, or twenty pounds."]) == []


def test_hostile_texts_cost_little():
    for part in ("the ", "1,", '"a ', "A-", "Aa ", "a1-", "1 ", "not mentioned in the ", "½ ", "“", "a-"):
        text = part * (60_000 // len(part))
        ungrounded(text, ["x"])
        meta_talk(text)
    ungrounded(f"* {' ' * 30_000}x", ["x"])
    ungrounded("\n" * 30_000, ["x"])
    code = "A1" * 20_000
    assert ungrounded(code, [code]) == []


def test_a_language_is_told_only_where_it_is_plain():
    english = Language("en")
    assert english.other("Dieses Messer ist scharf und hat einen Griff aus Holz.") == "de"
    assert english.other("This knife is sharp and has a handle made of wood.") is None
    assert english.other("Schnitzelbank Größe XL") is None
    assert Language("de").other("This knife is sharp and has a handle made of wood.") == "en"
    with pytest.raises(SourceError, match=r"filters\.language: xx is not a known language; known are .*de.*en"):
        Language("xx")


NESTED = re.compile(
    r"\d+(?:x\d+)+[A-Za-z]{0,2}|\d+(?:[.,]\d+)?-?[A-Za-z]{0,2}(?:-[a-z]+)*|[\d-]+(?:[a-z]+-?)+|"
    r"(?:[Uu]nder|[Oo]ver|[Mm]id|[Pp]re|[Pp]ost|[Ss]ub|[Uu]p-to)-\d+s?",
    re.ASCII,
)
"""Measures as they were first written: plain to read, and exponential in a long word."""


@given(st.text(alphabet="1x-aB.", max_size=9))
def test_a_measure_is_what_it_was(text: str) -> None:
    assert bool(_MEASURE.fullmatch(text)) == bool(NESTED.fullmatch(text))


def test_a_word_of_ten_thousand_letters_is_read() -> None:
    for slug in ("1" + "a" * 10_000 + "B", "1-" + "very-long-" * 1_000 + "slugB"):
        assert ungrounded(f"See {slug}.", ["x"]) == [slug]


def test_a_bare_number_bears_out_no_price_and_no_small_measure_unless_a_field_has_it():
    source = [
        "Fits 1 bottle, serves 12. For 3 to 6 years. Weight in kg: 4. Price: 24.50. Boxes of 2 x 3 m or EUR 5.",
        "What does it cost?",
    ]
    right = "It costs 24.5 EUR, or 5 EUR. For 3 years or 6 years; 4 kg; 2 m by 3 m; 12 hours."
    assert ungrounded(right, source, []) == []
    wrong = "It costs 1 EUR, or $12. Holds 1 litre. 4 years."
    assert ungrounded(wrong, source) == [] or "1 EUR" not in ungrounded(wrong, source)
    assert ungrounded(wrong, source, ["Acme"]) == ["1 EUR", "$12", "1 litre", "4 years"]
    assert ungrounded(wrong, source, ["1", "12", "4"]) == []


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("It is 5 (H) x 4 (W) x 3 (D) cm.", "5 cm high, 4 cm wide and 3 cm deep"),
        ("It is 5 H x 4 W x 3 D cm.", "5 cm high and 3 cm deep"),
        ("Height 5, width 4, depth 3 cm", "5 cm by 4 cm"),
        ("Sizes in cm: H 5, W 4", "5 cm and 4 cm"),
        ("5-, 8- and 10-litre pots", "A 5-litre pot, an 8-litre one"),
        ("Lasts 3 or even 4 hours.", "3 hours"),
        ("RRP 79", "$79"),
        ("Sells for 79", "79 EUR"),
        ("Our offer: 79", "$79"),
        ("Was dear, now 79.", "$79"),
    ],
)
def test_a_number_has_the_unit_of_its_row_and_a_price_is_told_in_many_ways(source: str, answer: str) -> None:
    assert ungrounded(answer, [source], []) == []
    assert ungrounded("It is 2 cm, for 78 EUR and 6 hours.", [source], []) == ["2 cm", "78 EUR", "6 hours"]


def test_rows_far_apart_cost_little() -> None:
    for part in ("1" + " " * 2_000, "1 (H) ", "1 H, ", "1 -" + " " * 500, "1 height" + "-" * 300):
        ungrounded("1 cm", [part * (30_000 // len(part))], [])
