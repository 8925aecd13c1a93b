# ruff: noqa: E501 (golden sentences stay on one line)
"""Recipes: every kind of mistake, at its line, all at once; --set."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from recipe_files import write_recipe

from recipes.errors import RecipeError
from recipes.load import load_recipe

SHIPPED = sorted((Path(__file__).parent.parent / "recipes").glob("[!f]*.yaml"))  # fsa: test_recipes_reviews.py


def mistakes(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    return [line.replace(str(path), "r.yaml").replace(str(path.parent), "DIR") for line in caught.value.mistakes]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_recipe_checks(path):
    assert load_recipe(path).name == path.stem


def test_a_good_recipe_loads_and_knows_its_folder(tmp_path):
    recipe = load_recipe(write_recipe(tmp_path))
    assert recipe.resolve("texts.jsonl") == (tmp_path / "texts.jsonl").resolve()
    assert recipe.students["tiny"].learning_rate == 5e-5


ONE_MISTAKE = [
    # what is changed, into what, the whole line that is told
    ("labels: [negative, neutral, positive]", "labels: [no, neutral, positive]",
     "r.yaml:3: labels.0: YAML reads no as false: write 'no' in quotes"),
    ("labels: [negative, neutral, positive]", "labels: [1, neutral, positive]",
     "r.yaml:3: labels.0: YAML reads 1 as a number: write '1' in quotes"),
    ("labels: [negative, neutral, positive]", "labels: [null, neutral, positive]",
     "r.yaml:3: labels.0: YAML reads null as nothing (null): write 'null' in quotes"),
    ("labels: [negative, neutral, positive]", "labels: [a, A]",
     "r.yaml:3: labels: labels must be distinct (upper and lower case count as the same) and not empty"),
    ("labels: [negative, neutral, positive]", "labels: positive",
     "r.yaml:3: labels: must be a list, such as [positive]"),
    ("labels: [negative, neutral, positive]", "labels: [positive]",
     "r.yaml:3: labels: must have at least 2, has 1"),
    ("name: small", "name: Small One",
     "r.yaml:1: name: a name has lower-case letters, digits, - and _ only (it becomes a folder), got 'Small One'"),
    ("name: small", "name: con", "r.yaml:1: name: Windows keeps the name con for a device: choose another"),
    ("name: small", "name: on", "r.yaml:1: name: YAML reads on as true: write 'on' in quotes"),
    ("task: classify", "task: clasify", "r.yaml:2: task: must be classify, reasoning, description, chat, understanding, atsa, acsa, sentiment or none, got "
     "'clasify'; did you mean classify?"),
    ("  text: text\n", "  text:\n", "r.yaml:6: source.text: is missing: task: classify needs the column that the student reads"),
    ("  path: texts.jsonl", "  path: text.jsonl",
     "r.yaml:5: source.path: there is no file DIR/text.jsonl; did you mean texts.jsonl?"),
    ("  path: texts.jsonl", "  pth: texts.jsonl", "r.yaml:5: source.pth: unknown key; did you mean path?"),
    ("  text: text\n", "", "r.yaml:4: source.text: is missing: task: classify needs the column that the student reads"),
    ("  text: text\n", "  text: tex\n",
     "r.yaml:6: source.text: there is no column 'tex' in texts.jsonl; did you mean text?"),
    ("  label: label\n", "  label: label\n  train: yes\n", "r.yaml:8: source.train: must be a whole number, got yes"),
    ("  label: label\n", "  label: label\n  train: 0\n", "r.yaml:8: source.train: must be at least 1, got 0"),
    ("  label: label\n", "  label: label\n  test: 30\n",
     "r.yaml:8: source.test: 30 rows to score on are asked for, and texts.jsonl has 30: none would be left to train on"),
    ("  label: label\n", "  label: label\n  test_path: texts.jsonl\n  test: 31\n",
     "r.yaml:9: source.test: 31 rows to score on are asked for, and texts.jsonl has 30"),
    ("  label: label\n", "  label: label\n  train: 1:30\n",
     "r.yaml:8: source.train: must be a whole number, got '1:30'"),
    ("  label: label\n", "  label: label\n  validation: no\n", "r.yaml:8: source.validation: must be a number, got no"),
    ("  label: label\n", "  label: label\n  validation: 1\n", "r.yaml:8: source.validation: must be less than 1, got 1"),
    ("  label: label\n", "  label: label\n  near_duplicate: .nan\n",
     "r.yaml:8: source.near_duplicate: must be a number, got '.nan'"),
    ("  label: label\n", "  label: label\n  hub: a/b\n",
     "r.yaml:4: source: name either hub (a dataset id) or path (a file), not both and not neither"),
    ("  label: label\n", "  label: label\n  colour: x\n",
     "r.yaml:8: source.colour: unknown key; known here: hub, config, file, revision, split, test_split, path, test_path, text, "
     "fields, messages, aspects, analysis, rewrite, label, slices, label_names, id, train, validation, test, seed, near_duplicate"),
    ("  label: label\n", "  label: label\n  votes: 3\n", "r.yaml:8: source.votes: unknown key; did you mean synthesis.votes?"),
    ("  label: label\n", "  label: label\n  label: label\n",
     "r.yaml:8: source.label: the key stands twice, first on line 7"),
    ("  label: label\n", "  label: text\n",
     "r.yaml:7: source.label: the text and its label cannot be the same column 'text'"),
    ("provider: fireworks", "provider: firework",
     "r.yaml:9: teacher.provider: must be openai, deepseek, fireworks, endpoint, recorded, none, zero_shot or embedding, got 'firework'; "
     "did you mean fireworks?"),
    ("  model: m\n", "  model: ''\n", "r.yaml:10: teacher.model: must not be empty"),
    ("  model: m\n", "  model: 3\n", "r.yaml:10: teacher.model: YAML reads 3 as a number: write '3' in quotes"),
    ("  model: m\n", "", "r.yaml:8: teacher.model: is missing"),
    ("    base: minilm", "    base: minilm\n    format: chat",
     "r.yaml:19: students.tiny.format: goes with kind: causal, which this is not"),
    ("price: {input: 1, output: 2}", "price: {input: 1}", "r.yaml:11: teacher.price.output: is missing"),
    ("price: {input: 1, output: 2}", "price: 3",
     "r.yaml:11: teacher.price: must be a section of `key: value` lines, got 3"),
    ("  price: {input: 1, output: 2}\n", "",
     "r.yaml:8: teacher.price: is missing: a paid teacher needs its price in USD per million tokens, as the provider "
     "lists it: {input: ..., output: ...}"),
    ("  budget_usd: 5\n", "",
     "r.yaml:12: synthesis.budget_usd: is missing: a paid teacher needs a cap on what this run may cost, in USD"),
    ("  provider: fireworks\n  model: m\n  price: {input: 1, output: 2}\n",
     "  provider: endpoint\n  base_url: https://api.example.org/v1\n  model: m\n",
     "r.yaml:14: synthesis.budget_usd: cannot be kept without teacher.price: name the price (USD per million tokens), "
     "or take the cap out"),
    ("  path: texts.jsonl\n", "  path: ~no-such-user-here/texts.jsonl\n",
     "r.yaml:5: source.path: there is no file DIR/~no-such-user-here/texts.jsonl (and no folder DIR/~no-such-user-here)"),
    ("  model: m\n", "  model: m\n  api_key: abc\n",
     "r.yaml:11: teacher.api_key: an API key never stands in a recipe: set the environment variable and, if need be, "
     "name it with key_env"),
    ("    base: minilm", "    base: students.big",
     "r.yaml:18: students.tiny.base: there is no student big; there is none"),
    ("    base: minilm", "    base: students.tiny",
     "r.yaml:18: students.tiny.base: goes round in a circle: tiny -> tiny; one of them must name a model"),
    ("    base: minilm", "    base: ./weights", "r.yaml:18: students.tiny.base: there is no folder DIR/weights"),
    ("    base: minilm", "    base: scratch",
     "r.yaml:18: students.tiny.base: scratch makes a model that writes text: it goes with kind: causal or seq2seq; "
     "name an encoder"),
    ("    base: minilm", "    base: org/",
     "r.yaml:18: students.tiny.base: 'org/' is neither a folder here nor a name that the Hub could have"),
    ("    base: minilm", "    base: minilm\n    epochs: 2.5",
     "r.yaml:19: students.tiny.epochs: must be a whole number, got 2.5"),
    ("    base: minilm", "    base: minilm\n    seeds: 42", "r.yaml:19: students.tiny.seeds: must be a list, such as [42]"),
    ("    base: minilm", "    base: minilm\n    seeds: [1, -1]",
     "r.yaml:19: students.tiny.seeds.1: must be at least 0, got -1"),
    ("students:", "evaluation: {seed: 4294967296}\nstudents:",
     "r.yaml:15: evaluation.seed: must be less than 4294967296, got 4294967296"),
    ("  path: texts.jsonl\n", "  path: texts.jsonl\n  seed: -1\n", "r.yaml:6: source.seed: must be at least 0, got -1"),
    ("    base: minilm", "    base: minilm\n    rows: gold\n    targets: soft",
     "r.yaml:20: students.tiny.targets: human labels are hard: soft targets go with rows: teacher"),
    ("  tiny:", "  Tiny:",
     "r.yaml:16: students.Tiny: a name has lower-case letters, digits, - and _ only (it becomes a folder), got 'Tiny'"),
    ("  tiny:", "  teacher:", "r.yaml:16: students.teacher: teacher is what the report calls another model: choose another name"),
    ("  tiny:\n    kind: classifier\n    base: minilm\n", "  tiny:\n",
     "r.yaml:16: students.tiny: has no value: write one after the colon"),
    ("  tiny:", "  no:", "r.yaml:16: students.no: YAML reads no as false: write 'no' in quotes"),
    ("students:", "evaluation: {models: [teacher, tony]}\nstudents:",
     "r.yaml:15: evaluation.models.1: there is no model tony; did you mean tiny?"),
    ("students:", "evaluation: {metrics: [f1]}\nstudents:",
     "r.yaml:15: evaluation.metrics.0: f1 cannot be had for task: classify; there is accuracy, macro_f1, agreement, kappa, "
     "coverage, calibration, cost, speed"),
    ("prompt: sentiment-word", "prompt: sentiment-wrod",
     "r.yaml:13: synthesis.prompt: there is no shipped prompt sentiment-wrod; did you mean sentiment-word? "
     "(or name a .yaml file)"),
    ("prompt: sentiment-word", "prompt: p.yaml", "r.yaml:13: synthesis.prompt: there is no file DIR/p.yaml"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), ONE_MISTAKE, ids=[told.split(": ")[1] for _, _, told in ONE_MISTAKE])
def test_each_mistake_is_told_at_its_line_and_alone(tmp_path, old, new, told):
    changes = [("  label: label\n", "")] if old.startswith("labels") else []  # the file's labels would not fit
    path = write_recipe(tmp_path, (old, new), *changes)
    assert [line.replace("\\", "/") for line in mistakes(path)] == [told]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path):
    path = write_recipe(
        tmp_path,
        ("name: small", "name: on"),
        ("path: texts.jsonl", "path: nowhere/texts.jsonl"),
        ("  model: m\n", "  modle: m\n  max_tokens: 0\n"),
        ("prompt: sentiment-word", "prompt: none\n  votes: many"),
        ("    base: minilm", "    base: students.big\n    input: rationale\n    epoch: 3"),
    )
    told = mistakes(path)
    places = [line.split(": ")[:2] for line in told]
    assert places == [
        ["r.yaml:1", "name"],
        ["r.yaml:5", "source.path"],
        ["r.yaml:10", "teacher.modle"],
        ["r.yaml:11", "teacher.max_tokens"],
        ["r.yaml:14", "synthesis.prompt"],
        ["r.yaml:15", "synthesis.votes"],
        ["r.yaml:20", "students.tiny.base"],
        ["r.yaml:21", "students.tiny.input"],
        ["r.yaml:22", "students.tiny.epoch"],
    ]
    assert "did you mean epochs?" in told[-1]
    assert "written by the teacher" in told[-2]


def test_rules_between_keys_are_checked_beside_unknown_keys(tmp_path):
    path = write_recipe(tmp_path, ("provider: fireworks", "provider: endpoint\n  temprature: 1"))
    assert mistakes(path) == [
        "r.yaml:8: teacher: an endpoint needs base_url, e.g. http://localhost:11434/v1",
        "r.yaml:10: teacher.temprature: unknown key; did you mean temperature?",
    ]


def test_a_circle_of_students_is_told_once_for_each(tmp_path):
    other = "\n  big:\n    kind: classifier\n    base: students.tiny"
    path = write_recipe(tmp_path, ("    base: minilm", "    base: students.big" + other))
    told = mistakes(path)
    assert [line.split(": ")[1] for line in told] == ["students.tiny.base", "students.big.base"]
    assert "tiny -> big -> tiny" in told[0]


def test_gold_needs_human_labels(tmp_path):
    path = write_recipe(
        tmp_path,
        ("  label: label\n", ""),
        ("    base: minilm", "    base: minilm\n    rows: gold\nevaluation: {models: [tfidf_gold, vader, vader]}"),
    )
    assert [line.split(": ", 1)[1] for line in mistakes(path)] == [
        "students.tiny.rows: gold needs human labels: name their column in source.label",
        "evaluation.models.0: tfidf_gold learns from human labels: name their column in source.label",
        "evaluation.models.2: vader stands twice",
    ]


def test_scientific_numbers_need_no_dot(tmp_path):
    path = write_recipe(tmp_path, ("    base: minilm", "    base: minilm\n    learning_rate: 2e-4"))
    assert load_recipe(path).students["tiny"].learning_rate == 2e-4


@pytest.mark.parametrize("name", ["reason", "model_reason", "Complex_CoT", "teacherRationale", "explanation"])
def test_a_text_column_that_the_teacher_wrote_is_refused_by_name(tmp_path, name):
    (tmp_path / "t.csv").write_text(f"{name},label\n" + "x,neutral\n" * 3, encoding="utf-8")
    path = write_recipe(tmp_path, ("texts.jsonl", "t.csv"), ("  text: text", f"  text: {name}"))
    (told,) = mistakes(path)
    assert told.startswith(f"r.yaml:6: source.text: the column '{name}' is by its name what a teacher wrote")


def test_a_label_that_is_nearly_one_of_the_file_is_misspelt(tmp_path):
    changes = [("[negative, neutral, positive]", "[negative, neutral, positve]")]
    (told,) = mistakes(write_recipe(tmp_path, *changes))
    assert "labels: 'positve' stands nowhere at the head of the column 'label', but 'positive' does" in told


def test_rows_of_a_file_are_counted_as_far_as_they_are_needed(tmp_path):
    table, path = tmp_path / "t.csv", write_recipe(tmp_path, ("texts.jsonl", "t.csv"), ("  label: label\n", ""))
    table.write_text("text\nx\n", encoding="utf-8")
    assert mistakes(path) == [
        "r.yaml:5: source.path: t.csv has 1 row, and a fifth of that is none to score on: add rows, or write test: 0 to "
        "train on all of them"
    ]
    assert load_recipe(path, ["source.test=0"]).source.test == 0
    table.write_text("text\n" + "x\n" * 250 + "x,y\n", encoding="utf-8")
    assert load_recipe(path, ["source.test=100"]).source.test == 100  # what comes later is not read
    (told,) = mistakes(path, "source.test=300")
    assert told.startswith("r.yaml:5: source.path: ") and "t.csv:252: 2 cells where the header has 1" in told
    table.write_text("text\n" + "x\n" * 300, encoding="utf-8")
    assert mistakes(path, "source.test=300")[0].endswith(
        "300 rows to score on are asked for, and t.csv has 300: none would be left to train on"
    )
    assert load_recipe(path, ["source.test=299"]).source.test == 299


def test_labels_that_fit_no_value_want_label_names(tmp_path):
    (tmp_path / "t.csv").write_text("text,label\nx,0\ny,2\nz,2\n", encoding="utf-8")
    changes = [("texts.jsonl", "t.csv")]
    (told,) = mistakes(write_recipe(tmp_path, *changes))
    assert (
        told == "r.yaml:7: source.label: the column 'label' holds 0, 2, none of the labels: map them with label_names"
    )
    names = "  label: label\n  label_names: {0: negative, 2: positiv}\n"
    (told,) = mistakes(write_recipe(tmp_path, *changes, ("  label: label\n", names)))
    assert told == "r.yaml:8: source.label_names.2: positiv is none of the labels; did you mean positive?"
    recipe = load_recipe(write_recipe(tmp_path, *changes, ("  label: label\n", names.replace("positiv}", "positive}"))))
    assert recipe.source.label_names == {"0": "negative", "2": "positive"}


def test_overrides_are_yaml(tmp_path):
    recipe = load_recipe(
        write_recipe(tmp_path),
        [
            "source.train=12",
            "students.tiny.learning_rate=1e-4",
            "evaluation.models=[teacher, tiny]",
            "teacher.price.cached_input=0.5",
        ],
    )
    assert (recipe.source.train, recipe.students["tiny"].learning_rate) == (12, 1e-4)
    assert recipe.evaluation.models == ("teacher", "tiny")
    assert recipe.teacher.price is not None and recipe.teacher.price.cached_input == 0.5


OVERRIDES = [
    ("teacher.modle=3", "--set teacher.modle=3: teacher.modle: unknown key; did you mean model?"),
    ("votes=3", "--set votes=3: votes: unknown key; did you mean synthesis.votes?"),
    ("synthesis.votes=no", "--set synthesis.votes=no: synthesis.votes: must be a whole number, got no"),
    ("about=yes", "--set about=yes: about: YAML reads yes as true: write 'yes' in quotes"),
    ("source.train", "--set source.train: write it as key.path=value"),
    ("source..train=1", "--set source..train=1: write it as key.path=value"),
    ("name.first=x", "--set name.first=x: name holds no keys to set: give it as a whole, name=..."),
    ("labels=[a", "--set labels=[a: the value is not YAML: a bracket or a comma is missing, or a text with : { } [ ] , in it "
     "needs quotes"),
    ("about=!!python/object:os.system x", "--set about=!!python/object:os.system x: about: tags (!...) are not allowed: "
     "write the plain value, in quotes if it is text"),
    ("evaluation.seeds=1", "--set evaluation.seeds=1: evaluation.seeds: unknown key; did you mean seed?"),
    ("students.new.base=minilm", "--set students.new.base=minilm: students.new.kind: is missing: it is classifier or causal; "
     "the file has no student new: there is tiny"),
    ("students.tini.epochs=2", "--set students.tini.epochs=2: students.tini.kind: is missing: it is classifier or causal; "
     "the file has no student tini: did you mean tiny?"),
    ("source.path=x.jsonl", "--set source.path=x.jsonl: source.path: there is no file DIR/x.jsonl; did you mean texts.jsonl?"),
]  # fmt: skip


@pytest.mark.parametrize(("argument", "told"), OVERRIDES, ids=[argument for argument, _ in OVERRIDES])
def test_mistakes_in_overrides_are_named_by_the_argument(tmp_path, argument, told):
    assert [line.replace("\\", "/") for line in mistakes(write_recipe(tmp_path), argument)] == [told]


SECRET = "sk-proj-abcdEFGH1234abcdEFGH5678"
LONG = "a8f3k2l9d7s6q1w4e5r8t9y2u3i1o7p6"


@pytest.mark.parametrize(
    "new",
    [
        f"  model: m\n  key_env: {SECRET}\n",
        f"  model: m\n  key_env: {LONG}\n",
        f"  model: m\n  api_key: {SECRET}\n",
        f"  model: {SECRET}\n",
        f"  model: m  # {SECRET}\n",
        f"  model: m\n  base_url: https://user:{LONG}@host/v1\n",
        f"  model: m\n  base_url: https://host/v1?key={LONG}\n",
        f"  model: m\n  base_url: [{LONG}]\n",
        f"  model: m\n  {SECRET}: 1\n",
        f"  model: m\n  temperature: {SECRET}\n",
    ],
)
def test_a_key_in_a_recipe_is_refused_and_not_repeated(tmp_path, new):
    told = mistakes(write_recipe(tmp_path, ("  model: m\n", new)))
    assert told
    assert SECRET not in str(told) and LONG not in str(told)


@pytest.mark.parametrize(
    "argument", [f"teacher.key_env={LONG}", f"about={SECRET}", f"teacher.base_url=https://{LONG}@x/"]
)
def test_a_key_in_an_override_is_refused_and_not_repeated(tmp_path, argument):
    told = mistakes(write_recipe(tmp_path), argument)
    assert told[0].startswith("--set ")
    assert SECRET not in str(told) and LONG not in str(told)


def test_a_missing_file_says_what_there_is(tmp_path):
    write_recipe(tmp_path)
    with pytest.raises(RecipeError, match=r"cannot be read: No such file or directory; did you mean .*r\.yaml\?"):
        load_recipe(tmp_path / "rr.yaml")


def test_an_empty_file_lacks_every_section(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("", encoding="utf-8")
    names = ["name", "task", "source", "students"]
    assert mistakes(path) == [f"r.yaml:1: {name}: is missing" for name in names]
    path.write_text("- a\n", encoding="utf-8")
    assert mistakes(path) == ["r.yaml:1: must be a section of `key: value` lines, got a list"]


def test_loading_imports_nothing_heavy(tmp_path):
    import subprocess

    program = f"import sys; from recipes.load import load_recipe; load_recipe({str(write_recipe(tmp_path))!r});"
    program += "print(sorted({'torch', 'numpy', 'pyarrow', 'rich', 'datasets', 'aiohttp'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
