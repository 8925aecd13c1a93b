"""A recipe of an assistant alone: when task, source and students may be missing, and what the launchers then say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipes import __main__ as recipes_main
from recipes.alone import is_alone
from recipes.cli import open_launch, stage_parser
from recipes.errors import RecipeError, RunError
from recipes.load import load_recipe
from recipes.origin import origin_of, refuse_other
from recipes.plan import make_plan
from recipes.runs import RunFolder
from recipes.stages import index_inputs, rows_inputs

SHIPPED = Path(recipes_main.__file__).parent / "catalogue-assistant.yaml"
ALONE: dict[str, Any] = {
    "name": "shop",
    "retrieval": {
        "catalogue": {"path": "things.jsonl", "id": "sku", "fields": {"title": "name", "description": "text"}},
        "embedding": {"model": "minilm"},
    },
    "assistant": {},
}
SOURCE = {"path": "things.jsonl", "id": "sku", "fields": {"title": "name", "description": "text"}}
STUDENT = {"kind": "causal", "base": "scratch", "format": "alpaca", "lora": None, "quantization": "none"}


def write(folder: Path, name: str = "recipe.yaml", **changes: Any) -> Path:
    """The recipe with sections changed, or taken out where a change is None; and its catalogue of three things."""
    rows = [{"sku": f"a{number}", "name": f"Thing {number}", "text": "It is useful."} for number in range(3)]
    (folder / "things.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = {section: value for section, value in (ALONE | changes).items() if value is not None}
    path = folder / name
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def mistakes(path: Path) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    return [line.partition(": ")[2] for line in caught.value.mistakes]


def test_a_catalogue_is_enough(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path))
    assert is_alone(recipe) and not recipe.students
    assert is_alone(load_recipe(write(tmp_path, assistant=None)))  # to be searched alone
    assert is_alone(load_recipe(write(tmp_path, task="none")))


def test_without_a_catalogue_all_is_missing_as_ever(tmp_path: Path) -> None:
    lines = mistakes(write(tmp_path, retrieval=None, assistant=None))
    assert lines == ["task: is missing", "source: is missing", "students: is missing"]


def test_an_assistant_without_a_catalogue_lacks_that_alone(tmp_path: Path) -> None:
    assert mistakes(write(tmp_path, retrieval=None)) == [
        "assistant: an assistant answers from a catalogue: the recipe needs a section retrieval"
    ]


def test_what_is_there_of_rows_needs_the_rest(tmp_path: Path) -> None:
    def lacking(**sections: Any) -> dict[str, str]:
        lines = mistakes(write(tmp_path, **sections))
        return {line.partition(": ")[0]: line for line in lines if "cannot stand without it" in line}

    assert set(lacking(students={"s": STUDENT})) == {"task", "source"}
    assert set(lacking(task="none", source=SOURCE, students={"s": STUDENT})) == {"task"}
    only = lacking(source=SOURCE, task="description")
    assert only["students"] == (
        "students: is missing: task, source cannot stand without it, and an assistant alone has none of these sections"
    )
    assert set(lacking(labels=["a", "b"])) == {"task", "source", "students"}


def test_a_misspelt_or_broken_section_is_there_all_the_same(tmp_path: Path) -> None:
    assert mistakes(write(tmp_path, sorce=SOURCE, task="description", students={"s": STUDENT})) == [
        "sorce: unknown key; did you mean source?"
    ]
    broken = mistakes(write(tmp_path, retrieval={"catalog": ALONE["retrieval"]["catalogue"]}))
    assert not any("is missing" in line and line.startswith(("task", "source", "students")) for line in broken)
    assert mistakes(write(tmp_path, source=5, task="description", students={"s": STUDENT})) == [
        "source: must be a section of `key: value` lines, got 5"
    ]


def test_students_may_be_left_out_and_not_empty(tmp_path: Path) -> None:
    assert mistakes(write(tmp_path, students={}, task="description", source=SOURCE)) == [
        "students: must have at least 1, has 0"
    ]


def test_an_assistant_alone_has_no_student_and_no_teacher_to_answer(tmp_path: Path) -> None:
    assert mistakes(write(tmp_path, assistant={"model": "students.s"})) == [
        "assistant.model: the recipe has no students: name extractive, or endpoint with its base_url and model"
    ]
    [line] = mistakes(write(tmp_path, assistant={"model": "teacher"}))
    assert line.startswith("assistant.model: ") and "endpoint" in line


def test_launchers_of_rows_say_what_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path)
    args = stage_parser("synth", "").parse_args([str(path), "--run", str(tmp_path / "run")])
    with pytest.raises(RunError, match=r"of an assistant alone .* needs the sections task, source and students"):
        open_launch(args)
    assert open_launch(args, alone=True).recipe.name == "shop"
    with pytest.raises(RunError, match="of an assistant alone"):
        rows_inputs(load_recipe(path))
    assert not (tmp_path / "run").exists()


def plan(path: Path, run: RunFolder) -> dict[str, str]:
    return {line[:9].strip(): line[10:] for line in make_plan(load_recipe(path), run).lines()}


def test_a_plan_of_an_assistant_alone(tmp_path: Path) -> None:
    endpoint = {"base_url": "http://localhost:11434/v1", "model": "llama3.2", "key_env": "TUTELAGE_NO_SUCH_KEY"}
    path = write(tmp_path, assistant={"model": "endpoint", "endpoint": endpoint})
    run = RunFolder(tmp_path / "run")
    assert plan(path, run) == {
        "recipe": "shop: an assistant alone",
        "index": "to do: it has not run yet; up to 3 documents of things.jsonl, all embedded by minilm",
        "assistant": "llama3.2 (http://localhost:11434/v1)",
        "note": "TUTELAGE_NO_SUCH_KEY is not set: put it into the environment or a .env file",
    }
    assert not run.path.exists()


def test_a_plan_of_an_index_that_was_stopped(tmp_path: Path) -> None:
    path, run = write(tmp_path), RunFolder(tmp_path / "run")
    (run.path / "index").mkdir(parents=True)
    (run.path / "index" / "catalogue.sqlite").touch()
    assert plan(path, run)["index"].endswith(
        "of which minilm embeds what is not in yet: indexing was stopped on the way"
    )


def test_the_lines_for_a_model_that_writes_are_a_recipe(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8").replace("path: data/", f"path: {SHIPPED.parent}/data/")
    before, _, rest = text.partition("  model: extractive\n")
    about, *lines = rest.splitlines()
    assert about.startswith("  # For a model that writes") and len(lines) == 3
    assert all(line.startswith("  # ") for line in lines)
    (tmp_path / "mine.yaml").write_text(before + "\n".join(f"  {line[4:]}" for line in lines), encoding="utf-8")
    recipe = load_recipe(tmp_path / "mine.yaml")
    assert recipe.assistant is not None and recipe.assistant.endpoint is not None
    assert recipe.assistant.endpoint.base_url == "http://localhost:11434/v1"


def test_a_plan_knows_what_the_index_holds(tmp_path: Path) -> None:
    path, run = write(tmp_path), RunFolder(tmp_path / "run")
    run.finish("index", index_inputs(load_recipe(path)), [], {"documents": 3, "chunks": 5})
    ledger = run.path / "index" / "catalogue.sqlite"
    ledger.parent.mkdir()
    ledger.touch()
    assert plan(path, run)["index"] == "up to date: 3 documents in 5 pieces, embedded by minilm"
    with (tmp_path / "things.jsonl").open("a") as file:
        file.write('{"sku": "a9", "name": "Another", "text": "Also useful."}\n')
    assert plan(path, run)["index"] == (
        "to do: catalogue file changed; up to 4 documents of things.jsonl, of which minilm embeds what is not among "
        "the 3 in the index, or reads otherwise"
    )
    ledger.unlink()
    said = plan(path, run)["index"]
    assert "index/catalogue.sqlite is missing; " in said and said.endswith("all embedded by minilm")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"embedding": {"model": "minilm", "max_tokens": 64}}, "embedding changed; {}, all embedded anew by minilm"),
        ({"chunk_tokens": 100}, "chunks changed; {}, all embedded anew by minilm"),
        (
            {"embedding": {"model": "minilm", "query_prompt": "find: "}},
            "threshold changed; {}, of which none is embedded anew",
        ),
        ({"refuse": 0.2}, "threshold changed; {}, of which none is embedded anew"),
        ({"server": "http://localhost:8000"}, "server changed; {}, of which none is embedded anew"),
    ],
)
def test_a_plan_says_what_is_embedded_anew(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    run = RunFolder(tmp_path / "run")
    run.finish("index", index_inputs(load_recipe(write(tmp_path))), [], {"documents": 3, "chunks": 5})
    (run.path / "index").mkdir()
    (run.path / "index" / "catalogue.sqlite").touch()
    path = write(tmp_path, retrieval=ALONE["retrieval"] | changed)
    assert plan(path, run)["index"] == "to do: " + said.format("up to 3 documents of things.jsonl")


def test_two_recipes_of_one_name_are_told_apart_by_their_catalogue(tmp_path: Path) -> None:
    mine = write(tmp_path)
    run = RunFolder(tmp_path / "run", origin_of(load_recipe(mine), mine))
    with run.lock():
        pass
    catalogue = ALONE["retrieval"]["catalogue"] | {"limit": 2}
    other = write(tmp_path, "other.yaml", retrieval=ALONE["retrieval"] | {"catalogue": catalogue})
    recipe = load_recipe(other)
    with pytest.raises(RunError, match="has the same name"):
        refuse_other(recipe, RunFolder(run.path, origin_of(recipe, other)))


def test_list_shows_the_shipped_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert recipes_main.main(["list"]) == 0
    shown = capsys.readouterr().out
    about = shown[shown.index("catalogue-assistant\n") :].split("\n    ")[1:]
    titles = [
        line.split()[0] for line in about[: 1 + next(n for n, x in enumerate(about) if x.startswith("assistant"))]
    ]
    assert titles == ["about", "file", "catalogue", "assistant"]


def test_an_assistant_alone_has_nothing_to_compare(tmp_path: Path) -> None:
    judge = {"provider": "endpoint", "base_url": "http://localhost:1/v1", "model": "m"}
    section = {"models": ["s"], "metrics": ["accuracy"], "judge": judge, "resamples": 100}
    why = "has no place in a recipe of an assistant alone: it has no models to compare"
    assert mistakes(write(tmp_path, evaluation=section)) == [
        f"evaluation.{key}: {why}" for key in ("models", "metrics", "judge")
    ]
