"""Vectors of the real MiniLM."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from rag_runs import product, shop

from finetune.hardware import Machine
from rag.embedder import Embedder, open_embedder
from recipes.errors import RunError
from recipes.schema import Recipe
from recipes.stages import embedding_fingerprint

TEXTS = ["a red desk lamp", "lamp " * 300, "violin", "Eine rote Lampe für den Schreibtisch", ""]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return shop(tmp_path_factory.mktemp("embedder"), [product(1)])


@pytest.fixture(scope="module")
def embedder(recipe: Recipe) -> Embedder:
    return open_embedder(recipe)


def test_vectors_are_normalised_and_in_the_order_of_the_texts(embedder: Embedder) -> None:
    found = embedder.documents(TEXTS)
    assert found.shape == (5, embedder.width) == (5, 384)
    assert found.dtype == np.float32
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    for text, vector in zip(TEXTS, found, strict=True):
        assert float(embedder.documents([text])[0] @ vector) > 0.999
    assert float(found[0] @ found[3]) > float(found[0] @ found[2])


def test_nothing_makes_no_vectors(embedder: Embedder) -> None:
    assert embedder.documents([]).shape == (0, 384)


def test_sixteen_bits_hardly_move_a_cosine(embedder: Embedder, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [f"{text} {place}" for place, text in enumerate(TEXTS * 13)]
    monkeypatch.setattr(embedder, "_machine", Machine("cpu", "fp32", "a CPU"))
    plain = embedder.documents(many)
    monkeypatch.setattr(embedder, "_machine", Machine("cpu", "bf16", "a CPU"))
    quick = embedder.documents(many)
    assert not np.array_equal(plain, quick)
    assert np.abs(embedder.documents(many[:3]) - plain[:3]).max() < 1e-5  # a few: in 32 bits all the same
    assert np.abs(plain @ plain.T - plain @ quick.T).max() < 3e-3
    assert (plain * quick).sum(axis=1).min() > 1 - 1e-3


def test_tokens_are_places_in_the_text(embedder: Embedder) -> None:
    text = "A fine lamp, 40W."
    assert " ".join(text[begin:end] for begin, end in embedder.spans(text)) == "A fine lamp , 40 ##W .".replace(
        "##", ""
    )
    assert embedder.count(text) == 7
    assert embedder.max_tokens == 254


def test_prompts_go_before_questions_and_documents_apart(tmp_path: Path, embedder: Embedder) -> None:
    other = open_embedder(shop(tmp_path, [product(1)], "retrieval.embedding.query_prompt='find: '"))
    assert np.allclose(other.documents(["lamp"]), embedder.documents(["lamp"]), atol=1e-3)
    assert np.allclose(other.queries(["lamp"]), embedder.documents(["find: lamp"]), atol=1e-3)


def test_what_changes_vectors_changes_the_fingerprint_and_what_does_not_does_not(tmp_path: Path) -> None:
    def fingerprint(*overrides: str) -> str:
        return embedding_fingerprint(shop(tmp_path, [product(1)], *overrides))

    same = {fingerprint(), fingerprint("retrieval.embedding.query_prompt='find: '"), fingerprint("retrieval.top_k=2")}
    assert len(same) == 1
    others = ("retrieval.embedding.document_prompt='passage: '", "retrieval.embedding.max_tokens=64")
    assert len(same | {fingerprint(one) for one in others}) == 3


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    recipe = shop(tmp_path, [product(1)], "retrieval.embedding.model=./empty")
    with pytest.raises(RunError, match=r"retrieval.embedding.model: ./empty cannot be loaded"):
        open_embedder(recipe)


def test_a_prompt_that_leaves_no_room_is_refused(tmp_path: Path) -> None:
    long = "retrieval.embedding.document_prompt='represent this product of a shop for retrieval by its buyers: '"
    said = r"minilm reads 16 tokens, of which document_prompt takes 1\d: shorten it, or raise max_tokens"
    with pytest.raises(RunError, match=said):
        open_embedder(shop(tmp_path, [product(1)], long, "retrieval.embedding.max_tokens=16"))


def test_openvino_where_it_is_missing_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    recipe = shop(tmp_path, [product(1)], "retrieval.embedding.backend=openvino")
    with pytest.raises(RunError, match=r"backend: openvino needs its package: pip install 'tutelage\[openvino\]'"):
        open_embedder(recipe)


def test_openvino_makes_the_same_vectors(tmp_path: Path, embedder: Embedder) -> None:
    pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
    quick = open_embedder(shop(tmp_path, [product(1)], "retrieval.embedding.backend=openvino"))
    assert (embedder.documents(TEXTS) * quick.documents(TEXTS)).sum(axis=1).min() > 1 - 2e-3
    assert quick.fingerprint == embedder.fingerprint
    assert "openvino_telemetry" not in sys.modules or sys.modules["openvino_telemetry"] is None
