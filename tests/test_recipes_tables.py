# ruff: noqa: E501 (golden sentences stay on one line)
"""Tables: rows with their lines, bad lines all at once, hostile files in bounded memory."""

from __future__ import annotations

import gzip
import json
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.errors import SourceError
from recipes.tables import count_table, read_table


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def told(path):
    with pytest.raises(SourceError) as caught:
        list(read_table(path))
    return str(caught.value).replace(str(path.parent), "DIR").split("\n")


GOOD = [
    ("t.jsonl", '{"a": "x"}\n\n  \n{"a": "y\\n"}', [(1, {"a": "x"}), (4, {"a": "y\n"})]),
    ("trn.json", '{"uid": "1", "title": "é"}\n{"uid": "2"}\n', [(1, {"uid": "1", "title": "é"}), (2, {"uid": "2"})]),
    ("t.ndjson", b'\xef\xbb\xbf{"a": 1}\r\n', [(1, {"a": 1})]),
    ("t.jsonl", '{"a": "\\ud83d"}\n', [(1, {"a": "\ud83d"})]),
    ("t.csv", "a,b\r\nx,1\r\n", [(2, {"a": "x", "b": "1"})]),
    ("t.csv", b"\xef\xbb\xbf a , b\nx,1\n", [(2, {"a": "x", "b": "1"})]),
    ("t.csv", 'a,b\n"x\ny",1\n\nz,2\n', [(2, {"a": "x\ny", "b": "1"}), (5, {"a": "z", "b": "2"})]),
    ("t.csv", "a;b\n1,5;x\n", [(2, {"a": "1,5", "b": "x"})]),
    ("t.csv", "a,b\n\"=cmd|' /C calc'!A0\",@x\n", [(2, {"a": "=cmd|' /C calc'!A0", "b": "@x"})]),
    ("t.tsv", "a\tb\nx, y\t1\n", [(2, {"a": "x, y", "b": "1"})]),
    ("t.csv", "", []),
    ("t.csv", "a,b\n", []),
    ("T.CSV", "a\n1\n", [(2, {"a": "1"})]),
]


@pytest.mark.parametrize(("name", "content", "rows"), GOOD)
def test_good_tables(tmp_path, name, content, rows):
    path = put(tmp_path, name, content)
    assert list(read_table(path)) == rows
    assert count_table(path) == len(rows)
    packed = put(tmp_path, name + ".gz", gzip.compress(path.read_bytes()))
    assert list(read_table(packed)) == rows


