"""Re-ranking, by a cross-encoder of a few thousand weights made here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from rag_runs import WordEmbedder, product, shop, without_model

from finetune.bases import Base
from finetune.hardware import Machine
from rag.index import open_index
from rag.indexing import build_index
from rag.rerank import Reranker, load_reranker, open_reranker
from rag.retriever import Retriever
from recipes.errors import RunError
from recipes.runs import RunFolder

CPU = Machine("cpu", "fp32", "a CPU")
WORDS = [
    "lamp",
    "model",
    "watts",
    "desks",
    "colour",
    "red",
    "green",
    "blue",
    "for",
    "a",
    "kettle",
    *map(str, range(12)),
]
QUESTION, TEXTS = "red lamp", ["Lamp model 3\nColour red.", "a kettle", "lamp " * 400, "watts"]


def make_encoder(folder: Path, scores: int = 1) -> Path:
    """A BERT with a head, random weights, in a folder."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    names = {word: at for at, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(names, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]",
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(names), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, num_labels=scores, initializer_range=0.5,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("encoder"))


def in_folder(folder: Path) -> Base:
    return Base(str(folder), str(folder), None, None)


def by_hand(folder: Path, texts: Sequence[str]) -> list[float]:
    """The model's own logits, one pair at a time."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        pairs = [tokenizer(QUESTION, text, return_tensors="pt", truncation=True, max_length=64) for text in texts]
        return [float(model.eval()(**pair).logits) for pair in pairs]


def test_scores_rise_with_the_models_own_in_the_order_of_the_texts(folder: Path) -> None:
    found = load_reranker(in_folder(folder), CPU).scores(QUESTION, TEXTS)
    logits = by_hand(folder, TEXTS)
    assert len(set(np.round(found, 6))) == len(TEXTS)
    assert np.allclose(found, 1 / (1 + np.exp(-np.array(logits))), atol=1e-5)
    assert load_reranker(in_folder(folder), CPU).scores(QUESTION, []) == []


def test_candidates_are_shown_in_the_order_of_the_encoder(folder: Path, tmp_path: Path) -> None:
    recipe = shop(tmp_path, [product(number) for number in range(12)])
    with pytest.MonkeyPatch.context() as monkeypatch:
        without_model(monkeypatch)
        build_index(recipe, RunFolder(tmp_path / "run"))
    assert recipe.retrieval is not None
    encoder = load_reranker(in_folder(folder), CPU)
    with open_index(recipe, RunFolder(tmp_path / "run")) as index:
        words = WordEmbedder(recipe)
        plain = Retriever(index, words, recipe.retrieval)  # type: ignore[arg-type]
        ranking = Retriever(index, words, recipe.retrieval, reranker=encoder)  # type: ignore[arg-type]
        before, after = (one.search(QUESTION, top_k=12).passages for one in (plain, ranking))
    assert {passage.document for passage in before} == {passage.document for passage in after}
    texts = [f"{passage.title}\n{passage.text}" for passage in after]
    assert [passage.score for passage in after] == pytest.approx(encoder.scores(QUESTION, texts), abs=1e-5)
    assert [passage.score for passage in after] == sorted((passage.score for passage in after), reverse=True)
    assert [passage.document for passage in before] != [passage.document for passage in after]


def test_a_recipe_names_its_encoder(folder: Path, tmp_path: Path) -> None:
    assert open_reranker(shop(tmp_path, [product(1)])) is None
    encoder = open_reranker(shop(tmp_path, [product(1)], f"retrieval.rerank={folder}"))
    assert encoder is not None
    assert len(encoder.scores(QUESTION, TEXTS)) == len(TEXTS)


def test_an_encoder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    two = make_encoder(tmp_path / "two", scores=2)
    with pytest.raises(RunError, match=r"retrieval.rerank: .*two gives 2 scores a pair and not one"):
        load_reranker(in_folder(two), CPU)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(RunError, match=r"retrieval.rerank: .*empty cannot be loaded") as caught:
        load_reranker(in_folder(empty), CPU)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_damaged_encoder_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    damaged = Path(shutil.copytree(folder, tmp_path / "damaged"))
    (damaged / name).write_bytes(b"damaged" * 100)
    with pytest.raises(RunError, match=r"retrieval.rerank: .*damaged cannot be loaded in ") as caught:
        load_reranker(in_folder(damaged), CPU)
    assert len(str(caught.value).splitlines()) == 1


def test_no_memory_is_a_sentence_and_another_fault_is_not_hidden() -> None:
    class Broken:
        def __init__(self, said: str) -> None:
            self.said = said

        def predict(self, pairs: object, **_: object) -> None:
            raise RuntimeError(self.said)

    with pytest.raises(RunError, match=r"lower retrieval\.candidates"):
        Reranker(Broken("CUDA out of memory"), CPU).scores("lamp", ["a"])  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="shapes"):
        Reranker(Broken("shapes do not fit"), CPU).scores("lamp", ["a"])  # type: ignore[arg-type]
