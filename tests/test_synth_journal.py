"""The reply journal: nothing written is lost, nothing damaged is believed."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.chat import Reply, TokenLogprobs, Usage
from recipes.errors import RunError
from synth import journal_file
from synth.entries import Entry, Failure, checked, decode, encode, encode_lease
from synth.journal import Journal

REPLY = Reply('{"label": "neutral"}', "stop", Usage(100, 40, 7))


def key(number: int | str) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def fill(path: Path, count: int) -> list[Reply]:
    replies = [Reply(f"reply {n} ü\n", "stop", Usage(100 + n, n, 7)) for n in range(count)]
    with Journal.open(path) as journal:
        for number, reply in enumerate(replies):
            journal.put(key(number), f"row-{number}", reply, model="m")
    return replies


def test_replies_and_failures_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    logprobs = (TokenLogprobs("neg", (("neg", -0.25), ("pos", -2.5))), TokenLogprobs("ative", ()))
    full = Reply('says "hi"\x00\u2028', "length", Usage(10, 5, 3), "no, I will not", logprobs)
    wrong = Failure("rejected", "400: too long")
    passing = Failure("timeout", "no answer within 2 s")
    with Journal.open(path) as journal:
        assert journal.get(key(1)) is None
        journal.put(key(1), "a", full, sample=2, model="m", uncertain=Usage(1, 0, 2))
        journal.put(key(2), "b", wrong)
        journal.put(key(3), "c", passing)
        seen = [journal.get(key(n)) for n in (1, 2, 3)]
    assert seen == [full, wrong, passing]
    with Journal.open(path) as journal:
        assert journal.get(key(1)) == full
        assert journal.get(key(2)) == wrong, "a request refused as wrong is not asked again"
        assert journal.get(key(3)) is None, "a failure that passes is asked again by the next run"
        assert (journal.replies, journal.failures, journal.damaged) == (1, 2, 0)
        assert journal.usage == Usage(11, 5, 5)


def test_the_last_line_about_a_request_counts_and_all_of_them_are_paid(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal.open(path) as journal:
        journal.put(key(1), "a", REPLY)
        journal.put(key(1), "a", Reply("second", "stop", Usage(1, 0, 1)))
    with Journal.open(path) as journal:
        found = journal.get(key(1))
        assert isinstance(found, Reply) and found.text == "second"
        assert journal.usage == Usage(101, 40, 8)


def test_text_that_utf8_cannot_hold_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal.open(path) as journal:
        journal.put(key(1), "id-\ud800", Reply("half \ud83d, whole \ud83d\ude00"))
    with Journal.open(path) as journal:
        assert journal.get(key(1)) == Reply("half �, whole 😀")


@settings(max_examples=200, deadline=None)
@given(st.text(), st.text(), st.integers(0, 10**9))
def test_a_line_is_one_line_and_reads_back(text: str, example: str, tokens: int) -> None:
    entry = Entry(key(1), example, Reply(text, "stop", Usage(tokens, 0, 1)), 3, "model", 7, asked="5d0c")
    line = encode(entry)
    assert line.count(b"\n") == 1
    body = checked(line)
    assert body is not None
    assert decode(body) == entry
    assert checked(line[:-1] + b"\r\n") == body, "Windows line ends are allowed"


def test_every_flipped_bit_is_found() -> None:
    lines = [encode(Entry(key(1), "a", REPLY, 1, "m", 7)), encode_lease(Usage(10, 0, 5), Usage(1, 0, 1))]
    for line in lines:
        for place in range(8 * (len(line) - 1)):
            broken = bytearray(line)
            broken[place // 8] ^= 1 << (place % 8)
            assert checked(bytes(broken)) is None, f"bit {place} flipped and not found"


def test_twenty_thousand_random_flips_never_give_a_wrong_reply(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    replies = fill(path, 40)
    whole = path.read_bytes()
    rng = random.Random(1)
    wrong = 0
    lines = whole.splitlines(keepends=True)
    for _ in range(20_000):
        line = bytearray(rng.choice(lines))
        for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
            line[rng.randrange(len(line))] ^= 1 << rng.randrange(8)
        body = checked(bytes(line))
        wrong += body is not None and bytes(line) not in lines
    assert wrong == 0
    for _ in range(60):
        spot = rng.randrange(len(whole))
        path.write_bytes(whole[:spot] + bytes([whole[spot] ^ 1 << rng.randrange(8)]) + whole[spot + 1 :])
        with Journal.open(path, readonly=True) as journal:
            found = [journal.get(key(n)) for n in range(40)]
        good = sum(one == reply for one, reply in zip(found, replies, strict=True))
        assert good >= 38 and all(one is None or one == reply for one, reply in zip(found, replies, strict=True))


def test_damaged_lines_are_skipped_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "journal.jsonl"
    replies = fill(path, 6)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"reply", b"rebly")
    lines[4] = b"\x00" * 50 + b"\n"
    path.write_bytes(b"".join(lines))
    with Journal.open(path) as journal:
        assert [journal.get(key(n)) for n in range(6)] == [replies[0], None, replies[2], replies[3], None, replies[5]]
        assert journal.damaged == 2
        journal.put(key(1), "row-1", replies[1])
    assert "2 damaged lines skipped, the requests will be asked again: line 2, 5" in capsys.readouterr().err
    with Journal.open(path) as journal:
        assert journal.get(key(1)) == replies[1]


def test_a_tail_torn_at_any_byte_loses_only_the_torn_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "journal.jsonl"
    replies = fill(path, 4)
    whole = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(ends[1], len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = sum(end <= cut for end in ends)
        kept += cut + 1 in ends  # all there but the line's end
        with Journal.open(path, readonly=True) as journal:
            assert [journal.get(key(n)) for n in range(4)] == [*replies[:kept], *[None] * (4 - kept)]
        assert path.read_bytes() == whole[:cut], "reading changes nothing"
        if cut % 4 and len(whole) - cut > 3:
            continue
        with Journal.open(path) as journal:
            assert [journal.get(key(n)) for n in range(4)] == [*replies[:kept], *[None] * (4 - kept)]
            for number in range(kept, 4):
                journal.put(key(number), "again", replies[number])
        with Journal.open(path) as journal:
            assert [journal.get(key(n)) for n in range(4)] == replies
            assert journal.damaged == 0
        capsys.readouterr()
    path.write_bytes(whole[:-5])
    Journal.open(path).close()
    Journal.open(path).close()
    assert capsys.readouterr().err.count("was not written to its end") == 1


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary", encoding="utf-8")
    for readonly in (True, False):
        with pytest.raises(RunError, match="is no reply journal"):
            Journal.open(path, readonly=readonly)
    assert path.read_text(encoding="utf-8") == "dear diary"
    with pytest.raises(RunError, match="there is no reply journal here"):
        Journal.open(tmp_path / "absent.jsonl", readonly=True)
    with pytest.raises(RunError, match="cannot be opened"):
        Journal.open(tmp_path)


@pytest.mark.parametrize(
    "rest",
    [
        {"key": key(1), "kind": "reply", "usage": [1, 2], "reply": {"text": "a", "finish": "stop"}},
        {"key": key(1), "kind": "reply", "usage": ["1", 0, 0], "reply": {"text": "a", "finish": "stop"}},
        {"key": key(1), "kind": "reply", "usage": [-1, 0, 0], "reply": {"text": "a", "finish": "stop"}},
        {"key": "not hex", "kind": "reply", "usage": [1, 0, 0], "reply": {"text": "a", "finish": "stop"}},
        {"key": key(1), "kind": "reply", "usage": [1, 0, 0], "reply": {"text": 5, "finish": "stop"}, "example": "a"},
        {"key": key(1), "kind": "reply", "usage": [1, 0, 0], "reply": []},
        {"key": 5},
        {"lease": "all"},
        {},
    ],
)
def test_lines_with_a_right_checksum_and_odd_fields_are_not_believed(tmp_path: Path, rest: dict) -> None:
    body = orjson.dumps(rest)[1:]
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"crc32":"%08x",%s\n' % (zlib.crc32(body), body))
    with Journal.open(path, readonly=True) as journal:
        assert journal.get(key(1)) is None


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    program = f"from pathlib import Path; from synth.journal import Journal; Journal.open(Path({str(path)!r}))"
    with Journal.open(path) as journal:
        journal.put(key(1), "a", REPLY)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "is being written by another process: wait for it to end" in done.stderr
        with Journal.open(path, readonly=True) as reader:
            assert reader.get(key(1)) == REPLY
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_full_disk_is_said_and_the_journal_goes_on_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    room = 700
    real = os.write

    def write(fd: int, data: memoryview) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = real(fd, data[: min(room, len(data))])
        room -= taken
        return taken

    monkeypatch.setattr(journal_file.os, "write", write)
    journal = Journal.open(path)
    stored = 0
    with pytest.raises(RunError, match="the disk is full: make room and run the same command again") as caught:
        while True:
            journal.put(key(stored), "a", REPLY)
            stored += 1
    assert str(path) in str(caught.value)
    journal.close()
    assert stored >= 2
    room = 1 << 30
    with Journal.open(path) as journal:
        assert [journal.get(key(n)) for n in range(stored)] == [REPLY] * stored
        assert journal.get(key(stored)) is None
        assert journal.damaged == 0
        journal.put(key(stored), "a", REPLY)
        assert journal.get(key(stored)) == REPLY


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_really_full_device_is_the_same_sentence() -> None:
    with pytest.raises(RunError, match="the disk is full"), journal_file.disk(Path("/dev/full")):
        fd = os.open("/dev/full", os.O_WRONLY)
        try:
            os.write(fd, b"x")
        finally:
            os.close(fd)


def test_a_lease_left_by_a_kill_counts_as_paid_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal.open(path) as journal:
        journal.put(key(1), "a", REPLY)
        journal.hold(Usage(1000, 0, 500))
    for _ in range(2):
        with Journal.open(path) as journal:
            assert journal.usage == Usage(1100, 40, 507)
            assert journal.lease == Usage()
    assert "up to 1,500 tokens" in capsys.readouterr().err
    with Journal.open(path) as journal:
        journal.hold(Usage(10, 0, 10))
        journal.hold(Usage(), uncertain=Usage(3, 0, 4))
    with Journal.open(path) as journal:
        assert journal.usage == Usage(1103, 40, 511)


def test_memory_does_not_grow_with_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    fill(path, 6_000)
    sizes = []
    for count in (1_500, 6_000):
        short = tmp_path / "short.jsonl"
        with path.open("rb") as lines, short.open("wb") as out:
            out.writelines(line for _, line in zip(range(count), lines, strict=False))
        tracemalloc.start()
        with Journal.open(short, readonly=True) as journal:
            assert journal.get(key(count - 1)) is not None
            sizes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert sizes[1] < 1.1 * sizes[0] + 50_000