BAD = [
    ("t.json", '[\n  {"a": 1}\n]', [
        "DIR/t.json:1: the file is one JSON value over several lines; write one JSON object on every line (jq -c '.[]' does it)"]),
    ("t.jsonl", '{"a": 1}\nno\n{"a": 2}\n[1]\n3\n', [
        "DIR/t.jsonl:2: not JSON: invalid literal, expected 'null' (at place 1)",
        "DIR/t.jsonl:4: a line must hold one JSON object, this one holds an array; JSONL has one object on every line",
        "DIR/t.jsonl:5: a line must hold one JSON object, this one holds a bare value"]),
    ("t.jsonl", b'{"a": "\xe4"}\n', ["DIR/t.jsonl:1: not UTF-8 (byte 0xe4 at place 8): save the file as UTF-8"]),
    ("t.csv", b"a,b\n1,2\n\xe4,1\n", ["DIR/t.csv:3: not UTF-8 (byte 0xe4 at place 1): save the file as UTF-8"]),
    ("t.csv", "a,b\n1\n1,2\n1,2,3\n", [
        "DIR/t.csv:2: 1 cells where the header has 2; put cells that hold a separator or a line break in double quotes",
        "DIR/t.csv:4: 3 cells where the header has 2; put cells that hold a separator or a line break in double quotes"]),
    ("t.csv", "a,a\n", ["DIR/t.csv:1: the header names 'a' twice"]),
    ("t.csv", 'a,b\n1,2\n"x,3\n4,5\n', ["DIR/t.csv:3: not CSV: unexpected end of data; is a quote opened here and not closed?"]),
    ("t.csv", "a\n1\n".encode("utf-16"), ["DIR/t.csv:1: the file is UTF-16: save it as UTF-8"]),
    ("t.xlsx", "", ["DIR/t.xlsx: a table is .jsonl, .csv or .tsv (each also .gz) or .parquet; convert the file"]),
    ("t.pkl", "", ["DIR/t.pkl: a table is .jsonl, .csv or .tsv (each also .gz) or .parquet; convert the file"]),
    ("t.jsonl.gz", "not gzip", ["DIR/t.jsonl.gz: cannot be read: the file is damaged (Not a gzipped file (b'no'))"]),
    ("t.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 99)[:-12], ["DIR/t.jsonl.gz: cannot be read: the file is damaged (Compressed file ended before the end-of-stream marker was reached)"]),
    ("t.parquet", "PAR1 no", ["DIR/t.parquet: is no Parquet file"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "sentences"), BAD, ids=[f"{name}-{n}" for n, (name, _, _) in enumerate(BAD)]
)
def test_bad_tables_name_every_bad_line(tmp_path, name, content, sentences):
    found = [line.replace("\\", "/") for line in told(put(tmp_path, name, content))]
    assert len(found) == len(sentences)
    assert all(line.startswith(sentence) for line, sentence in zip(found, sentences, strict=True)), found


def test_rows_before_the_first_bad_line_are_given_and_none_after(tmp_path):
    seen = []
    with pytest.raises(SourceError):
        for number, _ in read_table(put(tmp_path, "t.jsonl", "{}\n{}\nx\n{}\n")):
            seen.append(number)
    assert seen == [1, 2]


def test_not_more_than_twenty_bad_lines_are_told(tmp_path):
    assert len(told(put(tmp_path, "t.jsonl", "x\n" * 1000))) == 20


def test_a_missing_file_and_a_folder(tmp_path):
    assert told(tmp_path / "t.csv") == ["DIR/t.csv: cannot be read: No such file or directory"]
    (tmp_path / "t.jsonl").mkdir()
    assert "cannot be read" in told(tmp_path / "t.jsonl")[0]


@pytest.mark.parametrize("name", ["t.jsonl", "t.csv", "t.jsonl.gz"])
def test_a_line_without_end_takes_bounded_memory(tmp_path, name):
    content = b"a" * 30_000_000
    path = put(tmp_path, name, gzip.compress(content, 1) if name.endswith(".gz") else content)
    tracemalloc.start()
    try:
        assert "longer than 10 MB" in told(path)[0]
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()


def test_deep_nesting_is_one_sentence(tmp_path):
    assert "not JSON" in told(put(tmp_path, "t.jsonl", '{"a":' * 200_000))[0]


def test_memory_does_not_grow_with_the_rows(tmp_path):
    path = put(tmp_path, "t.jsonl", b'{"text": "a text of some length", "label": "x"}\n' * 50_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_table(path)) == 50_000
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
    assert count_table(path, 7) == 7


def test_parquet(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"text": ["a", None], "n": [1, 2]}), path)
    assert list(read_table(path)) == [(1, {"text": "a", "n": 1}), (2, {"text": None, "n": 2})]
    assert (count_table(path), count_table(path, 1)) == (2, 1)


_CELL = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


@given(st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_csv_and_jsonl_give_back_what_was_written(tmp_path_factory, rows):
    import csv

    folder = tmp_path_factory.getbasetemp()
    records = [{"a": a.replace("\0", ""), "b": "x" + b.replace("\0", "")} for a, b in rows]
    with (folder / "any.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, ["a", "b"])
        writer.writeheader()
        writer.writerows(records)
    assert [record for _, record in read_table(folder / "any.csv")] == records
    (folder / "any.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    assert [record for _, record in read_table(folder / "any.jsonl")] == records


def test_csv_needs_no_pyarrow(tmp_path):
    import subprocess

    path = put(tmp_path, "t.csv", "a\n1\n")
    program = (
        f"import sys, pathlib; from recipes.tables import count_table; print(count_table(pathlib.Path({str(path)!r})),"
    )
    done = subprocess.run(
        [sys.executable, "-c", program + "'pyarrow' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "False"]
