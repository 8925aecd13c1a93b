"""A question -> passages: filters, bounds, what is no question, and when nothing counts as found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from rag_runs import WordEmbedder, product, shop, without_model

from rag.documents import Document
from rag.index import Index, open_index
from rag.indexing import build_index
from rag.kept import Kept
from rag.limits import said_limit
from rag.names import codes
from rag.phrases import proposed
from rag.retriever import MOST_CHARACTERS, Retriever, open_retriever
from rag.threshold import Threshold
from recipes.errors import AskError, RunError
from recipes.runs import RunFolder
from recipes.schema import Recipe

LAMPS = 20
KETTLE = {"id": "k", "title": "Copper kettle", "description": "Boils a litre of water.", "price": 9.0, "brand": "Dawn"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, RunFolder]:
    """Twenty lamps and a kettle, indexed."""
    folder = tmp_path_factory.mktemp("retriever")
    recipe = shop(folder, [*(product(number) for number in range(LAMPS)), product(99, **KETTLE)])
    with pytest.MonkeyPatch.context() as monkeypatch:
        without_model(monkeypatch)
        build_index(recipe, RunFolder(folder / "run"))
    return recipe, RunFolder(folder / "run")


@pytest.fixture
def index(made: tuple[Recipe, RunFolder]) -> Iterator[Index]:
    with open_index(*made) as opened:
        yield opened


@pytest.fixture
def retriever(made: tuple[Recipe, RunFolder], index: Index) -> Retriever:
    recipe, _ = made
    assert recipe.retrieval is not None
    return Retriever(index, WordEmbedder(recipe), recipe.retrieval)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retriever]:
    """Twelve lamps of three brands and a kettle; nothing is sure enough but what is named."""
    folder = tmp_path_factory.mktemp("named")
    rows = [product(number) for number in range(12)]
    rows[3] |= {"brand": "KT-99X"}
    rows[4] |= {"stock": 4006381333931}
    rows[5] |= {"stock": "1080p"}
    for number in (7, 8, 10, 11):
        rows[number] |= {"stock": "1080p"}
    rows[6] |= {"stock": 10_000}
    recipe, run = shop(folder, [*rows, product(99, **KETTLE)]), RunFolder(folder / "run")
    with pytest.MonkeyPatch.context() as monkeypatch:
        without_model(monkeypatch)
        build_index(recipe, run)
    assert recipe.retrieval is not None
    with open_index(recipe, run) as opened:
        yield Retriever(opened, WordEmbedder(recipe), recipe.retrieval, threshold(0.9))  # type: ignore[arg-type]


def threshold(least: float) -> Threshold:
    """Confidence is 1/2 whatever is found."""
    return Threshold(weight=0.0, bias=0.0, least=least, refused=0.0, accepted=0.0)


def test_passages_come_best_first_and_numbered(retriever: Retriever) -> None:
    found = retriever.search("copper kettle for a litre of water")
    assert found.query == "copper kettle for a litre of water"
    assert [passage.number for passage in found.passages] == [1, 2, 3, 4]
    best = found.passages[0]
    assert (best.document, best.title, best.text) == ("k", "Copper kettle", "Boils a litre of water.")
    assert best.metadata == {"price": 9.0, "brand": "Dawn", "stock": False}
    assert best.link == "https://shop.example/99"
    assert len({passage.document for passage in found.passages}) == 4
    scores = [passage.score for passage in found.passages]
    assert scores == sorted(scores, reverse=True)


def test_only_what_a_filter_leaves_is_found(retriever: Retriever) -> None:
    found = retriever.search(
        "a red lamp for desks", {"price": {"$lt": 6}, "brand": {"$in": ["Acme", "Cole"]}}, top_k=20
    )
    assert sorted(passage.document for passage in found.passages) == ["p0", "p2", "p3", "p5"]
    nothing = retriever.search("a red lamp", {"brand": "Nobody"})
    assert (nothing.passages, nothing.answerable, nothing.confidence) == ((), False, 0.0)


@pytest.mark.parametrize("where", [{"colour": "red"}, {"price": {"$near": 3}}, {"$or": []}])
def test_a_filter_that_cannot_be_is_a_sentence(retriever: Retriever, where: dict[str, object]) -> None:
    with pytest.raises(AskError) as caught:
        retriever.search("lamp", where)
    assert len(str(caught.value).splitlines()) == 1


def test_a_word_in_other_capitals_is_told(retriever: Retriever) -> None:
    with pytest.raises(AskError, match="brand is nowhere 'DAWN' in this catalogue; did you mean 'Dawn'"):
        retriever.search("kettle", {"brand": "DAWN", "price": {"$gt": 1}})
    assert not retriever.search("kettle", {"brand": "Nobody"}).passages
    assert retriever.search("kettle", {"brand": {"$in": ["DAWN", "Acme"]}}).passages, "some are found"


def test_titles_are_of_documents_spread_over_the_index(retriever: Retriever, index: Index) -> None:
    assert len(set(retriever.some_titles())) == 3
    assert proposed(["Copper  kettle", "word " * 40]) == (
        "Tell me about Copper kettle",
        "Tell me about " + " ".join(["word"] * 12),
    )
    assert proposed(["x" * 100]) == ("Tell me about " + "x" * 60,)


def test_as_many_as_are_asked_for(retriever: Retriever) -> None:
    assert len(retriever.search("lamp", top_k=1).passages) == 1
    assert len(retriever.search("lamp model watts desks", top_k=50).passages) == LAMPS + 1
    for number in (0, -1, 51):
        with pytest.raises(AskError, match=rf"{number} passages cannot be had: 1 to 50 \(retrieval.candidates\)"):
            retriever.search("lamp", top_k=number)


@pytest.mark.parametrize("question", ["", " \n\t ", "\x00\x1b", "\ud800"])
def test_nothing_is_found_for_no_question(retriever: Retriever, question: str) -> None:
    found = retriever.search(question)
    assert (found.query, found.passages, found.answerable) == ("", (), False)


def test_what_is_searched_for_is_plain_text_of_some_length(retriever: Retriever) -> None:
    torn = retriever.search("copper \ud83d\x00 kettle\u202e\n now")
    assert (torn.query, torn.passages[0].document) == ("copper kettle now", "k")
    endless = retriever.search("kettle " + "\U0001f600" * 9_000)
    assert len(endless.query) <= MOST_CHARACTERS
    assert endless.passages[0].document == "k"


def test_several_questions_are_answered_as_each_alone(retriever: Retriever) -> None:
    questions = ["copper kettle", "", "Lamp model 7", "blue"]
    assert retriever.search_many(questions) == [retriever.search(question) for question in questions]


def test_a_threshold_decides_whether_that_is_an_answer(made: tuple[Recipe, RunFolder], index: Index) -> None:
    recipe, _ = made
    assert recipe.retrieval is not None
    for least, answerable in ((0.4, True), (0.5, True), (0.6, False)):
        strict = Retriever(index, WordEmbedder(recipe), recipe.retrieval, threshold(least))  # type: ignore[arg-type]
        found = strict.search("lamp")
        assert (found.confidence, found.answerable, len(found.passages)) == (0.5, answerable, 4)
        assert not strict.search("").answerable


def test_a_document_that_goes_between_search_and_show_is_left_out(
    retriever: Retriever, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [passage.document for passage in retriever.search("lamp model 7").passages]
    there = Index.documents

    def documents(self: Index, ids: list[str]) -> dict[str, Document]:
        return {name: one for name, one in there(self, ids).items() if name != before[0]}

    monkeypatch.setattr(Index, "documents", documents)
    after = retriever.search("lamp model 7").passages
    assert [passage.document for passage in after] == before[1:]
    assert [passage.number for passage in after] == [1, 2, 3]


def test_documents_are_taken_as_not_there(retriever: Retriever, index: Index, made: tuple[Recipe, RunFolder]) -> None:
    vector = WordEmbedder(made[0]).queries(["copper kettle"])
    assert retriever.look("copper kettle", vector).ranked[0].document == "k"
    without = retriever.look("copper kettle", vector, without={"k"})
    assert "k" not in {one.document for one in without.ranked}
    assert without.signals.cosine < 0.9


def test_the_threshold_of_the_index_is_the_retrievers(
    made: tuple[Recipe, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.embedder.open_embedder", WordEmbedder)
    with open_retriever(*made) as opened:
        assert 0 < opened.search("Copper kettle").confidence < 1
        assert opened.search("Copper kettle").answerable
        sure, unsure = (opened.search(question).confidence for question in ("Copper kettle", "Who won the football?"))
        assert sure > unsure


def test_an_index_that_is_not_there(
    tmp_path: Path, made: tuple[Recipe, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.embedder.open_embedder", WordEmbedder)
    said = "holds no index: run python -m rag index"
    with pytest.raises(RunError, match=said), open_retriever(made[0], RunFolder(tmp_path / "nowhere")):
        pass


def test_of_a_few_long_documents_more_than_one_passage_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_model(monkeypatch)
    long = ". ".join(f"Chapter {n} is about lamps and their {n * 7} watts" for n in range(40))
    recipe = shop(tmp_path, [product(1, description=long), product(2)], "retrieval.chunk_tokens=64")
    build_index(recipe, RunFolder(tmp_path / "run"))
    assert recipe.retrieval is not None
    with open_index(recipe, RunFolder(tmp_path / "run")) as index:
        retriever = Retriever(index, WordEmbedder(recipe), recipe.retrieval)  # type: ignore[arg-type]
        passages = retriever.search("Chapter 9 about 63 watts").passages
        assert [passage.number for passage in passages] == [1, 2, 3, 4]
        assert {passages[0].document, passages[1].document} == {"p1", "p2"}, "one of each first"
        assert [passage.document for passage in passages[2:]] == ["p1", "p1"]
        assert len({passage.chunk for passage in passages}) == 4
        assert len(retriever.search("Chapter 9", top_k=2).passages) == 2


@pytest.mark.parametrize(
    ("query", "documents"),
    [
        ("k", ["k"]),
        ("P7", ["p7"]),
        ("SKU p7?", ["p7"]),
        ("What does KT-99x cost?", ["p3"]),
        ("kt-99X", ["p3"]),
        ("4006381333931", ["p4"]),
        ("10000", ["p6"]),
        ("Is 4006381333931 in stock?", ["p4"]),
        ("dawn", ["k"]),
        ("products by Dawn", ["k"]),
        ("Do you have anything by Dawn?", ["k"]),
        ("What does Dawn make?", ["k"]),
        ("kt 99x", ["p3"]),
        ("How much is kt 99x?", ["p3"]),
    ],
)
def test_what_a_question_names_comes_first_and_is_answered(named: Retriever, query: str, documents: list[str]) -> None:
    found = named.search(query)
    assert found.answerable
    assert [passage.document for passage in found.passages][: len(documents)] == documents


def test_a_brand_alone_finds_its_products_and_keeps_to_a_filter(named: Retriever) -> None:
    brands = [passage.metadata["brand"] for passage in named.search("ACME", top_k=7).passages]
    assert brands[:3] == ["Acme"] * 3 and len(brands) == 7 and brands != ["Acme"] * 7
    few = named.search("Acme", {"price": {"$lt": 4}}, top_k=3).passages
    assert [passage.document for passage in few if passage.metadata["brand"] == "Acme"] == ["p0"]
    chunks = [passage.chunk for passage in named.search("p7", top_k=20).passages]
    assert len(chunks) == len(set(chunks))


def test_whatever_is_within_a_limit_answers_a_question_for_no_more(named: Retriever) -> None:
    assert named.search("What costs less than 3 euros?").answerable
    assert not named.search("What zebra costs less than 3 euros?").answerable


@pytest.mark.parametrize("query", ["a lamp of 12 watts for the desk", "lamp 1080p", "zebra", "a poem of 10000 words"])
def test_a_number_of_something_else_names_no_product(named: Retriever, query: str) -> None:
    assert not named.search(query).answerable


def test_how_near_texts_are(retriever: Retriever) -> None:
    same, other = retriever.nearness("copper kettle", ["copper kettle", "zebra"])
    assert same == pytest.approx(1.0, abs=1e-5) and other < 0.9


def test_vectors_are_made_once(made: tuple[Recipe, RunFolder], index: Index) -> None:
    recipe, _ = made
    embedder = WordEmbedder(recipe)
    assert recipe.retrieval is not None
    kept = Retriever(index, embedder, recipe.retrieval)  # type: ignore[arg-type]
    first = kept.nearness("copper kettle", ["a kettle", "zebra", "a kettle"])
    assert kept.nearness("copper kettle", ["zebra", "a kettle"]) == [first[1], first[0]]
    assert embedder.seen == ["a kettle", "zebra"]


def test_only_the_last_vectors_are_kept() -> None:
    made: list[str] = []

    def make(texts: Sequence[str]) -> np.ndarray:
        made.extend(texts)
        return np.array([[float(text)] for text in texts], np.float32)

    kept = Kept(make, 2)
    for texts in (["1", "2"], ["1"], ["3"], ["1", "2"]):
        assert kept.of(texts).tolist() == [[float(text)] for text in texts]
    assert made == ["1", "2", "3", "2"]


@pytest.mark.parametrize(
    ("question", "filter"),
    [
        ("lamps under 3 euros", {"price": {"$lt": 3.0}}),
        ("What costs no more than $2.50?", {"price": {"$lte": 2.5}}),
        ("Do you have lamps over 10 €?", {"price": {"$gt": 10.0}}),
        ("lamps under 3 watts", None),
        ("lamps under 3", None),
        ("Is the lamp model 7 under 3 euros?", None),
        ("lamps with 3 euros off, under 9 euros", None),
        ("lamps not under 3 euros", None),
        ("I don't want any lamp over 3 euros", None),
        ("no lamp over 3 euros", None),
        ("I can’t pay more than 3 euros for a lamp", None),
        ("What about the Kneeler Seat? (under 3 euros)", None),
        ("lamps over 3 euros and under 9 euros", None),
        ("lamps under 1,000 euros", None),
    ],
)
def test_a_limit_of_price_in_words(question: str, filter: dict[str, object] | None) -> None:
    assert said_limit(question, ["price", "brand", "old_price"]) == filter


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("How much is article 10234?", ["10234"]),
        ("Do you have item no. 48213 in red?", ["48213"]),
        ("headphones under 10000 yen", []),
        ("a poem of 10000 words", []),
        ("Is number 1234 there?", []),
    ],
)
def test_a_short_number_is_an_articles_where_the_question_says_so(question: str, found: list[str]) -> None:
    assert [one for one in codes(question) if one.isdecimal()] == found


def test_a_limit_needs_one_column_that_is_plainly_a_price() -> None:
    asked = "lamps under 3 euros"
    assert said_limit(asked, ["price_eur"]) == {"price_eur": {"$lt": 3.0}}
    for names in (["price_usd"], ["price", "price_eur"], ["price_per_kilo"], ["watts"]):
        assert said_limit(asked, names) is None


def test_a_limit_in_words_filters_unless_nothing_is_within_it(retriever: Retriever) -> None:
    found = retriever.search("a red lamp for under 3 euros", top_k=20).passages
    assert sorted(one.document for one in found) == ["p0", "p1", "p2"]
    assert len(retriever.search("a lamp for under 0.10 euros", top_k=20).passages) == 20
    assert len(retriever.search("a lamp under 3 euros", {"brand": "Borg"}, top_k=20).passages) == 7
