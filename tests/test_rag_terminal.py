"""The conversation in a terminal and through a pipe."""

from __future__ import annotations

import builtins
import io
import queue
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from talking import Shop, Talker

import rag.terminal
from rag.assistant import Options
from rag.background import Background
from rag.filter_words import read_filter
from recipes.errors import AskError, RunError
from recipes.rows import Turn
from recipes.runs import RunFolder

METADATA = SimpleNamespace(
    retrieval=SimpleNamespace(catalogue=SimpleNamespace(metadata={"price": "price", "brand": "brand"}))
)


@pytest.fixture
def talker(monkeypatch: pytest.MonkeyPatch) -> Talker:
    talker = Talker()

    @asynccontextmanager
    async def opened(recipe: Any, run: Any):
        yield talker

    monkeypatch.setattr(rag.terminal, "open_assistant", opened)
    return talker


def pipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> int:
    """Chat with `text` on the input, which is no terminal."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))
    return rag.terminal.chat(METADATA, RunFolder(tmp_path), thinking=True)  # type: ignore[arg-type]


def sit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *lines: str | type[BaseException], thinking: bool = True
) -> None:
    """Chat as a person at a terminal who types `lines`, and then Ctrl-D."""
    typed: Iterator[str | type[BaseException]] = iter(lines)

    def answer(prompt: str = "") -> str:
        line = next(typed, EOFError)
        if isinstance(line, type):
            raise line
        return line

    monkeypatch.setattr(builtins, "input", answer)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert rag.terminal.chat(METADATA, RunFolder(tmp_path), thinking) == 0  # type: ignore[arg-type]


def test_a_pipe_gets_one_answer_a_line_and_sources_aside(talker, monkeypatch, tmp_path, capsys) -> None:
    assert pipe(monkeypatch, tmp_path, "\ufeffkettle?\n\nnothing\nhow much?") == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "The kettle costs 20 pounds [1]. ☕",
        "I could not find that.",
        "The kettle costs 20 pounds [1]. ☕",
    ]
    assert "[1] Kettle  https://shop.example/kettle" in err and "Teapot" not in err
    assert [len(messages) for messages, _ in talker.asked] == [1, 1, 1]


def test_lines_of_a_pipe_can_be_commands(talker, monkeypatch, tmp_path, capsys) -> None:
    pipe(monkeypatch, tmp_path, "kettle?\n/where price<20\nkettle?\n/filter off\nkettle?\n/exit\nnever asked\n")
    assert [options.where for _, options in talker.asked] == [None, {"price": {"$lt": 20}}, None]
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_an_answer_that_cannot_be_given_is_an_empty_line(talker, monkeypatch, tmp_path, capsys) -> None:
    assert pipe(monkeypatch, tmp_path, "long\naway\nkettle?\n/nonsense\n") == 1
    out, err = capsys.readouterr()
    assert [bool(line) for line in out.split("\n")[:-1]] == [False, False, True]
    assert "9,000 tokens" in err and "does not answer" in err and "/nonsense" in err


def test_a_bug_of_ours_is_not_hidden(talker, monkeypatch, tmp_path) -> None:
    with pytest.raises(ZeroDivisionError):
        pipe(monkeypatch, tmp_path, "broken\n")


def test_a_person_sees_the_answer_its_thought_and_its_sources(talker, monkeypatch, tmp_path, capsys) -> None:
    sit(monkeypatch, tmp_path, "kettle?")
    out = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out)
    assert "a kettle? yes.\n\nThe kettle costs 20 pounds [1]." in out
    assert "[1] Kettle  https://shop.example/kettle" in out and "[2] Teapot" not in out


def test_the_thought_can_be_hidden(talker, monkeypatch, tmp_path, capsys) -> None:
    sit(monkeypatch, tmp_path, "kettle?", thinking=False)
    assert "yes." not in capsys.readouterr().out


def test_the_next_question_knows_the_conversation(talker, monkeypatch, tmp_path) -> None:
    sit(monkeypatch, tmp_path, "kettle?", "how much?", "/new", "kettle?")
    assert [len(messages) for messages, _ in talker.asked] == [1, 3, 1]


def test_commands_show_sources_and_history(talker, monkeypatch, tmp_path, capsys) -> None:
    sit(monkeypatch, tmp_path, "/sources", "kettle?", "/sources", "/history", "/help", "/sorces", "/new", "/history")
    out = capsys.readouterr().out
    assert "A teapot of glass." in out and "> kettle?" in out and "/filter" in out and "did you mean /sources?" in out
    assert out.count("none") == 2


def test_what_stands_near_a_refusal_is_no_source_of_it(monkeypatch, tmp_path, capsys) -> None:
    shop = Shop()
    monkeypatch.setattr(rag.terminal, "open_assistant", lambda recipe, run: nullcontext(shop))
    sit(monkeypatch, tmp_path, "say:none", "/sources", "kettle?", "/sources")
    out = capsys.readouterr().out
    assert out.count("nothing was answered from them") == 1 and out.count("A teapot of glass.") == 2


def test_ctrl_c_stops_the_answer_and_not_the_program(talker, monkeypatch, tmp_path, capsys) -> None:
    """The answer never ends by itself."""
    shown = []

    def interrupted(self: Any, piece: Any) -> None:
        shown.append(piece.text)
        if len(shown) == 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(rag.terminal._Session, "_show", interrupted)
    sit(monkeypatch, tmp_path, "slow", "kettle?")
    assert talker.ended.acquire(timeout=20) and talker.under_way == 0
    assert "stopped" in capsys.readouterr().out
    assert [messages[-1].content for messages, _ in talker.asked] == ["slow", "kettle?"]
    assert "and so on" in talker.asked[1][0][1].content  # what was said until then is part of the conversation


def test_ctrl_c_at_the_prompt_ends_nothing(talker, monkeypatch, tmp_path) -> None:
    sit(monkeypatch, tmp_path, KeyboardInterrupt, "kettle?")
    assert len(talker.asked) == 1


def test_errors_are_sentences_and_the_conversation_goes_on(talker, monkeypatch, tmp_path, capsys) -> None:
    sit(monkeypatch, tmp_path, "long", "kettle?")
    assert "9,000 tokens" in capsys.readouterr().out
    assert len(talker.asked[1][0]) == 1  # a question without an answer is not history


def test_answers_cannot_steer_the_terminal(talker, monkeypatch, tmp_path, capsys) -> None:
    async def nasty(messages: Any, options: Any):
        from rag.speakers import Piece

        yield Piece("\x1b[2J\x1b]0;owned\x07[bold]plain[/bold]")

    talker.reply = nasty  # type: ignore[method-assign]
    sit(monkeypatch, tmp_path, "kettle?")
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out and "\x07" not in out and "[bold]plain[/bold]" in out


def test_what_was_typed_is_kept_for_the_next_session_and_for_its_owner_alone(talker, monkeypatch, tmp_path) -> None:
    readline = pytest.importorskip("readline")
    readline.clear_history()
    readline.add_history("kettle?")
    sit(monkeypatch, tmp_path)
    kept = tmp_path / "chat_history"
    assert "kettle?" in kept.read_text() and kept.stat().st_mode & 0o077 == 0
    readline.clear_history()
    sit(monkeypatch, tmp_path)
    assert readline.get_current_history_length() == 1
    readline.clear_history()


def test_an_assistant_that_cannot_be_opened_says_why(monkeypatch, tmp_path) -> None:
    @asynccontextmanager
    async def opened(recipe: Any, run: Any):
        raise RunError("there is no index")
        yield

    monkeypatch.setattr(rag.terminal, "open_assistant", opened)
    with pytest.raises(RunError, match="there is no index"):
        pipe(monkeypatch, tmp_path, "kettle?\n")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("brand=Acme", {"brand": {"$in": ["Acme"]}}),
        ("price<=20.5", {"price": {"$lte": 20.5}}),
        ("price!=-3", {"price": {"$nin": [-3, "-3"]}}),
        ("brand='Old & New'", {"brand": {"$in": ["Old & New"]}}),
        ("brand=true", {"brand": {"$in": [True, "true"]}}),
        ("brand=1e5", {"brand": {"$in": [1e5, "1e5"]}}),
        ("price<1e3", {"price": {"$lt": 1000.0}}),
        ("brand=" + "9" * 50, {"brand": {"$in": ["9" * 50]}}),
        ("brand=a=b", {"brand": {"$in": ["a=b"]}}),
        ("price>1 price<5", {"$and": [{"price": {"$gt": 1}}, {"price": {"$lt": 5}}]}),
    ],
)
def test_filters_are_typed(text: str, where: dict[str, Any]) -> None:
    assert read_filter(text, ("price", "brand")) == where


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("brnd=x", "did you mean brand"),
        ("price", "no condition"),
        ("brand='x", "not closed"),
        ("price<cheap", "takes a number"),
        ("price<" + "9" * 50, "takes a number"),
        ("price>=" + "9" * 9_000, "takes a number"),
    ],
)
def test_what_is_no_filter_is_said(text: str, says: str) -> None:
    with pytest.raises(AskError, match=says):
        read_filter(text, ("price", "brand"))


def test_ctrl_c_right_after_a_question_waits_for_nobody(talker, monkeypatch) -> None:
    """The loop is busy: the question is taken back before it has begun."""
    busy = threading.Event()

    class Interrupted(queue.SimpleQueue):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            if timeout is not None:
                raise KeyboardInterrupt
            busy.set()
            return super().get(timeout=20)

    monkeypatch.setattr("rag.background.SimpleQueue", Interrupted)
    with Background(rag.terminal.open_assistant(None, None)) as background:  # type: ignore[arg-type]
        background._loop.call_soon_threadsafe(busy.wait, 20)
        with pytest.raises(KeyboardInterrupt):
            list(background.reply([Turn(role="user", content="kettle?")], Options()))
    assert talker.asked == []
