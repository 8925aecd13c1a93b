"""The sections retrieval and assistant: what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from recipes.errors import RecipeError
from recipes.load import load_recipe
from recipes.stages import embedding_fingerprint, index_inputs

CATALOGUE = '{"sku": "a1", "name": "Tea warmer", "text": "Keeps tea warm.", "usd": 19.5}\n'


def recipe_with(folder: Path, retrieval: dict[str, Any] | None, assistant: dict[str, Any] | None = None) -> Path:
    (folder / "things.jsonl").write_text(CATALOGUE * 3)
    recipe: dict[str, Any] = {
        "name": "shop",
        "task": "description",
        "source": {"path": "things.jsonl", "id": "sku", "fields": {"title": "name", "description": "text"}},
        "students": {"writer": {"kind": "causal", "base": "scratch", "format": "alpaca", "lora": None}},
    }
    recipe["students"]["writer"]["quantization"] = "none"
    recipe |= {"retrieval": retrieval} if retrieval is not None else {}
    recipe |= {"assistant": assistant} if assistant is not None else {}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


def section(**changes: Any) -> dict[str, Any]:
    catalogue = {"path": "things.jsonl", "id": "sku", "fields": {"title": "name", "description": "text"}}
    return {"catalogue": catalogue, "embedding": {"model": "minilm"}} | changes


def refused(folder: Path, retrieval: dict[str, Any] | None, assistant: dict[str, Any] | None = None) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_with(folder, retrieval, assistant))
    return "\n".join(caught.value.mistakes)


def test_a_good_pair_of_sections(tmp_path: Path) -> None:
    recipe = load_recipe(recipe_with(tmp_path, section(top_k=3), {"model": "students.writer"}))
    assert recipe.retrieval is not None and recipe.assistant is not None
    assert (recipe.retrieval.top_k, recipe.assistant.model) == (3, "students.writer")


@pytest.mark.parametrize(
    ("retrieval", "said"),
    [
        ({"chunk_tokens": 64, "chunk_overlap": 40}, "chunk_overlap 40 is over half of chunk_tokens 64"),
        ({"top_k": 9, "candidates": 5}, "candidates 5 must be at least top_k 9"),
        ({"server": "http://169.254.169.254"}, "retrieval.server: must be a Chroma server's address"),
        ({"server": "http://shop.example"}, "retrieval.server: must be a Chroma server's address"),
        ({"server": "http://localhost:8000/chroma/"}, "has the path /chroma, and a Chroma server has none"),
        ({"server_key_env": "KEY"}, "server_key_env goes with server"),
        ({"server": "http://localhost:8000", "server_key_env": "sk_" + "a1B2" * 12}, "_env: must be the NAME"),
        ({"rerank": "./nowhere"}, "retrieval.rerank: there is no folder"),
        ({"embedding": {"model": "./nowhere"}}, "retrieval.embedding.model: there is no folder"),
        (
            {"embedding": {"model": "MiniLM"}},
            "retrieval.embedding.model: there is no model MiniLM; did you mean minilm?",
        ),
        ({"catalogue": {"path": "no.jsonl", "fields": {"title": "name"}}}, "catalogue.path: there is no file"),
        ({"catalogue": {"path": "things.jsonl", "fields": {"title": "nam"}}}, "no column 'nam'; did you mean name?"),
        (
            {"catalogue": {"path": "things.jsonl", "fields": {"title": "name"}, "metadata": {"title": "usd"}}},
            "title: one name cannot be a field and metadata at once",
        ),
        ({"catalogue": {"fields": {"title": "name"}}}, "name either hub"),
    ],
)
def test_what_cannot_be_retrieved_is_refused(tmp_path: Path, retrieval: dict[str, Any], said: str) -> None:
    assert said in refused(tmp_path, section(**retrieval))


@pytest.mark.parametrize(
    ("assistant", "said"),
    [
        ({"model": "students.writr"}, "there is no student writr; did you mean writer?"),
        ({"model": "gpt"}, "must be students.<name>, teacher, endpoint or extractive"),
        ({"model": "teacher"}, "a teacher with provider: none cannot answer new questions"),
        ({"model": "endpoint"}, "model: endpoint goes with the key `endpoint`"),
        ({"host": "0.0.0.0"}, "can be reached by others: name the variable"),
        ({"model": "endpoint", "endpoint": {"base_url": "ftp://x", "model": "m"}}, "assistant.endpoint.base_url: "),
        ({"host": "0.0.0.0", "key_env": "sk_" + "a1B2" * 12}, "this looks like"),
    ],
)
def test_who_cannot_answer_is_refused(tmp_path: Path, assistant: dict[str, Any], said: str) -> None:
    assert said in refused(tmp_path, section(), assistant)


def test_an_assistant_needs_a_catalogue(tmp_path: Path) -> None:
    assert "the recipe needs a section retrieval" in refused(tmp_path, None, {})
    both = refused(tmp_path, section(top_k=9, candidates=5), {})
    assert "the recipe needs a section retrieval" not in both, "it is there, if not good"


def test_what_an_index_is_made_from(tmp_path: Path) -> None:
    def inputs(**changes: Any) -> dict[str, str]:
        return index_inputs(load_recipe(recipe_with(tmp_path, section(**changes))))

    first = inputs()
    assert inputs(top_k=2, candidates=9, refuse=0.5) | {"threshold": first["threshold"]} == first
    assert inputs(top_k=2, candidates=9) == first, "how it is searched is no part of it"
    changed = {
        "chunks": {"chunk_tokens": 100}, "threshold": {"embedding": {"model": "minilm", "query_prompt": "find: "}},
        "embedding": {"embedding": {"model": "minilm", "max_tokens": 64}}, "server": {"server": "http://localhost:80"},
    }  # fmt: skip
    for name, setting in changed.items():
        assert [key for key, sha in inputs(**setting).items() if sha != first[key]] == [name]
    (tmp_path / "things.jsonl").write_text(CATALOGUE * 4)
    assert index_inputs(load_recipe(tmp_path / "recipe.yaml"))["catalogue file"] != first["catalogue file"]


def test_every_layer_of_a_folder_is_part_of_the_embedding(tmp_path: Path) -> None:
    model = tmp_path / "model"
    for name in ("1_Pooling", "2_Dense", ".git"):
        (model / name).mkdir(parents=True)
    (model / "config.json").write_text("{}")
    path = recipe_with(tmp_path, section(embedding={"model": "./model"}))
    before = embedding_fingerprint(load_recipe(path))
    (model / ".git" / "index.json").write_text("{}")
    assert embedding_fingerprint(load_recipe(path)) == before, "what git keeps is no part of it"
    found = {before}
    for name in ("1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"):
        (model / name).write_text("{}")
        found.add(embedding_fingerprint(load_recipe(path)))
    assert len(found) == 4


def test_an_unknown_model_hides_no_other_mistake_of_its_section(tmp_path: Path) -> None:
    said = refused(tmp_path, section(), {"model": "extractivee", "host": "0.0.0.0"})
    assert "assistant.model: must be students.<name>, teacher, endpoint or extractive, got 'extractivee'" in said
    assert "assistant.host: 0.0.0.0 can be reached by others" in said
