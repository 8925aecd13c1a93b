"""Parity figures: by hand on small logits, and of a real adapter, its merge and its GGUF files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_llama import TEXTS, load_nf4, load_plain, make_adapter, make_llama, make_tokenizer

from finetune import parity_models
from finetune.gguf_export import export_gguf
from finetune.gguf_read import unpack_gguf
from finetune.merge import merge_adapter
from finetune.parity import Answers, Parity, answer, compare, forget_parity, read_parity, write_parity
from finetune.parity_checks import check_exports
from finetune.parity_words import parity_sentence, warning
from recipes.errors import TrainingError

pytestmark = pytest.mark.filterwarnings("ignore")


def test_figures_by_hand() -> None:
    one = Answers((torch.tensor([[1.0, -4.0], [0.0, 2.0]]), torch.tensor([[3.0, 0.0]])), ((0, 1), (1, 1)))
    two = Answers((torch.tensor([[1.0, -3.5], [0.5, 0.0]]), torch.tensor([[3.0, 0.25]])), ((0, 1), (1, 0)))
    assert compare(one, two) == Parity(
        texts=2, places=3, largest_difference=2.0, largest_logit=4.0, relative=0.5, same_top=2 / 3, new_tokens=2,
        same_tokens=3 / 4,
    )  # fmt: skip
    assert compare(one, one).relative == 0 and compare(one, one).same_tokens == 1
    with pytest.raises(ValueError, match="did not answer the same"):
        compare(one, Answers(two.logits[:1], two.tokens[:1]))


def test_greedy_tokens_are_those_of_generate(tmp_path: Path) -> None:
    model = load_plain(make_llama(tmp_path / "model"))
    prompt = make_tokenizer()(TEXTS[0]).input_ids
    expected = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=8, eos_token_id=None)
    assert answer(model, [prompt], 8).tokens == (tuple(expected[0, len(prompt) :].tolist()),)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base in bfloat16, an adapter trained in NF4, the merged folder, two GGUF files."""
    place = tmp_path_factory.mktemp("exports")
    base = make_llama(place / "base", "bfloat16")
    make_adapter(load_nf4(base), place / "adapter")
    merge_adapter(base, place / "adapter", place / "merged", "float16")
    for kind in ("f16", "q8_0"):
        export_gguf(place / "merged", place / "gguf" / f"{kind}.gguf", kind)  # type: ignore[arg-type]
    return {name: place / name for name in ("base", "adapter", "merged", "gguf")}


def check(exports: dict[str, Path], texts: list[str] = TEXTS) -> dict[str, Any]:
    files = [exports["gguf"] / "f16.gguf", exports["gguf"] / "q8_0.gguf"]
    return check_exports(exports["base"], exports["adapter"], exports["merged"], files, texts, new_tokens=4)


def test_every_export_is_compared_with_the_adapter(exports: dict[str, Path]) -> None:
    found = check(exports)
    assert list(found) == ["merged", "f16.gguf", "q8_0.gguf"]
    merged, f16, q8_0 = found.values()
    assert merged.relative <= 0.005 and merged.same_tokens == 1.0
    assert abs(f16.largest_difference - merged.largest_difference) <= 1e-3
    assert 0.005 < q8_0.relative <= 0.1
    beside = json.loads((exports["gguf"] / "parity.json").read_text())
    assert set(beside) == {"f16.gguf", "q8_0.gguf"} and beside["f16.gguf"]["relative"] == f16.relative
    assert json.loads((exports["merged"] / "parity.json").read_text())["safetensors"]["texts"] == 4


def test_rope_scaling_is_part_of_what_is_compared(tmp_path: Path) -> None:
    rope = {
        "rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    }  # fmt: skip
    base = make_llama(tmp_path / "base", rope_parameters=rope)
    make_adapter(load_plain(base), tmp_path / "adapter")
    merge_adapter(base, tmp_path / "adapter", tmp_path / "merged", "float16", quantised=False)
    file = export_gguf(tmp_path / "merged", tmp_path / "m.gguf", "f16").path
    found = check_exports(base, tmp_path / "adapter", tmp_path / "merged", [file], TEXTS[:2], quantised=False)
    assert all(isinstance(one, Parity) and one.relative <= 0.005 for one in found.values())


def test_short_of_memory(exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = check(exports, TEXTS[:1])
    monkeypatch.setattr(parity_models, "free_memory", lambda: 450_000)  # the adapter's model fits, the merged does not
    for one, other in zip(whole.values(), check(exports).values(), strict=True):  # layers from the disk
        assert (other.texts, other.new_tokens) == (1, 0)  # each token reads all of the model again
        assert other.relative == pytest.approx(one.relative, rel=0.05) and other.same_top == one.same_top
    assert not [path for path in exports["gguf"].iterdir() if path.is_dir()]
    for name in ("merged", "gguf"):
        (exports[name] / "parity.json").unlink()
    with monkeypatch.context() as full:
        full.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1))  # type: ignore[attr-defined]
        found = check(exports)
    assert str(found["f16.gguf"]).startswith("not measured: ") and "its disk has" in str(found["f16.gguf"])
    (exports["merged"] / "parity.json").unlink()
    monkeypatch.setattr(parity_models, "free_memory", lambda: 100_000)
    assert all(str(one).startswith("not measured: 0.0 GB of memory") for one in check(exports).values())
    assert json.loads((exports["gguf"] / "parity.json").read_text())["f16.gguf"]["left_out"].startswith("not measured")


