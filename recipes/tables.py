"""Tables on disk as a stream of (line number, record): .jsonl, .csv, .tsv (each also .gz) and .parquet.

Memory stays flat whatever the file's size. A spreadsheet formula in a cell is text like any other.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import orjson

from recipes.errors import SourceError

MOST_LINE_BYTES = 10_000_000
KINDS = (".jsonl", ".csv", ".tsv", ".parquet")
Record = dict[str, Any]


def table_kind(path: Path) -> str:
    """`.jsonl`, `.csv`, `.tsv` or `.parquet`, by the file's name. Raises SourceError for any other."""
    name = path.name.lower().removesuffix(".gz")
    kind = "." + name.rpartition(".")[2]
    kind = ".jsonl" if kind == ".ndjson" else kind
    if kind not in KINDS or (kind == ".parquet" and path.name.lower().endswith(".gz")):
        raise SourceError(
            f"{path}: a table is .jsonl, .csv, .tsv (each also .gz) or .parquet; rename or convert the file"
        )
    return kind


def read_table(path: Path) -> Iterator[tuple[int, Record]]:
    """Yield (line, record) for every row; of a Parquet file, (row number from 1, record).

    Raises SourceError as `file:line: sentence` for what is no row, and for a file that cannot be read.
    """
    kind = table_kind(path)
    try:
        if kind == ".parquet":
            yield from _parquet(path)
            return
        with _open(path) as raw:
            lines = _lines(raw, path)
            yield from _jsonl(lines, path) if kind == ".jsonl" else _csv(lines, path, "\t" if kind == ".tsv" else ",")
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or f"the file is damaged ({error})"
        raise SourceError(f"{path}: cannot be read: {reason}") from None


def count_table(path: Path, most: int | None = None) -> int:
    """Rows in a table, counted no further than `most`."""
    if table_kind(path) == ".parquet":
        import pyarrow.parquet as pq

        try:
            rows = pq.ParquetFile(path).metadata.num_rows
        except (OSError, ValueError) as error:
            raise SourceError(f"{path}: is no Parquet file: {str(error).splitlines()[0]}") from None
        return rows if most is None else min(rows, most)
    count = 0
    for count, _ in enumerate(read_table(path), 1):
        if count == most:
            break
    return count


def _open(path: Path) -> IO[bytes]:
    if path.name.lower().endswith(".gz"):
        return cast(IO[bytes], gzip.open(path, "rb"))
    return path.open("rb")


def _lines(raw: IO[bytes], path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 file, with their ends; each of bounded length."""
    number = 0
    while line := raw.readline(MOST_LINE_BYTES + 1):
        number += 1
        if len(line) > MOST_LINE_BYTES:
            raise SourceError(f"{path}:{number}: the line is longer than 10 MB")
        if number == 1:
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise SourceError(f"{path}:1: the file is UTF-16: save it as UTF-8")
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{path}:{number}: not UTF-8 (byte 0x{line[error.start]:02x} at {error.start + 1}): save the file as UTF-8"
            ) from None


def _jsonl(lines: Iterator[tuple[int, str]], path: Path) -> Iterator[tuple[int, Record]]:
    for number, line in lines:
        if line.isspace():
            continue
        try:
            record = orjson.loads(line)
        except ValueError as error:
            hint = (
                "; is this one JSON array? JSONL has an object on every line" if line.lstrip().startswith("[") else ""
            )
            raise SourceError(f"{path}:{number}: not JSON: {str(error)[:120]}{hint}") from None
        if not isinstance(record, dict):
            kind = "an array" if isinstance(record, list) else "a bare value"
            raise SourceError(f"{path}:{number}: a line must hold one JSON object, this one holds {kind}")
        yield number, record


def _csv(lines: Iterator[tuple[int, str]], path: Path, delimiter: str) -> Iterator[tuple[int, Record]]:
    """Rows by the header's names. Line numbers are those where a row begins (a quoted cell may span lines)."""
    place = [0]

    def text() -> Iterator[str]:
        for number, line in lines:
            place[0] = number
            yield line

    reader = csv.reader(text(), delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        _check_header(header, path)
        begin = place[0] + 1
        for cells in reader:
            if cells:
                if len(cells) != len(header):
                    raise SourceError(
                        f"{path}:{begin}: {len(cells)} cells where the header has {len(header)}; "
                        "put cells that hold a separator or a line break in double quotes"
                    )
                yield begin, dict(zip(header, cells, strict=True))
            begin = place[0] + 1
    except csv.Error as error:
        raise SourceError(f"{path}:{place[0]}: not CSV: {error}") from None


def _check_header(header: list[str], path: Path) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise SourceError(f"{path}:1: the header names {twice[0]!r} twice")


def _parquet(path: Path) -> Iterator[tuple[int, Record]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=1024):
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
    except (pa.ArrowException, ValueError) as error:
        raise SourceError(f"{path}: is no Parquet file: {str(error).splitlines()[0][:200]}") from None
