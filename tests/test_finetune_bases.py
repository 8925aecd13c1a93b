"""What a classifier starts from: whose head is kept, how long a text may be, what is no base at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import transformers
from safetensors.torch import load_file

from finetune.ahead import check_bases
from finetune.bases import Base, load_classifier, load_tokenizer, longest_input
from recipes.errors import TrainingError
from recipes.runs import RunFolder

ROBERTA: dict[str, Any] = {
    "vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48,
    "max_position_embeddings": 50, "pad_token_id": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_base(tmp_path_factory.mktemp("bert"))


def base_in(folder: Path, taught: int | None = None) -> Base:
    return Base(folder.name, str(folder), None, None, taught)


def with_config(source: Path, folder: Path, **changes: Any) -> Path:
    """A copy of a base whose config.json says something else."""
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    return folder


def save_roberta(folder: Path, labels: tuple[str, ...]) -> Path:
    """A classifier into `labels`, with the biases of its head set to 3."""
    config = transformers.RobertaConfig(
        **ROBERTA, id2label=dict(enumerate(labels)), label2id={label: place for place, label in enumerate(labels)}
    )
    model = transformers.RobertaForSequenceClassification(config)
    torch.nn.init.constant_(model.classifier.dense.bias, 3.0)
    torch.nn.init.constant_(model.classifier.out_proj.bias, 3.0)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "labels",
    [("positive", "negative"), ("good", "bad"), ("a", "b", "c"), ("negative",)],
    ids=["order", "names", "more", "1"],
)
def test_a_head_for_other_labels_is_drawn_anew_all_of_it(labels: tuple[str, ...], tmp_path: Path) -> None:
    saved = save_roberta(tmp_path / "two", ("negative", "positive"))
    same = load_classifier(base_in(saved), ("negative", "positive"))
    assert same.classifier.dense.bias.unique().tolist() == [3.0]
    weights = load_file(saved / "model.safetensors")
    found = load_classifier(base_in(saved), labels)
    assert found.classifier.dense.bias.unique().tolist() == found.classifier.out_proj.bias.unique().tolist() == [0.0]
    assert not torch.equal(found.classifier.dense.weight, weights["classifier.dense.weight"])
    assert float(found.classifier.dense.weight.detach().std()) == pytest.approx(0.02, rel=0.2), "drawn as its kind is"
    kept = "roberta.embeddings.word_embeddings.weight"
    assert torch.equal(found.state_dict()[kept], weights[kept])


def test_a_part_of_a_head_that_knows_no_labels_is_kept(bert: Path, tmp_path: Path) -> None:
    config = transformers.DistilBertConfig(vocab_size=60, dim=32, n_layers=1, n_heads=2, hidden_dim=48)
    model = transformers.DistilBertForSequenceClassification(config)
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    part = {name: value for name, value in weights.items() if not name.startswith("classifier.")}
    transformers.modeling_utils.safe_save_file(part, tmp_path / "model.safetensors", metadata={"format": "pt"})
    found = load_classifier(base_in(tmp_path), ("no", "yes"))  # two labels, as many as a config without labels has
    assert torch.equal(found.pre_classifier.weight, weights["pre_classifier.weight"])
    assert not torch.equal(found.classifier.weight, weights["classifier.weight"])


def test_an_encoder_with_a_decoder_is_refused(tmp_path: Path) -> None:
    config = transformers.BartConfig(
        vocab_size=60, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64,
    )  # fmt: skip
    transformers.BartForSequenceClassification(config).save_pretrained(tmp_path / "bart")
    with pytest.raises(TrainingError, match=r"bart is an encoder with a decoder \(bart\): name an encoder alone"):
        load_classifier(base_in(tmp_path / "bart"), tiny.LABELS)


def test_how_long_a_text_may_be(bert: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(base_in(bert))
    plain = load_classifier(base_in(bert), tiny.LABELS)
    assert longest_input(base_in(bert), tokenizer, plain) == 64
    assert longest_input(base_in(bert, taught=16), tokenizer, plain) == 64, "all that BERT has positions for"
    roberta = load_classifier(base_in(save_roberta(tmp_path / "r", ("a", "b"))), ("a", "b"))
    tokenizer.model_max_length = 10**30
    assert longest_input(base_in(tmp_path / "r"), tokenizer, roberta) == 48, "50 positions, the first two of no token"
    with torch.no_grad():
        roberta(torch.full((1, 48), 5))
        with pytest.raises((IndexError, RuntimeError)):
            roberta(torch.full((1, 49), 5))
    plain.config.max_position_embeddings = -1  # XLNet
    assert longest_input(base_in(bert), tokenizer, plain) == 1 << 30


def test_a_base_that_cannot_be_used_is_found_before_anything_is_paid(bert: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")

    def check(base: Path, **student: Any) -> None:
        check_bases(tiny.make_recipe(base, a=student, b={"base": "students.a"}), ["a", "b"], run)

    check(bert)
    broken = with_config(bert, tmp_path / "broken")
    (broken / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"the base model .*broken cannot be loaded in .*broken"):
        check(broken)
    bare = with_config(bert, tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"bare cannot be loaded in .*model\.safetensors"):
        check(bare)
    with pytest.raises(TrainingError, match=r"students\.a: max_length 65 is more than .* takes: set it to 64 or less"):
        check(bert, max_length=65)


def test_a_tokenizer_whose_package_is_missing_is_one_sentence(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("\nXLNetTokenizer requires the SentencePiece library.\nMore lines.")

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", missing)
    with pytest.raises(
        TrainingError, match=r"cannot be loaded in .*: XLNetTokenizer requires the SentencePiece library"
    ):
        load_tokenizer(base_in(bert))
