"""Sources to examples: cleaning, columns, labels, ids, exact duplicates, exact and stratified draws."""

from __future__ import annotations

import json
import random
import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.errors import SourceError
from recipes.schema import Recipe, Source, Synthesis, Teacher
from recipes.source_checks import source_mistakes
from recipes.students import ClassifierStudent
from synth.cleaning import clean_text
from synth.examples import Examples
from synth.sources import read_source
from synth.splits import apportion

LABELS = ("negative", "neutral", "positive")


def make_recipe(folder, **source):
    source = {"path": "rows.jsonl", "text": "text", "test": 0, "validation": 0, **source}
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
        return list(examples.stream()), list(examples.rejects()), examples.counts()


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Tom &amp; Jerry &lt;3 &#39;til 5&quot;", "Tom & Jerry <3 'til 5\""),
        ("&amp;lt;3", "<3"),
        ("x.io/?a=1&region=eu&copy=2 &notit; AT&T;", "x.io/?a=1&region=eu&copy=2 &notit; AT&T;"),
        ("&amp;amp;amp;lt;", "&amp;lt;"),
        ("100 &euro; caf&eacute; &#128512;", "100 € café 😀"),
        ("a\tb\n\n c\u00a0d\u2003e", "a b c d e"),
        ("a\x00b\x07c\x7fd\x9fe\ufefff", "abcdef"),
        ("cafe\u0301", "café"),
        ("👩\u200d👩\u200d👧 ❤\ufe0f", "👩\u200d👩\u200d👧 ❤\ufe0f"),
        ("\ud83d\ude00 \ud83d!", "😀 \ufffd!"),
        ("  ", ""),
    ],
)
def test_cleaning_mends_and_does_not_mangle(raw, clean):
    assert clean_text(raw) == clean


@given(st.text())
def test_cleaning_is_stable_and_loses_no_letter(text):
    clean = clean_text(text.replace("&", "+"))
    assert clean_text(clean) == clean
    letters = [char for char in unicodedata.normalize("NFC", text) if char.isalnum()]
    assert [char for char in clean if char.isalnum()] == letters


def test_entities_become_characters_and_never_digits(tmp_path):
    write(tmp_path / "rows.jsonl", [{"text": "i &lt;3 it &amp; you"}, {"text": 2024}, {"text": "can&#39;t"}])
    examples, _, _ = read(tmp_path)
    assert [example.fields["text"] for example in examples] == ["i <3 it & you", "2024", "can't"]


def test_gold_labels_are_mapped_and_unknown_ones_rejected(tmp_path):
    golds = ["0", 2, 2.0, " Positive ", "1", None, "", "meh"]
    write(tmp_path / "rows.jsonl", [{"text": f"text {n}", "y": gold} for n, gold in enumerate(golds)])
    examples, rejects, counts = read(tmp_path, label="y", label_names={"0": "negative", "2": "POSITIVE"})
    assert [example.gold for example in examples] == ["negative", "positive", "positive", "positive", None, None]
    assert [(reject.reason, reject.stage, reject.split) for reject in rejects] == [("unknown_gold", "source", None)] * 2
    assert "'meh'" in rejects[1].detail
    assert counts == {"read": 8, "drawn": 6, "not drawn": 0, "unknown_gold": 2}


def test_unfit_texts_are_rejected_with_their_reason(tmp_path):
    write(
        tmp_path / "rows.jsonl", [{"text": ""}, {"text": None}, {"text": " \x00"}, {"text": "x" * 201}, {"text": "ok"}]
    )
    examples, rejects, _ = read(tmp_path)
    assert [example.fields["text"] for example in examples] == ["ok"]
    assert [reject.reason for reject in rejects] == ["empty_text"] * 3 + ["too_long"]
    assert len(rejects[3].text) == 200


def test_a_missing_column_is_named_with_those_seen(tmp_path):
    write(tmp_path / "rows.jsonl", [{"tweet": "a", "lable": "neutral"}])
    with pytest.raises(SourceError, match=r"rows\.jsonl: source\.text: there is no column 'text'.*tweet, lable"):
        read(tmp_path)
    with pytest.raises(SourceError, match=r"source\.label: .*did you mean 'lable'\?"):
        read(tmp_path, text="tweet", label="label")


def test_a_text_that_is_no_text_is_named_by_line(tmp_path):
    write(tmp_path / "rows.jsonl", [{"text": "a"}, {"text": ["b"]}])
    with pytest.raises(SourceError, match=r"rows\.jsonl:2: the text column 'text' holds list"):
        read(tmp_path)


