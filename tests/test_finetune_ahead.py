"""What would stop a student is told before the teacher is paid, and before another student is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import tiny_causal
import tiny_llama

from finetune import ahead, train
from finetune.bases import Base, loading
from finetune.train import check_ahead, train_students
from recipes.errors import TrainingError
from recipes.rows import Turn, write_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe

ADAPTER: dict[str, Any] = {"lora": {"rank": 2}, "quantization": "nf4"}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.make_llama(tmp_path_factory.mktemp("llama"), max_position_embeddings=512)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_base(tmp_path_factory.mktemp("bert"))


def refused(recipe: Recipe, folder: Path, *names: str) -> str:
    with pytest.raises(TrainingError) as caught:
        check_ahead(recipe, names or list(recipe.students), RunFolder(folder / "run"))
    return str(caught.value)


def test_good_students_are_let_through(llama: Path, bert: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    check_ahead(tiny_causal.make_recipe(a={}, b={"base": "students.a"}, c={"base": str(llama), **ADAPTER}), "abc", run)
    check_ahead(tiny.make_recipe(bert, a={}, b={"base": "students.a"}), "ab", run)
    assert not run.path.exists()


@pytest.mark.parametrize(
    ("student", "sentence"),
    [
        ({"max_length": 32}, "students.a: max_length 32 has no room for any row: format: alpaca with its instruction "
                             "takes "),
        ({"max_length": 16, "format": "think", "instruction": None}, "no room for any row: format: think takes "),
        ({"max_length": 16, "format": "chat", "instruction": "You are kind. " * 9}, "format: chat with its instruction "
                                                                                    "takes "),
        ({"report_to": ["tensorboard", "wandb"]}, "students.a: report_to names tensorboard, which is not "
                                                  "installed: pip install tensorboard, or leave it out"),
        ({"precision": "fp16"}, "precision: fp16 needs a CUDA GPU"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("base", ["scratch", "llama"])
def test_what_a_generative_student_cannot_be_trained_with(
    student: dict[str, Any], sentence: str, base: str, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "find_spec", lambda name: None)
    start = {} if base == "scratch" else {"base": str(llama), **ADAPTER}
    assert sentence in refused(tiny_causal.make_recipe(a=start | student), tmp_path)


def test_a_max_length_that_is_just_enough_is_let_through(llama: Path, tmp_path: Path) -> None:
    start = {"base": str(llama), **ADAPTER}
    told = refused(tiny_causal.make_recipe(a=start | {"max_length": 32}), tmp_path)
    needed = int(told.partition(" takes ")[2].split()[0])
    run = RunFolder(tmp_path / "run")
    check_ahead(tiny_causal.make_recipe(a=start | {"max_length": needed}), ["a"], run)
    assert f"takes {needed} tokens" in refused(tiny_causal.make_recipe(a=start | {"max_length": needed - 1}), tmp_path)


def test_rows_longer_than_the_base_takes(llama: Path, tmp_path: Path) -> None:
    far = tiny_causal.make_recipe(a={"base": str(llama), **ADAPTER, "max_length": 513})
    assert "max_length 513 is more than " in refused(far, tmp_path)
    second = tiny_causal.make_recipe(a={}, b={"base": "students.a", **ADAPTER, "max_length": 4096})
    assert refused(second, tmp_path) == (
        "students.b: max_length 4096 is more than students.a takes: set it to 2048 or less, or that of students.a "
        "higher"
    )


def test_a_base_of_the_wrong_kind(llama: Path, bert: Path, tmp_path: Path) -> None:
    told = refused(tiny_causal.make_recipe(a={"base": str(bert), **ADAPTER}), tmp_path)
    assert told.startswith(f"students.a: the base model {bert} is an encoder (bert), which writes no text: ")
    told = refused(tiny.make_recipe(llama, a={}), tmp_path)
    assert told.startswith(f"students.a: the base model {llama} is a causal language model (llama): name an encoder")


def test_a_hub_model_that_is_neither_here_nor_to_be_had(tmp_path: Path) -> None:
    told = refused(tiny_causal.make_recipe(a={"base": "nobody/nothing", **ADAPTER}), tmp_path)
    assert told.startswith(
        "the base model nobody/nothing cannot be loaded from the Hub's cache, and HF_HUB_OFFLINE is set, so"
    )
    assert "\n" not in told


def test_a_tokenizer_without_a_template_is_found_ahead(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finetune import causal_model

    bare = tiny_llama.make_tokenizer()
    bare.chat_template = None
    monkeypatch.setattr(causal_model, "load_causal_tokenizer", lambda base: bare)
    told = refused(tiny_causal.make_recipe(a={"base": str(llama), **ADAPTER, "format": "chat"}), tmp_path)
    assert "has no chat template: use format: alpaca or think" in told


def test_several_processes(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    told = refused(tiny_causal.make_recipe(a={}), tmp_path)
    assert told == "students.a: batch_size 8 cannot be shared by 3 processes: set it to a multiple of their number"
    assert refused(tiny.make_recipe(bert, a={}), tmp_path) == (
        "students.a: this kind of student is trained by one process: start python -m finetune alone; a local teacher "
        "can label before it by all of them, with -m synth"
    )


def chat_recipe(**student: Any) -> Recipe:
    made = tiny_causal.make_recipe(a={}, b=student)
    source = made.source.model_copy(update={"fields": None, "messages": "messages"})
    return made.model_copy(update={"task": "chat", "source": source})


def test_long_conversations_stop_a_format_of_one_question_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path)
    rows = [tiny_causal.make_row(number, "train") for number in range(3)]
    told = [Turn(role=role, content="x") for role in ("system", "user", "assistant")]
    rows[0] = rows[0].model_copy(update={"history": (told[0],)})
    for split in ("train", "validation"):
        write_rows(run.rows / f"{split}.jsonl", rows)
    monkeypatch.setattr(train, "_bring_up_to_date", lambda recipe, name, run: name)
    assert list(train_students(chat_recipe(format="think"), "ab", run)) == ["a", "b"]
    write_rows(run.rows / "train.jsonl", [*rows, rows[2].model_copy(update={"history": tuple(told)})])
    with pytest.raises(
        TrainingError, match=r"students\.a: format: alpaca has one question .* the row train-2 is a longer"
    ):
        train_students(chat_recipe(format="think"), "ab", run)
    for one in ({"format": "chat"}, {"rows": "description"}):
        recipe = chat_recipe(**one)
        recipe = recipe.model_copy(update={"students": {"b": recipe.students["b"]}})
        assert list(train_students(recipe, "b", run)) == ["b"]


def test_what_is_trained_already_is_not_looked_at_again(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_causal.make_recipe(a={"max_length": 32}, b={"base": str(llama), **ADAPTER})
    assert "students.a: max_length 32 has no room" in refused(recipe, tmp_path)
    monkeypatch.setattr(train, "_is_trained", lambda recipe, name, run: name == "a")
    check_ahead(recipe, "ab", RunFolder(tmp_path))


def test_online_no_setting_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    base = Base("nobody/nothing", "nobody/nothing", "nobody/nothing", None)
    with pytest.raises(TrainingError, match="cannot be loaded from the Hub or its cache: gone"), loading(base):
        raise OSError("gone")
