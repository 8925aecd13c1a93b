"""When a search has found nothing: signals by hand, the regression, and what a catalogue's own questions set."""

from __future__ import annotations

import math
import random
from pathlib import Path

import orjson
import pytest
from rag_runs import WordEmbedder, product, shop, without_model

from rag.calibrate import FACT, calibrate, is_due, read_threshold, threshold_fact, told
from rag.documents import Document
from rag.fusion import Hit
from rag.index import Index, open_index
from rag.indexing import build_index
from rag.own_questions import KINDS, own_questions, sentence
from rag.signals import Signals, rarity, read_signals
from rag.threshold import Threshold, level, threshold_from
from rag.threshold import fit_threshold as maybe_threshold
from recipes.runs import RunFolder


def cosines(middle: float, count: int = 400, seed: int = 1) -> list[float]:
    dice = random.Random(f"{seed}:{middle}")
    return [dice.gauss(middle, 0.1) for _ in range(count)]


def fit_threshold(answered: list[float], unanswered: list[float], refuse: float) -> Threshold:
    threshold = maybe_threshold(answered, unanswered, refuse)
    assert threshold is not None
    return threshold


def test_signals_by_hand() -> None:
    dense = [Hit("a-0", "a", 0.8), Hit("a-1", "a", 0.7), Hit("b-0", "b", 0.5)]
    assert read_signals(["tea", "warmer"], [{"tea"}, {"warmer", "x"}], dense) == Signals(0.8, False)
    assert read_signals(["tea", "warmer"], [{"x"}, {"warmer", "x", "tea"}], dense) == Signals(0.8, True)
    assert read_signals([], [], []) == read_signals([], [set()], []) == Signals(0.0, False)
    assert rarity(100, 0) > rarity(100, 1) > rarity(100, 100) > 0


@pytest.mark.parametrize(
    ("words", "named"), [(["home"], False), (["at33"], True), (["rose", "home"], True), ([], False)]
)
def test_one_common_word_is_not_what_a_document_is_named_by(words: list[str], named: bool) -> None:
    assert read_signals(words, [{"home", "at33", "rose"}], []).named is named


def test_a_threshold_refuses_the_share_it_may_of_questions_it_has_not_seen() -> None:
    good, bad = cosines(0.6, 4_000), cosines(0.35, 4_000)
    for refuse in (0.02, 0.05, 0.3):
        threshold = fit_threshold(good, bad, refuse)
        below = [threshold.confidence(Signals(value)) < threshold.least for value in cosines(0.6, 4_000, seed=2)]
        above = [threshold.confidence(Signals(value)) >= threshold.least for value in cosines(0.35, 4_000, seed=2)]
        assert sum(below) / 4_000 == pytest.approx(refuse, abs=0.04)
        assert threshold.refused == pytest.approx(refuse, abs=0.04)
        assert threshold.accepted == pytest.approx(sum(above) / 4_000, abs=0.08)


def test_confidence_is_the_share_of_answered_questions_that_are_as_near() -> None:
    threshold = fit_threshold(cosines(0.6, 2_000), cosines(0.4, 2_000), 0.05)
    assert threshold.confidence(Signals(0.5)) == pytest.approx(0.5, abs=0.03)
    assert threshold.confidence(Signals(0.6)) == pytest.approx(1 / (1 + math.exp(-2)), abs=0.03)  # of the two normals
    few = fit_threshold(cosines(0.6, 2_000), cosines(0.4, 200), 0.05)
    assert few.confidence(Signals(0.5)) == pytest.approx(0.5, abs=0.05)


def test_a_question_whose_words_are_all_there_is_not_refused() -> None:
    threshold = fit_threshold(cosines(0.6), cosines(0.35), 0.05)
    assert threshold.confidence(Signals(0.1)) < threshold.least == threshold.confidence(Signals(0.1, named=True))
    sure = Signals(0.9)
    assert threshold.confidence(sure) == threshold.confidence(Signals(0.9, named=True)) > threshold.least


def test_refuse_0_refuses_nothing() -> None:
    threshold = fit_threshold(cosines(0.6, 20), cosines(0.3, 20), 0.0)
    assert (threshold.least, threshold.refused, threshold.accepted) == (0.0, 0.0, 1.0)


def test_a_catalogue_whose_own_questions_are_the_farther_ones_has_no_threshold() -> None:
    assert maybe_threshold(cosines(0.3, 20), cosines(0.6, 20), 0.05) is None
    assert any("no nearer to the catalogue" in line for line in told(None, 0.05, 20))


def test_a_threshold_is_kept_as_json() -> None:
    threshold = fit_threshold(cosines(0.6, 8), cosines(0.3, 8), 0.1)
    again = threshold_from(orjson.loads(orjson.dumps(threshold.as_json())))
    assert again == threshold
    assert [again.confidence(Signals(value)) for value in (-1e6, 1e6)] == [0.0, 1.0]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    without_model(monkeypatch)
    return RunFolder(tmp_path / "run")