@pytest.mark.parametrize(("kind", "arch"), [("f16", "Llama"), ("q4_0", "Llama"), ("q8_0", "Qwen2")])
def test_gguf_comes_back_to_safetensors(tmp_path: Path, kind: Any, arch: str) -> None:
    model = make_llama(tmp_path / "model", "float16", arch=arch)
    file = export_gguf(model, tmp_path / "m.gguf", kind).path
    back = load_plain(unpack_gguf(file, model, tmp_path / "back")).state_dict()
    for name, weight in parity_models.load_gguf(file, model).state_dict().items():
        assert (back[name] - weight).abs().max() <= 1e-3 * weight.abs().max()


def test_only_what_changed_is_compared_again(
    exports: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {name: shutil.copytree(place, tmp_path / name) for name, place in exports.items()}
    for name in ("merged", "gguf"):
        (own[name] / "parity.json").unlink(missing_ok=True)
    first = check(own)
    capsys.readouterr()
    assert check(own) == first and "comparing" not in capsys.readouterr().err
    export_gguf(own["merged"], own["gguf"] / "q8_0.gguf", "q4_0")
    assert check(own)["q8_0.gguf"].relative > first["q8_0.gguf"].relative
    assert "comparing q8_0.gguf with the student" in capsys.readouterr().err
    check(own, TEXTS[:2])
    assert "comparing merged, f16.gguf, q8_0.gguf with" in capsys.readouterr().err
    make_adapter(load_nf4(own["base"]), own["adapter"], lora_alpha=2)
    assert check(own, TEXTS[:2])["merged"].relative > 0.02, "the adapter is another, its exports are not"
    monkeypatch.setattr(parity_models, "free_memory", lambda: 100_000)
    assert isinstance(check(own)["merged"], str)
    monkeypatch.undo()
    assert isinstance(check(own)["merged"], Parity), "a sentence is no figure"
    monkeypatch.setattr(parity_models, "free_memory", lambda: 450_000)
    (own["merged"] / "parity.json").unlink()
    assert [one.new_tokens for one in (check(own)["merged"], check(own)["merged"])] == [0, 0]
    monkeypatch.undo()
    assert check(own)["merged"].new_tokens == 4, "there is memory for all of it now"


def test_sentences_on_figures() -> None:
    figures = Parity(4, 500, 0.004, 8.0, 0.0005, 499 / 500, 16, 0.78)
    assert parity_sentence(figures) == (
        "the same most likely token as the student at 99.8% of 500 places, logits within 0.05% of its largest; going "
        "on by itself, it says 78.0% of 64 tokens as the student does (after one that differs, the rest of that answer "
        "is another)"
    )
    near = Parity(4, 10_000, 0.004, 8.0, 0.0005, 9999 / 10_000, 0, 1.0)
    assert parity_sentence(near) == (
        "the same most likely token as the student at 99.9% of 10,000 places, logits within 0.05% of its largest"
    )
    assert "at all 8 places" in parity_sentence(Parity(1, 8, 0.0, 8.0, 0.0, 1.0, 0, 1.0))
    assert parity_sentence("not measured: why") == "parity not measured: why"
    far = Parity(4, 500, 0.4, 8.0, 0.05, 0.9, 0, 1.0)
    assert warning("float16", far) == "that is more than float16 explains: do not use it, and please report it"
    assert warning("bfloat16", far) is None and warning("q4_0", far) is None and warning("f16", figures) is None


def test_damaged_parity_file_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "parity.json").write_text("{half")
    write_parity(tmp_path / "a.gguf", "why")
    write_parity(tmp_path / "b.gguf", "why not")
    assert json.loads((tmp_path / "parity.json").read_text()) == {
        "a.gguf": {"left_out": "why"},
        "b.gguf": {"left_out": "why not"},
    }
    assert read_parity(tmp_path / "a.gguf") is None
    figures = Parity(1, 8, 0.0, 8.0, 0.0, 1.0, 0, 1.0)
    write_parity(tmp_path / "a.gguf", figures, "this")
    assert read_parity(tmp_path / "a.gguf", "this") == read_parity(tmp_path / "a.gguf") == figures
    assert read_parity(tmp_path / "a.gguf", "that") is None
    forget_parity(tmp_path / "a.gguf")
    assert list(json.loads((tmp_path / "parity.json").read_text())) == ["b.gguf"]
    (tmp_path / "parity.json").write_text('{"a.gguf": {"relative": 1}, "b.gguf": 3}')
    assert read_parity(tmp_path / "a.gguf") is None and read_parity(tmp_path / "b.gguf") is None


def test_adapter_that_does_not_open(exports: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be opened on its base"):
        check_exports(exports["base"], tmp_path, exports["merged"], [], TEXTS)
