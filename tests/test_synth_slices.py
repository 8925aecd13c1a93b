"""Slices: from columns of the source to every row and reject, and every slice on both sides of the split."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.chat import Message, Reply
from recipes.errors import SourceError
from recipes.prompts import AnswerFormat, Prompt
from recipes.rows import LabelRow, Reject, write_rows
from recipes.schema import Recipe, Source, Synthesis, Teacher
from recipes.source_checks import source_mistakes
from recipes.students import ClassifierStudent
from synth.content import Content, decode
from synth.examples import Examples
from synth.filters import label_reject
from synth.sources import read_source
from synth.splits import quotas, stratum_of
from synth.tasks.labels import LabelTask

LABELS = ("negative", "neutral", "positive")
LANGUAGES = ("arabic", "chinese", "english", "french", "german", "hindi", "italian", "japanese")


def make_recipe(folder, **source):
    source = {"path": "rows.jsonl", "text": "text", "test": 0, "validation": 0, "slices": ["language"], **source}
    recipe = Recipe(
        name="t",
        task="classify",
        labels=LABELS,
        source=Source(**source),
        teacher=Teacher(provider="endpoint", model="m", base_url="http://127.0.0.1:9/v1"),
        synthesis=Synthesis(prompt="sentiment-word", max_text_chars=200),
        students={"s": ClassifierStudent(kind="classifier", base="minilm")},
    )
    recipe._folder = folder
    return recipe


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read(folder, **source):
    recipe = make_recipe(folder, **source)
    with Examples(recipe.source) as examples:
        examples.read(recipe)
        return list(examples.stream()), list(examples.rejects())


def test_values_become_text_and_a_missing_one_is_no_slice(tmp_path):
    values = ["en", " fr\n", 1, 1.0, True, False, 0, None, ""]
    write(tmp_path / "rows.jsonl", [{"text": f"text {n}", "language": value} for n, value in enumerate(values)])
    examples, _ = read(tmp_path)
    found = [example.slices for example in examples]
    texts = ["en", "fr", "1", "1", "true", "false", "0"]
    assert found == [*({"language": text} for text in texts), {}, {}]


def test_a_list_in_a_slice_column_is_named_by_line(tmp_path):
    write(tmp_path / "rows.jsonl", [{"text": "a", "language": "en"}, {"text": "b", "language": ["en", "fr"]}])
    with pytest.raises(SourceError, match=r"rows\.jsonl:2: the slice column 'language' holds list; it must hold text"):
        read(tmp_path)


def test_a_column_that_is_not_there_is_named(tmp_path):
    write(tmp_path / "rows.jsonl", [{"text": "a", "langauge": "en"}] * 3)
    with pytest.raises(SourceError, match=r"source\.slices: there is no column 'language', did you mean 'langauge'"):
        read(tmp_path)
    source = Source(path="rows.jsonl", text="text", slices=("language",))
    ((place, message),) = source_mistakes(source, tmp_path, LABELS, "classify")
    assert place == ("source", "slices")
    assert message.startswith("there is no column 'language' in rows.jsonl; did you mean langauge?")


@pytest.mark.parametrize(
    ("slices", "task", "said"),
    [
        (["text"], "classify", "students read the column 'text': a slice is another one"),
        (["label"], "classify", "'label' is the label itself"),
        (["language", "language"], "classify", "'language' is named twice"),
        (["language"], "reasoning", "are not told apart by slices (task: reasoning)"),
    ],
)
def test_slices_that_tell_nothing_or_that_students_read_are_refused(tmp_path, slices, task, said):
    write(tmp_path / "rows.jsonl", [{"text": "a", "language": "en", "label": "neutral"}] * 3)
    source = Source(path="rows.jsonl", text="text", label="label", slices=tuple(slices))
    ((place, message),) = source_mistakes(source, tmp_path, LABELS, task)
    assert place == ("source", "slices")
    assert said in message


def test_no_student_reads_the_slices():
    with pytest.raises(ValueError, match="a row has no field 'slices'; use input: text"):
        ClassifierStudent(kind="classifier", base="minilm", input="slices")


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_content_keeps_them_through_the_database(slices):
    content = Content({"text": "a"}, slices=slices)
    assert decode(content.encode()) == content
    assert content.cut(1).slices == slices


def test_rows_and_rejects_of_every_stage_keep_them(tmp_path):
    rows = [{"text": "fine", "language": "en"}, {"text": "", "language": "fr"}]
    write(tmp_path / "rows.jsonl", rows)
    recipe = make_recipe(tmp_path)
    (example,), (unfit,) = read(tmp_path)
    prompt = Prompt(1, (Message("system", "Label."),), ("Text: ", "text", ""), AnswerFormat(kind="word"))
    task = LabelTask(recipe, prompt)
    row = task.settle(example, lambda request: Reply("positive"))
    refused = task.settle(example, lambda request: None)
    assert isinstance(row, LabelRow)
    assert isinstance(refused, Reject)
    short = label_reject(row.model_copy(update={"rationale": "no"}), Synthesis(min_rationale_chars=9))
    assert row.slices == refused.slices == example.slices == {"language": "en"}
    assert short is not None
    assert short.slices == {"language": "en"}
    assert (unfit.reason, unfit.slices) == ("empty_text", {"language": "fr"})
    assert LabelRow.model_validate_json(row.model_dump_json()) == row


def _parallel(count):
    """Rows in eight languages of unequal size, three labels, no two alike."""
    rows = []
    for number in range(count):
        language = LANGUAGES[min(number % 11, 7)]
        word = f"{number:06d}"
        rows.append({"text": f"a{word} b{word} c{word}", "y": LABELS[(number * number) % 3], "language": language})
    return rows


def shares(examples, split, value):
    return Counter(value(example) for example in examples if example.split == split)


def test_every_split_holds_labels_exactly_and_languages_in_proportion(tmp_path):
    rows = _parallel(1100)
    write(tmp_path / "rows.jsonl", rows)
    examples, _ = read(tmp_path, label="y", train=550, test=165, validation=0.2)
    for split, size in (("train", 440), ("validation", 110), ("test", 165)):
        labels = shares(examples, split, lambda example: example.gold)
        for label, whole in Counter(row["y"] for row in rows).items():
            assert abs(labels[label] - size * whole / 1100) <= 1
        languages = shares(examples, split, lambda example: example.slices["language"])
        for language, whole in Counter(row["language"] for row in rows).items():
            assert abs(languages[language] - size * whole / 1100) <= len(LABELS)


def test_without_labels_the_languages_are_exact(tmp_path):
    rows = _parallel(440)
    write(tmp_path / "rows.jsonl", rows)
    examples, _ = read(tmp_path, test=44, validation=0.1)
    for split, size in (("test", 44), ("validation", 40)):
        languages = shares(examples, split, lambda example: example.slices["language"])
        for language, whole in Counter(row["language"] for row in rows).items():
            assert abs(languages[language] - size * whole / 440) <= 1


def test_a_slice_for_every_row_draws_no_label_before_another(tmp_path):
    rows = [{**row, "language": f"{row['y']} {number}"} for number, row in enumerate(_parallel(300))]
    write(tmp_path / "rows.jsonl", rows)
    examples, _ = read(tmp_path, label="y", test=60)
    labels = shares(examples, "test", lambda example: example.gold)
    for label, whole in Counter(row["y"] for row in rows).items():
        assert abs(labels[label] - 60 * whole / 300) <= 1


def test_the_split_without_slices_is_what_it_was(tmp_path):
    rows = _parallel(200)
    write(tmp_path / "rows.jsonl", rows)
    plain, _ = read(tmp_path, label="y", test=40, validation=0.2, slices=[])
    write(tmp_path / "rows.jsonl", [{**row, "language": None} for row in rows])
    empty, _ = read(tmp_path, label="y", test=40, validation=0.2)
    assert [(one.id, one.split) for one in plain] == [(one.id, one.split) for one in empty]
    assert stratum_of("neutral", {}, Source(path="x", text="t")) == "neutral"


@given(st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), st.integers(1, 30), min_size=1))
@settings(max_examples=60)
def test_quotas_are_exact_and_no_stratum_is_overdrawn(cells):
    sizes = {f"{gold}\x1f{value}": size for (gold, value), size in cells.items()}
    whole = sum(sizes.values())
    totals = {"test": whole // 5, "validation": whole // 10, "train": whole - whole // 5 - whole // 10}
    found = quotas(totals, sizes)
    for split, total in totals.items():
        assert sum(shares[split] for shares in found.values()) == total
    assert all(sum(shares.values()) == sizes[name] for name, shares in found.items())


def test_classes_of_a_hub_data_set_are_slices_by_name(tmp_path, monkeypatch):
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "language": datasets.ClassLabel(names=["en", "fr"])}
    )
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "language": [1, -1]}, features=features)
    monkeypatch.setattr(datasets, "load_dataset", lambda *arguments, **options: data)
    recipe = make_recipe(tmp_path, path=None, hub="me/reviews")
    assert [row.content.slices for row in read_source(recipe, "pool")] == [{"language": "fr"}, {}]


def test_datasets_load_rows_whose_slices_differ(tmp_path):
    from datasets import load_dataset

    row = {"text": "a", "split": "train", "group": "g", "label": "neutral", "soft": (0, 1, 0), "votes": ("neutral",)}
    found = {"train": [{"language": "en", "implicit": "true"}, {"language": "fr"}, {}], "test": [{"language": "en"}]}
    for split, slices in found.items():
        rows = [LabelRow(id=str(n), outcome="clean", slices=some, **row) for n, some in enumerate(slices)]
        write_rows(tmp_path / f"{split}.jsonl", rows)
    files = {split: str(tmp_path / f"{split}.jsonl") for split in found}
    loaded = load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache"))
    for split, slices in found.items():
        told = [{name: value for name, value in one.items() if value is not None} for one in loaded[split]["slices"]]
        assert told == slices