def test_a_catalogue_sets_its_own_threshold(tmp_path: Path, run: RunFolder) -> None:
    recipe = shop(tmp_path, [product(number) for number in range(40)])
    build_index(recipe, run)
    assert recipe.retrieval is not None
    with open_index(recipe, run) as index:
        kept = read_threshold(index)
        assert kept is not None
        assert kept == calibrate(index, WordEmbedder(recipe), recipe.retrieval)  # type: ignore[arg-type]
        assert kept.weight > 0
        assert 0 < kept.least < 1
        assert kept.refused <= 0.15


def test_a_threshold_is_the_same_whatever_graph_was_built(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shop(tmp_path, [product(number) for number in range(40)])
    build_index(recipe, run)
    assert recipe.retrieval is not None
    embedder = WordEmbedder(recipe)
    query = embedder.queries(["red lamp", "9 watts"])
    with open_index(recipe, run) as index:
        for exact, found in zip(index.exact(query, 7), index.dense(query, 7), strict=True):
            assert [hit.score for hit in exact] == pytest.approx([hit.score for hit in found], abs=1e-5)
        assert [len(hits) for hits in index.exact(query, 99)] == [40, 40]
        monkeypatch.setattr(Index, "_nearest", lambda self, vectors, limit: [[] for _ in vectors])
        assert calibrate(index, embedder, recipe.retrieval) == read_threshold(index)  # type: ignore[arg-type]


def test_a_catalogue_too_small_has_none_and_refuses_nothing(tmp_path: Path, run: RunFolder) -> None:
    for rows in ([product(number) for number in range(7)], [product(n, title="!", description="") for n in range(9)]):
        recipe = shop(tmp_path, rows)
        build_index(recipe, run)
        with open_index(recipe, run) as index:
            assert read_threshold(index) is None
            assert index.fact(FACT)["threshold"] is None


def test_when_a_threshold_is_set_anew(tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = shop(tmp_path, [product(number) for number in range(10)])
    settings = recipe.retrieval
    assert settings is not None
    fact = threshold_fact(Threshold(1.0, 0.0, 0.5, 0.0, 0.0), settings)
    assert not is_due(fact, settings, changed=1, documents=10)
    assert is_due(fact, settings, changed=2, documents=10)
    assert is_due(None, settings, 0, 10)
    assert is_due(fact | {"refuse": 0.2}, settings, 0, 10)
    asked = settings.embedding.model_copy(update={"query_prompt": "find: "})
    assert is_due(fact, settings.model_copy(update={"embedding": asked}), 0, 10), "questions have other vectors"
    old = {"refuse": settings.refuse, "threshold": {"mean": [0.5], "least": 0.7}}  # as it was before it had a number
    assert is_due(old, settings, 0, 10)
    build_index(recipe, run)
    with open_index(recipe, run) as index:
        monkeypatch.setattr(type(index), "fact", lambda self, name: old)
        assert read_threshold(index) is None


def test_a_sentence_is_whole() -> None:
    body = "It boils 1.7 litres in five minutes. Quiet. The handle stays cool for hours"
    one = Document("1", "Kettle", {"title": "Kettle", "body": body}, {})
    said = {sentence(one, len, random.Random(seed)) for seed in range(20)}
    assert said == {"It boils 1.7 litres in five minutes.", "The handle stays cool for hours"}
    assert sentence(Document("2", "Kettle", {"title": "Kettle"}, {}), len, random.Random(0)) == ""
    (found,) = own_questions([one], len, 1, kinds={"sentence": sentence})
    assert found[0] == "sentence"


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


def test_of_few_questions_the_level_errs_on_the_side_of_answering() -> None:
    """A new value is below the k-th smallest of n with probability k / (n + 1)."""
    assert level([float(value) for value in range(1, 20)], 0.05) == 1.0
    assert level([float(value) for value in range(1, 100)], 0.05) == 5.0
    assert level([float(value) for value in range(1, 11)], 0.05) < 1.0
    dice = random.Random(5)
    refused = 0
    for _ in range(2_000):
        few = [dice.gauss(0.6, 0.1) for _ in range(16)]
        refused += dice.gauss(0.6, 0.1) < level(few, 0.05)
    assert refused <= 0.055 * 2_000


@pytest.mark.parametrize("number", [12, 70])
def test_what_is_said_of_a_threshold_on_few_questions(
    tmp_path: Path, run: RunFolder, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    build_index(shop(tmp_path, [product(number) for number in range(80)]), run)
    assert "warning" not in capsys.readouterr().err
    recipe = shop(tmp_path, [product(number) for number in range(80 - number)])  # the shop gets small
    build_index(recipe, run)
    said = capsys.readouterr().err
    assert f"threshold set on {2 * (80 - number)} questions" in said
    assert ("warning: that is a small sample: at 0.05 only 1.0 of them would be refused" in said) is (number == 70)
    build_index(shop(tmp_path, [product(1)]), run)
    assert "no threshold is set, since too few of 1 document" in capsys.readouterr().err