def test_ids(tmp_path):
    write(tmp_path / "rows.jsonl", [{"text": "a", "n": 7}, {"text": "b", "n": "x"}])
    assert [example.id for example in read(tmp_path, id="n")[0]] == ["7", "x"]
    hashed = [example.id for example in read(tmp_path)[0]]
    assert len(set(hashed)) == 2
    assert all(len(name) == 16 for name in hashed)
    write(tmp_path / "rows.jsonl", [{"text": "a", "n": 1}, {"text": "b", "n": 1}, {"text": "c", "n": 2}] * 2)
    two = r"'1' is the id of row 1 and of row 5 \(one of 2 such ids\); an id must name one row"
    with pytest.raises(SourceError, match=two):
        read(tmp_path, id="n")
    write(tmp_path / "rows.jsonl", [{"text": "a", "n": 1}, {"text": "b", "n": None}])
    with pytest.raises(SourceError, match=r"rows\.jsonl:2: the id column 'n' is empty"):
        read(tmp_path, id="n")


def test_exact_duplicates_keep_the_first_and_train_gives_way_to_test(tmp_path):
    write(tmp_path / "rows.jsonl", [{"text": "one"}, {"text": "two "}, {"text": "two"}, {"text": "three"}])
    write(tmp_path / "test.jsonl", [{"text": "three"}, {"text": "four"}])
    examples, rejects, counts = read(tmp_path, test_path="test.jsonl", test=None)
    assert [(e.fields["text"], e.split) for e in examples] == [
        ("three", "test"),
        ("four", "test"),
        ("one", "train"),
        ("two", "train"),
    ]
    details = [(reject.reason, reject.detail) for reject in rejects]
    assert details == [
        ("duplicate", "the same text as row 2"),
        ("duplicate", "the same text as row 1 of the test rows"),
    ]
    assert counts == {"read": 6, "drawn": 4, "not drawn": 0, "duplicate": 2}


def test_one_text_with_several_labels_is_said(tmp_path):
    rows = [("one", 1, "good"), ("one", 2, "bad"), ("two", 3, "bad"), ("two", 4, "bad"), ("three", 5, "good")]
    write(tmp_path / "rows.jsonl", [{"text": text, "n": n, "y": gold} for text, n, gold in rows])
    recipe = make_recipe(tmp_path, id="n", label="y", label_names={"good": "positive", "bad": "negative"})
    with Examples(recipe.source) as examples:
        examples.read(recipe)
        assert [reject.detail for reject in examples.rejects()] == [
            "the same text as row 1 (1), which is labelled positive there",
            "the same text as row 3 (3)",
        ]
        (said,) = examples.conflicts()
    assert said.startswith("source: 1 text stands in several rows with different labels: the label of the first counts")


@pytest.mark.parametrize("place", range(3))
def test_one_cell_that_is_no_conversation_refuses_no_recipe_wherever_it_stands(tmp_path, place):
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rows = [{"messages": "a text" if at == place else chat} for at in range(3)]
    write(tmp_path / "rows.jsonl", rows)
    source = Source(path="rows.jsonl", messages="messages", test=0)
    assert list(source_mistakes(source, tmp_path, None, "chat")) == []
    write(tmp_path / "rows.jsonl", [rows[place]] * 3)
    ((_, sentence),) = source_mistakes(source, tmp_path, None, "chat")
    assert "holds no list: a conversation is" in sentence


def test_a_large_source_is_not_read_in_silence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("synth.examples.TOLD_SECONDS", -1.0)
    write(tmp_path / "rows.jsonl", [{"text": f"text {n}"} for n in range(1500)])
    read(tmp_path)
    assert "rows: 1,000 rows of the source are read" in capsys.readouterr().err


def test_a_test_set_without_a_usable_row_is_an_error(tmp_path):
    write(tmp_path / "rows.jsonl", [{"text": "one"}])
    write(tmp_path / "test.jsonl", [{"text": ""}])
    with pytest.raises(SourceError, match="no usable row to test on"):
        read(tmp_path, test_path="test.jsonl", test=None)
    assert read(tmp_path, test_path="test.jsonl", test=0)[2]["read"] == 1


def test_too_few_rows_are_said(tmp_path):
    write(tmp_path / "rows.jsonl", _labelled(20))
    recipe = make_recipe(tmp_path, train=30, test=5)
    with Examples(recipe.source) as examples:
        examples.read(recipe)
        assert Counter(example.split for example in examples.stream()) == {"train": 15, "test": 5}
        assert examples.shortfalls() == ["source.train: 30 rows are wanted, 15 usable ones were left"]


def test_nothing_to_train_on_is_an_error(tmp_path):
    write(tmp_path / "rows.jsonl", [{"text": "one"}])
    with pytest.raises(SourceError, match="1 usable rows leave none to train on"):
        read(tmp_path, test=5)


def test_why_there_is_nothing_to_train_on_is_said(tmp_path):
    write(tmp_path / "rows.jsonl", [{"text": "one", "y": "positive"}, {"text": ""}, *_labelled(9, "splendid")])
    said = (
        r"1 usable rows leave none to train on \(.*\); unusable are 9 unknown_gold \(first row 3: y is 'splendid'; the"
    )
    with pytest.raises(
        SourceError, match=said + r" labels are negative, neutral, positive\), 1 empty_text \(first row 2: "
    ):
        read(tmp_path, label="y", test=5)
    write(tmp_path / "test.jsonl", [{"text": "", "y": ""}])
    with pytest.raises(SourceError, match=r"no usable row to test on; unusable are 1 empty_text \(first row 1: "):
        read(tmp_path, label="y", test_path="test.jsonl", test=None)


