"""Tables on disk as a stream of (line number, record): .jsonl, .csv, .tsv (each also .gz), .parquet, SemEval .xml.

A file named .json is read as JSON lines, as AmazonTitles-1.3MM has them.

Memory stays flat whatever the file's size. A spreadsheet formula in a cell is text like any other.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import orjson

from recipes.errors import SourceError
from recipes.semeval import read_semeval

MOST_LINE_BYTES = 10_000_000
MOST_TOLD = 20
"""Bad lines that are told of at once; the file is read no further after them."""

KINDS = (".jsonl", ".csv", ".tsv", ".parquet", ".xml")
_NOT_LINES = "the file is one JSON value over several lines; write one JSON object on every line (jq -c '.[]' does it)"
Record = dict[str, Any]
Rows = Iterator[tuple[int, Record]]


def table_kind(path: Path) -> str:
    """`.jsonl`, `.csv`, `.tsv`, `.parquet` or `.xml`, by the file's name. Raises SourceError for any other."""
    name = path.name.lower()
    ending = _bare(name).rpartition(".")[2]
    kind = "." + ("jsonl" if ending in ("json", "ndjson") else ending)
    if kind not in KINDS or name.endswith(".parquet.gz"):
        known = ".jsonl, .csv or .tsv (each also .gz) or .parquet"
        raise SourceError(f"{path}: a table is {known}; convert the file")
    return kind


def is_semeval(path: str | None) -> bool:
    """Whether a path names a SemEval file, whose columns are known: id, text and aspects."""
    return path is not None and _bare(path.lower()).endswith(".xml")


def _bare(name: str) -> str:
    """A name up to the ending that says the kind: SemEval 2016 calls its answers EN_REST_SB1_TEST.xml.gold."""
    name = name.removesuffix(".gz")
    return name.removesuffix(".gold") if name.endswith(".xml.gold") else name


def read_table(path: Path) -> Rows:
    """Yield (line, record) for every row; of a Parquet file, (row number from 1, record).

    Raises SourceError with `file:line: sentence` for what is no row: all such lines at once (no row follows the
    first of them), and for a file that cannot be read.
    """
    kind = table_kind(path)
    try:
        if kind == ".parquet":
            yield from _parquet(path)
            return
        with _open(path) as raw:
            if kind == ".xml":
                yield from read_semeval(raw, path)
            elif kind == ".jsonl":
                yield from _jsonl(_lines(raw, path), path)
            else:
                yield from _csv(_lines(raw, path), path, "\t" if kind == ".tsv" else ",")
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or f"the file is damaged ({error})"
        raise SourceError(f"{path}: cannot be read: {reason}") from None


def count_table(path: Path, most: int | None = None) -> int:
    """Rows in a table, or `most` where it has more: no further is counted."""
    if table_kind(path) == ".parquet":
        rows = _parquet_rows(path)
        return rows if most is None else min(rows, most)
    return sum(1 for _ in islice(read_table(path), most))


def _open(path: Path) -> IO[bytes]:
    if path.name.lower().endswith(".gz"):
        return cast(IO[bytes], gzip.open(path, "rb"))
    return path.open("rb")


def _lines(raw: IO[bytes], path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their ends and numbers, each of bounded length; a byte order mark is dropped."""
    number = 0
    while line := raw.readline(MOST_LINE_BYTES + 1):
        number += 1
        if len(line) > MOST_LINE_BYTES:
            raise SourceError(f"{path}:{number}: the line is longer than 10 MB")
        if number == 1:
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise SourceError(f"{path}:1: the file is UTF-16: save it as UTF-8")
            line = line.removeprefix(b"\xef\xbb\xbf")
        yield number, line


def _jsonl(lines: Iterator[tuple[int, bytes]], path: Path) -> Rows:
    problems: list[str] = []
    for number, line in lines:
        if line.isspace():
            continue
        if number == 1 and line.strip() in (b"[", b"{"):
            raise SourceError(f"{path}:1: {_NOT_LINES}")
        record = _object(line)
        if isinstance(record, str):
            problems.append(f"{path}:{number}: {record}")
            if len(problems) == MOST_TOLD:
                break
        elif not problems:
            yield number, record
    if problems:
        raise SourceError("\n".join(problems))


def _object(line: bytes) -> Record | str:
    """The JSON object on a line, or what is wrong with it."""
    try:
        found = orjson.loads(line)
    except ValueError as error:
        try:  # orjson refuses lone surrogates, which json.dumps writes; cleaning mends them
            found = json.loads(line.decode())
        except UnicodeDecodeError as broken:
            return _not_utf8(line, broken)
        except (ValueError, RecursionError):
            return f"not JSON: {str(error).partition(': line')[0][:100]} (at place {getattr(error, 'colno', 1)})"
    if isinstance(found, dict):
        return found
    if isinstance(found, list):
        return "a line must hold one JSON object, this one holds an array; JSONL has one object on every line"
    return "a line must hold one JSON object, this one holds a bare value"


def _not_utf8(line: bytes, error: UnicodeDecodeError) -> str:
    return f"not UTF-8 (byte 0x{line[error.start]:02x} at place {error.start + 1}): save the file as UTF-8"


def _csv(lines: Iterator[tuple[int, bytes]], path: Path, delimiter: str) -> Rows:
    """Rows by the header's names, each with the line on which it begins (a quoted cell may span lines)."""
    last = 0

    def text() -> Iterator[str]:
        nonlocal last
        for last, line in lines:
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise SourceError(f"{path}:{last}: {_not_utf8(line, error)}") from None

    csv.field_size_limit(MOST_LINE_BYTES)
    problems: list[str] = []
    stream = text()
    begin = 1
    try:
        first = next(stream, "")
        if delimiter == "," and "," not in first and ";" in first:
            delimiter = ";"  # how Excel saves CSV where the comma is the decimal sign
        header = _header(next(csv.reader([first], delimiter=delimiter, strict=True), []), path)
        begin = last + 1
        for cells in csv.reader(stream, delimiter=delimiter, strict=True):
            if len(cells) == len(header) and not problems:
                yield begin, dict(zip(header, cells, strict=True))
            elif cells and len(cells) != len(header):
                problems.append(_cells(f"{path}:{begin}", len(cells), len(header)))
            begin = last + 1
            if len(problems) == MOST_TOLD:
                break
    except csv.Error as error:
        problems.append(f"{path}:{begin}: not CSV: {error}; is a quote opened here and not closed?")
    if problems:
        raise SourceError("\n".join(problems))


def _cells(where: str, seen: int, wanted: int) -> str:
    advice = "put cells that hold a separator or a line break in double quotes"
    return f"{where}: {seen} cells where the header has {wanted}; {advice}"


def _header(names: list[str], path: Path) -> list[str]:
    header = [name.strip() for name in names]
    twice = [name for place, name in enumerate(header) if name and name in header[:place]]
    if twice:
        raise SourceError(f"{path}:1: the header names {twice[0]!r} twice")
    return header


def _parquet(path: Path) -> Rows:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    number = 0
    try:
        with path.open("rb") as file, pq.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=1024):
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
    except (pa.ArrowException, ValueError) as error:
        raise SourceError(f"{path}: is no Parquet file: {str(error).splitlines()[0][:200]}") from None


def _parquet_rows(path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file, pq.ParquetFile(file) as table:
            return int(table.metadata.num_rows)
    except (pa.ArrowException, ValueError) as error:
        raise SourceError(f"{path}: is no Parquet file: {str(error).splitlines()[0][:200]}") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from None
