"""Generative students trained end to end: one from scratch, a LoRA on it in real NF4, and one on the two merged."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import tiny_causal
import torch
from safetensors.torch import load_file, save_file

from finetune import causal, trackers, train
from finetune.adapters import adapter_effect, load_base, load_model
from finetune.causal_record import CausalRecord, read_any_record, read_causal_record
from finetune.causal_trainer import CausalTrainer
from finetune.causal_watch import validation_steps
from finetune.hardware import find_machine
from finetune.record import StudentRecord
from finetune.train import train_student, train_students
from recipes.errors import TrainingError
from recipes.runs import RunFolder
from recipes.schema import Recipe

LORA = {"rank": 4, "alpha": 8}
STUDENTS: dict[str, dict[str, Any]] = {
    "domain": {"rows": "description", "epochs": 6, "evaluations": 2, "seeds": [1, 2]},
    "tuned": {
        "base": "students.domain", "format": "think", "quantization": "nf4", "lora": LORA, "optimizer": "adamw_8bit",
        "seeds": [2],
    },
    "third": {
        "base": "students.tuned", "format": "chat", "quantization": "nf4", "lora": LORA | {"rslora": True},
        "schedule": "cosine", "packing": "grouped", "gradient_checkpointing": "on", "micro_batch": 2, "warmup": 0.2,
        "epochs": 1,
    },
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, RunFolder]:
    run = tiny_causal.make_run(tmp_path_factory.mktemp("run"))
    recipe = tiny_causal.make_recipe(**STUDENTS)
    train_student(recipe, "third", run)
    return recipe, run


def losses(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.tensor([ids]), use_cache=False).logits.float()
    return found


def test_the_chain_is_trained_and_recorded(trained: tuple[Recipe, RunFolder]) -> None:
    _, run = trained
    domain, tuned = read_causal_record(run, "domain"), read_causal_record(run, "tuned")
    best = [domain.seeds[seed].validation_loss or 0.0 for seed in (1, 2)]
    assert domain.validation_loss == pytest.approx(mean(best))
    assert domain.seeds[domain.best_seed].validation_loss == min(best)
    assert domain.seeds[1].losses[-1] < 0.8 * domain.seeds[1].losses[0]
    assert (domain.rows["train"], domain.rejected) == (48, {"train": 0, "validation": 0})
    assert (tuned.format, tuned.quantization, tuned.lora and tuned.lora.rank) == ("think", "nf4", 4)
    assert tuned.answering.temperature == 0.7
    assert isinstance(read_any_record(run, "third"), CausalRecord)
    assert not isinstance(read_any_record(run, "third"), StudentRecord)


def test_the_best_step_is_the_one_with_the_lowest_loss(trained: tuple[Recipe, RunFolder]) -> None:
    for name in STUDENTS:
        for seed in read_causal_record(trained[1], name).seeds.values():
            lowest = min(seed.validations, key=lambda one: one.loss)
            assert (seed.best_step, seed.validation_loss) == (lowest.step, lowest.loss)
    seed = read_causal_record(trained[1], "domain").seeds[1]
    assert [one.step for one in seed.validations] == [3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36]
    assert len(seed.losses) == seed.steps == 36


def test_packed_where_it_is_exact_and_grouped_where_it_is_asked_for(trained: tuple[Recipe, RunFolder]) -> None:
    _, run = trained
    assert read_causal_record(run, "tuned").seeds[2].packed
    third = read_causal_record(run, "third").seeds[3407]
    assert (third.packed, third.micro_batch, third.gradient_checkpointing) == (False, 2, True)


def test_up_to_date_students_are_not_trained_again(
    trained: tuple[Recipe, RunFolder], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, run = trained
    monkeypatch.setattr(train, "TRAINERS", {})
    train_students(recipe, ["third", "domain"], run)
    assert capsys.readouterr().err.count("up to date (validation loss") == 3


def test_how_it_answers_is_written_down_anew_without_training(
    trained: tuple[Recipe, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained[1].path, run.path)
    other = {name: student | {"answering": {"temperature": 0}} for name, student in STUDENTS.items()}
    monkeypatch.setattr(causal, "train_causal", lambda *_, **__: pytest.fail("it was trained again"))
    train_student(tiny_causal.make_recipe(**other), "tuned", run)
    assert read_causal_record(run, "tuned").answering.temperature == 0


def test_no_pickle_and_nothing_half_done_is_left(trained: tuple[Recipe, RunFolder]) -> None:
    names = {path.name for path in trained[1].student("tuned").rglob("*") if path.is_file()}
    assert {"adapter_model.safetensors", "base.json", "tokenizer.json", "README.md", "curve.svg", "student.json",
            "rejected.jsonl", "training.json"} <= names  # fmt: skip
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl", ".partial"))]
    assert not (trained[1].student("tuned") / "checkpoints").exists()


def test_an_adapter_says_which_base_it_belongs_to(trained: tuple[Recipe, RunFolder]) -> None:
    _, run = trained
    told = json.loads((run.student("tuned", 2) / "base.json").read_text(encoding="utf-8"))
    assert (told["name"], told["place"], told["quantization"]) == ("students.domain", "../../domain/seed-2", "nf4")
    assert told["effect"] > 0.001
    weights = load_file(run.student("tuned", 2) / "adapter_model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float32}
    assert len(weights) == 2 * 2 * 7  # two layers, seven targets, A and B


def test_a_run_folder_may_be_moved(trained: tuple[Recipe, RunFolder], tmp_path: Path) -> None:
    moved = RunFolder(tmp_path / "elsewhere")
    shutil.copytree(trained[1].path, moved.path)
    here, there = (load_model(run.student("third", 3407))[0] for run in (trained[1], moved))
    assert torch.equal(losses(here, [5, 6, 7]), losses(there, [5, 6, 7]))


def test_the_adapter_changes_its_base_and_goes_off_again(trained: tuple[Recipe, RunFolder]) -> None:
    folder = trained[1].student("tuned", 2)
    model, tokenizer = load_model(folder)
    base, same = load_base(folder)
    assert tokenizer.get_vocab() == same.get_vocab()
    plain, tuned = losses(base, [5, 6, 7]), losses(model, [5, 6, 7])
    assert not torch.allclose(plain, tuned, atol=1e-3)
    with model.disable_adapter():  # type: ignore[operator]
        assert torch.equal(losses(model, [5, 6, 7]), plain)
    whole, _ = load_model(trained[1].student("domain", 2))
    assert losses(whole, [5, 6, 7]).shape == plain.shape
    with pytest.raises(TrainingError, match="has no adapter: all its weights were trained"):
        load_base(trained[1].student("domain", 2))


def test_an_adapter_is_not_put_on_another_base(trained: tuple[Recipe, RunFolder], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained[1].path, run.path)
    base, folder = run.student("domain", 2), run.student("tuned", 2)
    other = load_file(run.student("domain", 1) / "model.safetensors")
    save_file(other, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(TrainingError, match=r"belongs to another students\.domain than the one in .*: train it again"):
        load_model(folder)
    shutil.rmtree(base)
    with pytest.raises(TrainingError, match=r"belongs to students\.domain, which is no longer in"):
        load_model(folder)


@pytest.mark.parametrize("harm", ["nothing", "shape", "cut"])
def test_an_adapter_that_does_nothing_or_does_not_fit_is_refused(
    harm: str, trained: tuple[Recipe, RunFolder], tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained[1].path, run.path)
    file = run.student("tuned", 2) / "adapter_model.safetensors"
    weights = load_file(file)
    if harm == "nothing":
        weights = {name: value * (0 if "lora_B" in name else 1) for name, value in weights.items()}
    if harm == "shape":
        weights = {name: torch.zeros(value.shape[0] + 1, value.shape[1]) for name, value in weights.items()}
    save_file(weights, file, {"format": "pt"})
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(TrainingError, match="changes nothing in" if harm == "nothing" else "does not fit"):
        load_model(run.student("tuned", 2))


def test_the_third_stands_on_the_second_merged(trained: tuple[Recipe, RunFolder]) -> None:
    _, run = trained
    (merged,) = (run.student("tuned") / "merged-as-base").iterdir()
    told = json.loads((run.student("third", 3407) / "base.json").read_text(encoding="utf-8"))
    assert (run.student("third", 3407) / told["place"]).resolve() == merged.resolve()
    second, _ = load_model(run.student("tuned", 2), find_machine("fp32"))
    whole, _ = load_model(merged, find_machine("fp32"))
    told_apart = losses(second, [5, 6, 7, 8])
    assert float((losses(whole, [5, 6, 7, 8]) - told_apart).abs().max()) <= 0.005 * float(told_apart.abs().max())
    assert adapter_effect(load_model(run.student("third", 3407))[0]) > 0


def test_the_card_and_the_curve_say_how_it_went(trained: tuple[Recipe, RunFolder]) -> None:
    _, run = trained
    card = (run.student("tuned") / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: peft\n")
    assert "LoRA of rank 4, alpha 8" in card
    assert "written by the teacher `m`" in card
    assert "perplexity" in card
    assert "None" not in card and "{" not in card
    curve = (run.student("domain") / "curve.svg").read_text(encoding="utf-8")
    assert curve.startswith("<svg ")
    assert curve.count("<circle") == 13  # twelve validations, and a ring at the best


def test_evaluations_end_with_the_epoch() -> None:
    assert sorted(validation_steps(10, 2, 3)) == [4, 7, 10, 14, 17, 20]
    assert sorted(validation_steps(2, 1, 5)) == [1, 2]


@pytest.mark.parametrize(
    "way", [{"packing": "grouped"}, {"micro_batch": 1}, {"micro_batch": 2, "packing": "grouped"},
            {"gradient_checkpointing": "on"}],
)  # fmt: skip
def test_the_loss_of_a_step_is_the_same_however_it_is_split(
    way: dict[str, Any], tmp_path: Path, trained: tuple[Recipe, RunFolder]
) -> None:
    """One step of all rows: no way of cutting it into micro-batches may change its loss or what follows from it."""
    small = {"batch_size": 48, "epochs": 3, "rows": "description", "max_length": 512}
    found = []
    for name, student in (("once", small), ("split", small | way)):
        run = tiny_causal.make_run(tmp_path / name, validation=4)
        train_student(tiny_causal.make_recipe(a=student), "a", run)
        found.append(read_causal_record(run, "a").seeds[3407])
    assert found[0].losses == pytest.approx(found[1].losses, abs=1e-5)
    assert [one.loss for one in found[0].validations] == pytest.approx(
        [one.loss for one in found[1].validations], abs=1e-5
    )


def test_early_stop_after_patience_validations_without_a_lower_loss(tmp_path: Path) -> None:
    run = tiny_causal.make_run(tmp_path, train=16, validation=4)
    still = {"epochs": 6, "patience": 2, "learning_rate": 1e-12, "weight_decay": 0.0}
    train_student(tiny_causal.make_recipe(a=still), "a", run)
    seed = read_causal_record(run, "a").seeds[3407]
    assert (len(seed.validations), seed.best_step) == (3, 2)


def test_rows_that_are_too_long_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tiny_causal.make_run(tmp_path, train=24, validation=4)
    train_student(tiny_causal.make_recipe(a={"max_length": 128, "epochs": 1, "rows": "description"}), "a", run)
    record = read_causal_record(run, "a")
    listed = (run.student("a") / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(listed) == record.rejected["train"] + record.rejected["validation"] > 0
    assert record.rows["train"] + record.rejected["train"] == 24
    assert f"{len(listed)} rows not used: longer than max_length 128 tokens" in capsys.readouterr().err
    with pytest.raises(TrainingError, match="all rows are longer than max_length 16: raise it"):
        train_student(tiny_causal.make_recipe(a={"max_length": 16}), "a", run)


def test_a_loss_that_is_no_number_names_the_step_and_the_rows(tmp_path: Path) -> None:
    run = tiny_causal.make_run(tmp_path, train=16, validation=0)
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step \d+ \(rows train-\d+, .*learning_rate"):
        train_student(tiny_causal.make_recipe(a={"learning_rate": 1e30, "warmup": 0}), "a", run)
    assert run.manifest("student-a") is None


@pytest.mark.parametrize("packing", ["packed", "grouped"])
def test_a_validation_loss_that_is_no_number_names_the_step_and_the_rows(
    packing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = CausalTrainer.evaluate

    def spoilt(self: CausalTrainer, *options: Any, **named: Any) -> Any:
        with torch.no_grad():
            self.model.model.norm.weight.fill_(float("nan"))
        return real(self, *options, **named)

    monkeypatch.setattr(CausalTrainer, "evaluate", spoilt)
    run = tiny_causal.make_run(tmp_path, train=16, validation=3)
    with pytest.raises(
        TrainingError, match=r"^student a: the validation loss is nan after step 2 \(rows validation-"
    ) as e:
        train_student(tiny_causal.make_recipe(a={"packing": packing, "rows": "description"}), "a", run)
    assert str(e.value).endswith("lower learning_rate (0.005) or set precision: fp32")
    assert {f"validation-{number}" for number in range(3)} >= set(re.findall(r"validation-\d", str(e.value)))
    assert run.manifest("student-a") is None


def test_out_of_memory_is_a_sentence_that_names_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(CausalTrainer, "compute_loss", full)
    run = tiny_causal.make_run(tmp_path, train=8, validation=0)
    with pytest.raises(TrainingError, match=r"out of memory on the cpu: set micro_batch: 1 and gradient_checkpointing"):
        train_student(tiny_causal.make_recipe(a={}), "a", run)


MISTAKES = [
    ({"report_to": ["trackio"]}, "trackio, which is not installed: pip install trackio"),
    ({"base": "nobody/nothing", "lora": LORA}, "the base model nobody/nothing cannot be loaded"),
    ({"base": "students.domain", "lora": LORA | {"targets": ["q_proj", "query"]}},
     r"has no layer query; its linear layers are down_proj, gate_proj, k_proj, lm_head"),
    ({"base": "students.domain", "lora": LORA, "max_length": 4096}, r"max_length 4096 is more than .* set it to 2048"),
    ({"backend": "unsloth", "base": "students.domain", "lora": LORA, "precision": "auto"},
     "backend: unsloth cannot be used: it is not"),
]  # fmt: skip


@pytest.mark.parametrize(("student", "sentence"), MISTAKES)
def test_mistakes_are_one_sentence(
    student: dict[str, Any], sentence: str, trained: tuple[Recipe, RunFolder], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained[1].path, run.path)
    with pytest.raises(TrainingError, match=sentence):
        train_student(tiny_causal.make_recipe(domain=STUDENTS["domain"], a=student), "a", run)