def _labelled(count, label=None):
    return [{"text": f"number {n} is its own text", "y": label or LABELS[(n * n) % 3]} for n in range(count)]


def test_counts_are_exact_and_stratified(tmp_path):
    rows = _labelled(1000)
    write(tmp_path / "rows.jsonl", rows)
    examples, _, counts = read(tmp_path, label="y", train=500, test=150, validation=0.2)
    assert Counter(example.split for example in examples) == {"train": 400, "validation": 100, "test": 150}
    assert counts == {"read": 1000, "drawn": 650, "not drawn": 350}
    share = Counter(row["y"] for row in rows)
    for split, size in (("train", 400), ("validation", 100), ("test", 150)):
        found = Counter(example.gold for example in examples if example.split == split)
        assert all(abs(found[label] - size * share[label] / 1000) <= 1 for label in share)


def test_a_fifth_is_tested_on_where_nothing_is_said(tmp_path):
    write(tmp_path / "rows.jsonl", _labelled(100))
    examples, _, _ = read(tmp_path, test=None, validation=0.1)
    assert Counter(example.split for example in examples) == {"train": 72, "validation": 8, "test": 20}


def test_the_split_does_not_depend_on_the_order_of_the_rows(tmp_path):
    rows = _labelled(300) + [{"text": f"Number {n} is its own text!", "y": "neutral"} for n in range(0, 60, 7)]
    splits = []
    for _ in range(2):
        write(tmp_path / "rows.jsonl", rows)
        examples, _, _ = read(tmp_path, label="y", train=150, test=60, validation=0.2)
        splits.append({example.fields["text"]: example.split for example in examples})
        random.Random(5).shuffle(rows)
    assert splits[0] == splits[1]


def test_the_split_is_the_same_on_every_machine(tmp_path):
    write(tmp_path / "rows.jsonl", [{"text": f"t{n}"} for n in range(12)])
    examples, _, _ = read(tmp_path, test=3, validation=0.3)
    found = {split: [e.fields["text"] for e in examples if e.split == split] for split in ("test", "validation")}
    assert found == {"test": ["t3", "t7", "t10"], "validation": ["t2", "t4", "t5"]}
    other, _, _ = read(tmp_path, test=3, validation=0.3, seed=7)
    assert [e.split for e in other] != [e.split for e in examples]


@given(st.integers(0, 200), st.dictionaries(st.text(max_size=3), st.integers(0, 80), max_size=6))
@settings(max_examples=60)
def test_apportion_is_exact_and_never_above_a_size(total, sizes):
    total = min(total, sum(sizes.values()))
    shares = apportion(total, sizes)
    assert sum(shares.values()) == total
    assert all(0 <= shares[name] <= size for name, size in sizes.items())


@pytest.fixture
def hub(monkeypatch):
    """A data set of three rows under any id; returns what was asked for."""
    import datasets

    asked = []
    features = datasets.Features({"text": datasets.Value("string"), "y": datasets.ClassLabel(names=["neg", "pos"])})
    rows = {"text": ["fine &amp; well", "bad", "who knows"], "y": [1, 0, -1]}

    def load_dataset(*arguments, **options):
        asked.append((arguments, options))
        return datasets.Dataset.from_dict(rows, features=features)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def test_a_hub_data_set_is_read_by_split_and_its_classes_by_name(tmp_path, hub):
    names = {"neg": "negative", "pos": "positive"}
    source = {"path": None, "hub": "me/tweets", "revision": "v1", "label": "y", "test": None, "test_split": "test"}
    recipe = make_recipe(tmp_path, **source, label_names=names)
    rows = list(read_source(recipe, "test"))
    assert [(row.number, row.content.text, row.gold) for row in rows] == [
        (1, "fine & well", "positive"),
        (2, "bad", "negative"),
        (3, "who knows", None),
    ]
    assert hub == [(("me/tweets", None), {"split": "test", "revision": "v1", "data_files": None})]
    by_number = make_recipe(tmp_path, **source, label_names={"0": "negative", "1": "neutral"})
    assert [row.gold for row in read_source(by_number, "pool")] == ["neutral", "negative", None]


def test_one_file_of_a_hub_data_set(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "trn.json").write_text('{"text": "a mug", "label": "neutral"}\n' * 2, encoding="utf-8")
    (folder / "labels.txt").write_text("not rows\n", encoding="utf-8")
    recipe = make_recipe(tmp_path, path=None, hub=str(folder), file="trn.json")
    assert [row.content.text for row in read_source(recipe, "pool")] == ["a mug", "a mug"]


def test_a_data_set_that_cannot_be_had_is_one_sentence(tmp_path):
    recipe = make_recipe(tmp_path, path=None, hub="nobody/there-is-no-such-data-set")
    with pytest.raises(
        SourceError, match=r"source\.hub: nobody/there-is-no-such-data-set \(train\) cannot be loaded: "
    ):
        list(read_source(recipe, "pool"))
