"""Recipes about reviews: what their sources, prompts, students and datasets must agree on, and the shipped ones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from recipes.errors import RecipeError
from recipes.load import load_recipe
from recipes.prompts import SHIPPED, read_prompt
from recipes.semeval import WHERE_FROM

ROOT = Path(__file__).parent.parent
ASKED = """\
name: small
task: understanding
source: {path: reviews.jsonl, text: text}
teacher: {provider: endpoint, base_url: "http://127.0.0.1:9/v1", model: m}
synthesis: {prompt: understanding-analysis, rewrite_prompt: understanding-rewrite}
students: {s: {kind: seq2seq, base: scratch}}
"""
GIVEN = """\
name: small
task: understanding
source: {path: reviews.jsonl, text: text, analysis: analysis}
students: {s: {kind: seq2seq, base: scratch}, t: {kind: seq2seq, base: students.s, data: terms}}
datasets:
  terms: {task: atsa, source: {path: set.xml}}
"""
GOLD = """\
name: small
task: acsa
source: {path: gold.jsonl, text: text, aspects: aspects}
students: {s: {kind: seq2seq, base: scratch}}
"""
OPINION = '<Opinions><Opinion target="x" category="A#B" polarity="positive" from="0" to="1"/></Opinions>'
XML = "<a>" + "".join(f"<sentence id='{n}'><text>x</text>{OPINION}</sentence>" for n in range(9)) + "</a>"


def write(folder: Path, text: str, *change: str) -> Path:
    if change:
        old, new = change
        assert old in text, old
        text = text.replace(old, new)
    rows = [{"text": f"t{n}", "analysis": "a", "label": "good", "aspects": []} for n in range(9)]
    for name in ("reviews", "gold"):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    (folder / "set.xml").write_text(XML, encoding="utf-8")
    path = folder / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", [ASKED, GIVEN, GOLD])
def test_good_recipes_load(tmp_path: Path, text: str) -> None:
    recipe = load_recipe(write(tmp_path, text))
    assert (recipe.asks(), recipe.calls()) == (text == ASKED, 1 if text == GOLD else 2)


@pytest.mark.parametrize(
    ("text", "old", "new", "sentence"),
    [
        (ASKED, ", text: text", "", r"r\.yaml:3: source\.text: is missing: task: understanding needs the column"),
        (ASKED, "text: text", "text: text, aspects: a", r"3: source\.aspects: has no place with task: understanding"),
        (ASKED, "text: text", "text: analysis, analysis: analysis", "the text and its analysis cannot be the same col"),
        (ASKED, "text: text", "text: text, rewrite: analysis", r"4: teacher: is not asked: source\.analysis and"),
        (ASKED, ", rewrite_prompt: understanding-rewrite", "", r"5: synthesis\.rewrite_prompt: is missing: a shipped"),
        (ASKED, "analysis, rew", "analysis, votes: 3, rew", r"5: synthesis\.votes: opinions and a rewrite have no maj"),
        (ASKED, "-analysis,", "-rewrite,", r"answer\.kind: task: understanding reads answers of kind: analysis"),
        (ASKED, "rewrite_prompt: understanding-rewrite", "rewrite_prompt: understanding-r", "no shipped prompt"),
        (ASKED, "kind: seq2seq", "kind: classifier", r"6: students\.s\.kind: task: understanding trains students of k"),
        (ASKED, "students:", "filters: {}\nstudents:", r"6: filters: filters go with generative tasks"),
        (GIVEN, "students:", "synthesis: {prompt: x}\nstudents:", r"synthesis\.prompt: has no place with task: unders"),
        (GIVEN, "analysis: analysis", "analysis: anlysis", r"3: source\.analysis: there is no column 'anlysis'"),
        (GIVEN, "analysis: analysis", "analysis: analysis, test_path: set.xml", r"\(\.xml\) goes with the tasks atsa"),
        (GIVEN, "set.xml", "sets.xml", r"6: datasets\.terms\.source\.path: there is no file .*did you mean set\.xml"),
        (GIVEN, "set.xml}", "set.xml, text: t}", r"6: datasets\.terms\.source\.text: a SemEval file has columns of"),
        (GIVEN, "set.xml}", "set.xml, test_path: gold.jsonl}", "one of path and test_path is a SemEval file"),
        (GIVEN, "task: atsa", "task: sentiment", r"6: datasets\.terms\.source\.path: a SemEval file"),
        (GIVEN, ", data: terms", "", r"6: datasets\.terms: no student learns it: write data: terms"),
        (GIVEN, "data: terms", "data: term", r"students\.t\.data: there is no dataset term; did you mean terms"),
        (GIVEN, "path: set.xml", "path: gold.jsonl, text: text", r"6: datasets\.terms\.source\.aspects: is missing"),
        (GIVEN, "path: set.xml", "path: gold.jsonl, text: text, aspects: label", "row 1 of gold.jsonl holds no list"),
        (GOLD, "task: acsa", "task: sentiment", r"2: task: sentiment is what students are scored on, not taught"),
        (
            GOLD,
            "students:",
            "teacher: {provider: openai, model: m}\nstudents:",
            r"4: teacher: task: acsa asks no teach",
        ),
    ],
)
def test_mistakes_have_their_line_and_a_sentence(tmp_path: Path, text: str, old: str, new: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, text, old, new))
    assert re.search(sentence, "\n".join(caught.value.mistakes)), caught.value.mistakes


def test_labels_of_a_sentiment_dataset_are_checked(tmp_path: Path) -> None:
    source = "{path: gold.jsonl, text: text, label: label, label_names: {good: pos}}"
    extra = f"datasets:\n  moods: {{task: sentiment, source: {source}}}\n"
    with pytest.raises(RecipeError, match=r"datasets\.moods\.source\.label_names\.good: pos is none of the labels"):
        load_recipe(write(tmp_path, ASKED + extra))
    good = load_recipe(write(tmp_path, ASKED + extra.replace("pos}", "positive}")))
    assert good.of_dataset("moods").labels == ("negative", "neutral", "positive")


def test_a_dataset_alone_has_its_task_and_source_and_nobody_to_ask(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GIVEN)).of_dataset("terms")
    assert (recipe.task, recipe.source.path, recipe.asks(), recipe.labels) == ("atsa", "set.xml", False, ())


def test_the_real_recipe_wants_nothing_but_the_files_that_cannot_be_shipped(tmp_path: Path) -> None:
    path = ROOT / "recipes" / "fsa.yaml"
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert len(caught.value.mistakes) == 8
    assert all("there is no file " in mistake for mistake in caught.value.mistakes)
    where = f"there is no file {ROOT / 'semeval' / 'EN_REST_SB1_TEST.xml.gold'}"
    (line,) = [mistake for mistake in caught.value.mistakes if where in mistake]
    assert line.endswith(f"; {WHERE_FROM}") and "https://alt.qcri.org/semeval2016/task5" in line
    (tmp_path / "set.xml").write_text(XML, encoding="utf-8")
    there = f"{tmp_path / 'set.xml'}"
    sets = ("rest14", "laptop14", "rest16", "laptop16")
    overrides = [f"datasets.{name}.source={{path: {there}, test_path: {there}}}" for name in sets]
    recipe = load_recipe(path, overrides)
    assert len(recipe.students) == 9
    for name in sets:
        plain, distilled = recipe.seq2seq(f"t5-{name}"), recipe.seq2seq(f"fsa-{name}")
        assert len(plain.seeds) == 10
        assert plain.model_copy(update={"base": distilled.base}) == distilled


@pytest.mark.parametrize("kind", ["analysis", "rewrite"])
def test_the_shipped_prompts_show_what_can_be_read(kind: str) -> None:
    prompt = read_prompt(SHIPPED / f"understanding-{kind}.yaml", "understanding", (), (), kind)
    assert prompt.placeholders == {"text"} and len(prompt.static) >= 5


def test_a_semeval_file_without_answers_is_told_from_the_one_with_them(tmp_path: Path) -> None:
    path = write(tmp_path, GIVEN)
    (tmp_path / "set.xml").write_text(XML.replace(OPINION, ""), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"none of the first 9 sentences of set\.xml has opinions: name the"):
        load_recipe(path)
