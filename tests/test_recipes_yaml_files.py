# ruff: noqa: E501 (sentences and tables stay on one line)
"""YAML: lines, traps, and files that mean harm."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from recipe_files import GOOD

from recipes.errors import RecipeError
from recipes.load import load_recipe
from recipes.yaml_files import parse_document, read_document


def test_every_key_and_item_knows_its_line():
    document = parse_document("a: 1\nb:\n  - x\n  - {c: y,\n     d: z}\n", "f")
    assert document.value == {"a": 1, "b": ["x", {"c": "y", "d": "z"}]}
    assert document.lines[("b", 0)] == 3
    assert document.lines[("b", 1, "d")] == 5
    assert document.written[("a",)] == "1"


VALUES = [
    ("2e-4", "2e-4"), ("1.5", 1.5), ("0x1F", "0x1F"), ("1:30", "1:30"), ("010", 10), ("1_000", 1000), ("~", None),
    ("2020-01-01", "2020-01-01"), ("Yes", True), ("off", False), ("'no'", "no"), (".inf", ".inf"), ("= x", "= x"),
    ("9" * 5000, "9" * 5000),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), VALUES, ids=[text[:12] for text, _ in VALUES])
def test_scalars(text, value):
    found = parse_document(f"a: {text}", "f").value["a"]
    assert found == value and type(found) is type(value)


MISTAKES = [
    ("a: 1\na: 2\n", "f:2: a: the key stands twice, first on line 1"),
    ("a: {b: 1,\n b: 2}\n", "f:2: a.b: the key stands twice, first on line 1"),
    ("yes: 1\n", "f:1: yes: YAML reads yes as true: write 'yes' in quotes"),
    ("null: 1\n", "f:1: null: YAML reads null as nothing (null): write 'null' in quotes"),
    ("? [a, b]\n: 1\n", "f:1: a key must be plain text"),
    ("b: &x {c: 1}\na:\n  <<: *x\n", "f:3: a.<<: merging with << is not supported: write the keys out"),
    ("a: !!python/object/apply:os.system ['x']\n",
     "f:1: tags (!...) are not allowed: write the plain value, in quotes if it is text"),
    ("a: !!str 5\n", "f:1: tags (!...) are not allowed: write the plain value, in quotes if it is text"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), MISTAKES, ids=[text[:14] for text, _ in MISTAKES])
def test_mistakes_do_not_stop_the_reading(text, told):
    document = parse_document(text, "f")
    assert [str(mistake) for mistake in document.mistakes] == [told]


REFUSED = [
    ("a:\n\tb: 1\n", "f:2: there is a tab here: YAML indents with spaces only"),
    ("a: 1\n  b: 2\n", "f:2: a ':' where none can be: mend the indentation, or put the value in quotes"),
    ("about: a thing: this\n", "f:1: a ':' where none can be: mend the indentation, or put the value in quotes"),
    ("a: 'x\nb: 1\n", "f:1: a quote is opened here and never closed"),
    ("a: [1, 2\nb: 1\n", "f:2: a bracket or a comma is missing, or a text with : { } [ ] , in it needs quotes"),
    ("a: {text}: b\n", "f:1: a ':' where none can be"),
    ("a: *x\n", "f:1: text that begins with * must be in quotes"),
    ("a: @x\n", "f:1: a value cannot begin with this character: put it in quotes"),
    ("a: %x\n", "f:1: a value cannot begin with this character: put it in quotes"),
    ("a: 1\n---\nb: 2\n", "f:2: a file holds one document: remove the line ---"),
    ("a: 1\nb: \x00\n", "f:2: a control character that YAML cannot hold"),
    ("a: 1\nb\n", "f:"),
    ("[" * 100, "f:1: nested deeper than 40 levels"),
    ("[" * 500_000, "f:1: nested deeper than 40 levels"),
    ("{a: " * 100_000, "f:1: nested deeper than 40 levels"),
    ("a: &a [*a]\n", "f:1: more than 20000 values, or a loop of aliases"),
]


@pytest.mark.parametrize(("text", "told"), REFUSED, ids=[text[:12] for text, _ in REFUSED])
def test_what_is_no_yaml_is_one_sentence_with_its_line(text, told):
    with pytest.raises(RecipeError) as caught:
        parse_document(text, "f")
    assert len(caught.value.mistakes) == 1
    assert caught.value.mistakes[0].startswith(told)


def test_a_billion_laughs_take_no_memory():
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    tracemalloc.start()
    try:
        with pytest.raises(RecipeError, match="more than 20000 values"):
            parse_document(bomb, "f")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_big_binary_and_missing_files(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"a: 1\n" + b"#" * 1_000_001)
    with pytest.raises(RecipeError, match="larger than 1 MB"):
        read_document(path)
    path.write_bytes("a: 1\nb: ä\n".encode("latin-1"))
    with pytest.raises(RecipeError, match=r"f\.yaml:2: not UTF-8"):
        read_document(path)
    with pytest.raises(RecipeError, match="cannot be read"):
        read_document(tmp_path)
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_document(path).value == {"a": 1, "b": 2}


_WORDS = st.sampled_from(
    ["name", "task", "classify", "labels", "source", "teacher", "students", "evaluation", "models", ": ", ":", "- ", "\n",
     "\n  ", "\n    ", "{", "}", "[", "]", ", ", "'", '"', "|", ">", "&a", "*a", "!!x ", "#", "\t", "no", "1", "2e-4", "null",
     "\x00", "\x85", "\u2028", "é", "%", "?", "<<", "~", "---", "path", "text", "kind", "base"]
)  # fmt: skip


@given(st.lists(_WORDS, max_size=40).map("".join) | st.text(max_size=80))
@example("labels: {a: 1}\nstudents: [1]\nteacher: x\nsource: 3")
@example("students: {a: {base: students.a}, b: null}\nlabels: [[]]\nevaluation: {models: {a: b}}")
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_recipe_or_a_recipe_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert all(line.startswith(str(path)) for line in caught.value.mistakes)


_LINES = GOOD.split("\n")


@given(
    st.integers(0, len(_LINES) - 2),
    st.sampled_from(
        ["", "  x: 1", "name:", "  - a", "labels: {a: b}", "teacher: []", "source: &a {path: *a}", "\tq", "students:"]
    ),
)
@settings(max_examples=100, deadline=None)
def test_a_spoilt_line_never_ends_in_a_traceback(tmp_path_factory, place, line):
    folder = tmp_path_factory.getbasetemp()
    lines = [*_LINES[:place], line, *_LINES[place + 1 :]]
    (folder / "spoilt.yaml").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(RecipeError):
        load_recipe(folder / "spoilt.yaml")
