"""When a search has found nothing: signals by hand, the logistic regression, and the share that may be refused."""

from __future__ import annotations

import math
import random

import orjson
import pytest

from rag.documents import Document
from rag.fusion import Hit
from rag.own_questions import KINDS, own_questions
from rag.signals import Signals, rarity, read_signals
from rag.threshold import fit_threshold, threshold_from


def signals_of(dice: random.Random, good: bool) -> Signals:
    middle = 0.7 if good else 0.3
    return Signals(*(min(1.0, max(0.0, dice.gauss(middle, 0.12))) for _ in range(4)))


def test_signals_by_hand() -> None:
    dense = [Hit("a-0", "a", 0.8), Hit("a-1", "a", 0.7), Hit("b-0", "b", 0.5), Hit("c-0", "c", 0.3)]
    lexical = [Hit("b-0", "b", 9.0), Hit("d-0", "d", 3.0)]
    found = read_signals({"tea": 3.0, "warmer": 1.0}, [{"tea"}, {"warmer", "x"}], dense, lexical)
    assert found == Signals(cosine=0.8, margin=pytest.approx(0.4), coverage=0.75, agreement=pytest.approx(0.2))
    assert read_signals({}, [], [], []) == Signals(0.0, 0.0, 0.0, 0.0)
    assert rarity(100, 0) > rarity(100, 1) > rarity(100, 100) > 0


def test_a_threshold_refuses_the_share_it_may() -> None:
    dice = random.Random(1)
    good, bad = ([signals_of(dice, kind) for _ in range(400)] for kind in (True, False))
    threshold = fit_threshold(good, bad, 0.05)
    assert 0.01 <= threshold.refused <= 0.10
    assert threshold.accepted < 0.2
    assert (
        threshold.confidence(Signals(0.9, 0.9, 0.9, 0.9)) > threshold.least > threshold.confidence(Signals(0, 0, 0, 0))
    )
    assert fit_threshold(good, bad, 0.3).least > threshold.least


def test_refuse_0_refuses_nothing() -> None:
    dice = random.Random(2)
    threshold = fit_threshold([signals_of(dice, True) for _ in range(20)], [signals_of(dice, False)] * 20, 0.0)
    assert (threshold.least, threshold.refused, threshold.accepted) == (0.0, 0.0, 1.0)


def test_a_threshold_is_kept_as_json() -> None:
    dice = random.Random(3)
    threshold = fit_threshold(
        [signals_of(dice, True) for _ in range(8)], [signals_of(dice, False) for _ in range(8)], 0.1
    )
    again = threshold_from(orjson.loads(orjson.dumps(threshold.as_json())))
    assert again == threshold
    assert math.isfinite(again.confidence(Signals(1e6, -1e6, 0, 0)))


def test_questions_are_made_of_a_document_and_the_same_each_time() -> None:
    one = Document("1", "Copper kettle with wooden handle", {}, {})
    body = "It boils a litre of water in five quiet minutes. The handle stays cool."
    two = Document("2", "Kettle", {"title": "Kettle", "body": body}, {})
    found = own_questions([one, two], len, len(KINDS))
    assert found == own_questions([one, two], len, len(KINDS))
    kinds = {(kind, document.id) for kind, _, document in found}
    assert kinds == {(kind, "1") for kind in KINDS if kind != "phrase"} | {(kind, "2") for kind in KINDS}
    by_kind = {(kind, document.id): question for kind, question, document in found}
    assert len(by_kind["title", "1"].split()) == 4
    assert by_kind["phrase", "2"] in body
    assert "kettle" in KINDS["need"](Document("3", "Kettle boils water", {}, {}), len, random.Random(0))
    assert sorted(by_kind["misspelt", "2"]) == sorted("Kettle") and by_kind["misspelt", "2"] != "Kettle"


def test_a_document_of_which_no_question_can_be_made() -> None:
    assert own_questions([Document("1", "", {"title": ""}, {})], len, 2) == []
