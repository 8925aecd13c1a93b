"""Recipes with a teacher on this machine: every mistake, at its line; and what has no place beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_runs import RECIPE, write_local

from recipes.errors import RecipeError
from recipes.load import load_recipe
from recipes.local_teacher import LocalTeacher

MANY = """\
name: small
task: classify
labels: [negative, neutral, positive]
source: {path: rows.jsonl, text: text, test: 8}
teacher:
  provider: zero_shot
  model: a/b
  hypothesis: "It is {}."
synthesis:
  max_text_chars: 500
students:
  s:
    kind: classifier
    base: minilm
"""


def told(folder: Path, *changes: tuple[str, str], text: str = MANY) -> list[str]:
    for old, new in changes:
        assert old in text, f"{old!r} is not in the recipe"
        text = text.replace(old, new)
    with pytest.raises(RecipeError) as caught:
        load_recipe(write_local(folder, recipe=text))
    return [line.removeprefix(f"{folder}/") for line in caught.value.mistakes]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("  provider: zero_shot\n", "", "r.yaml:5: teacher.provider: is missing"),
        ("zero_shot", "zeroshot", "r.yaml:6: teacher.provider: must be openai, deepseek, fireworks, endpoint, "
         "recorded, none, zero_shot or embedding, got 'zeroshot'; did you mean zero_shot?"),
        ("zero_shot", "", "r.yaml:6: teacher.provider: has no value: write one after the colon"),
        ("  model: a/b\n", "", "r.yaml:5: teacher.model: is missing"),
        ("  model: a/b\n", "  model: a/b\n  price: {input: 1, output: 2}\n", "r.yaml:8: teacher.price: has no place "
         "with provider: zero_shot: the model runs on this machine, and no API is asked"),
        ("  model: a/b\n", "  model: a/b\n  key_env: OPENAI_API_KEY\n", "r.yaml:8: teacher.key_env: has no place with "
         "provider: zero_shot: the model runs on this machine, and no API is asked"),
        ("  model: a/b\n", "  model: a/b\n  api_key: x\n", "r.yaml:8: teacher.api_key: an API key never stands in a "
         "recipe: set the environment variable and, if need be, name it with key_env"),
        ("  model: a/b\n", "  model: a/b\n  max_lenght: 64\n",
         "r.yaml:8: teacher.max_lenght: unknown key; did you mean max_length?"),
        ("It is {}.", "It is so.", "r.yaml:8: teacher.hypothesis: must have {} exactly once, where the label goes, got "
         "'It is so.'"),
        ("  model: a/b\n", "  model: minilm\n", "r.yaml:5: teacher: minilm was not taught to infer: it goes with "
         "provider: embedding; name an NLI model"),
        ("  model: a/b\n", "  model: ./none\n", "teacher.model: there is no folder"),
        ("  model: a/b\n", "  model: a/b/c\n", "r.yaml:7: teacher.model: 'a/b/c' is neither a folder here nor a name "
         "that the Hub could have"),
        ("  model: a/b\n", "  model: a/b\n  descriptions: {negatif: bad}\n",
         "r.yaml:8: teacher.descriptions.negatif: negatif is none of the labels; did you mean negative?"),
        ("  model: a/b\n", "  model: a/b\n  descriptions: {negative: positive}\n", "r.yaml:8: teacher.descriptions: "
         "negative and positive have the same hypothesis, 'It is positive.'"),
        ("  model: a/b\n", "  model: a/b\n  temperature: 0\n",
         "r.yaml:8: teacher.temperature: must be more than 0, got 0"),
        ("  max_text_chars: 500\n", "  prompt: sentiment-word\n", "r.yaml:10: synthesis.prompt: has no place beside "
         "provider: zero_shot: it is given hypotheses (teacher.hypothesis, teacher.descriptions)"),
        ("  max_text_chars: 500\n", "  votes: 3\n",
         "r.yaml:10: synthesis.votes: has no place beside provider: zero_shot: it says the same every time"),
        ("  max_text_chars: 500\n", "  reask: 1\n",
         "r.yaml:10: synthesis.reask: has no place beside provider: zero_shot: it says the same every time"),
        ("  max_text_chars: 500\n", "  budget_usd: 1\n",
         "r.yaml:10: synthesis.budget_usd: has no place beside provider: zero_shot: nobody is paid"),
        ("  max_text_chars: 500\n", "  output: text\n",
         "r.yaml:10: synthesis.output: has no place beside provider: zero_shot: it is not asked in messages"),
    ],
)  # fmt: skip
def test_each_mistake_at_its_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    lines = told(tmp_path, (old, new))
    assert len(lines) == 1, lines
    assert line in lines[0]


def test_a_teacher_behind_an_api_has_no_hypothesis(tmp_path: Path) -> None:
    (line,) = told(tmp_path, ("zero_shot", "endpoint\n  base_url: http://localhost/v1"),
                   ("max_text_chars: 500", "prompt: sentiment-word"))  # fmt: skip
    assert line == "r.yaml:9: teacher.hypothesis: goes with provider: zero_shot or embedding, which this is not"


def test_mistakes_are_told_together(tmp_path: Path) -> None:
    lines = told(tmp_path, ("  model: a/b\n", "  model: a/b\n  colour: red\n  descriptions: {x: y}\n"),
                 ("  max_text_chars: 500\n", "  votes: 2\n"), ("base: minilm", "base: ./nowhere"))  # fmt: skip
    assert [line.split(": ")[1] for line in lines] == [
        "teacher.colour", "teacher.descriptions.x", "synthesis.votes", "students.s.base",
    ]  # fmt: skip


def test_other_tasks_have_no_labels(tmp_path: Path) -> None:
    changes = (("task: classify\nlabels: [negative, neutral, positive]\n", "task: reasoning\n"),
               ("text: text", "fields: {title: text}"), ("kind: classifier\n    base: minilm", "kind: causal\n    "
               "base: scratch\n    format: think\n    lora: null\n    quantization: none"))  # fmt: skip
    lines = told(tmp_path, *changes)
    assert any(
        "teacher.provider: zero_shot says how likely each label is: it goes with task: classify" in one for one in lines
    )


def test_an_embedding_knows_no_several_labels(tmp_path: Path) -> None:
    (line,) = told(tmp_path, ("zero_shot", "embedding"), ("model: a/b", "model: minilm\n  multi_label: true"))
    assert "teacher: cosines say which label is nearest, not whether one applies: multi_label needs zero_shot" in line


def test_an_assistant_and_a_judge_are_somebody_who_writes(tmp_path: Path) -> None:
    assistant = "retrieval:\n  catalogue: {path: rows.jsonl, id: id, fields: {title: text}}\n"
    assistant += "  embedding: {model: minilm}\nassistant: {model: teacher}\n"
    (line,) = told(tmp_path, text=MANY + assistant)
    assert "assistant.model: a teacher with provider: zero_shot cannot answer new questions" in line
    lines = told(tmp_path, text=MANY + "evaluation:\n  judge: {provider: embedding, model: minilm}\n")
    assert any("evaluation.judge.provider: must be openai, deepseek" in one for one in lines)


def test_a_good_one_needs_no_prompt_and_students_may_learn_hard_labels(tmp_path: Path) -> None:
    (tmp_path / "nli").mkdir()
    (tmp_path / "nli" / "config.json").write_text("{}", encoding="utf-8")
    recipe = load_recipe(write_local(tmp_path), ["students.s.targets=hard", "teacher.descriptions={negative: bad}"])
    teacher = recipe.teacher
    assert isinstance(teacher, LocalTeacher)
    assert teacher.words("negative") == "The sentiment of this text is bad."
    assert (teacher.divisor, teacher.calibrates, teacher.is_paid(), teacher.key_variable()) == (1.0, False, False, None)
    assert RECIPE.startswith("name: small")
