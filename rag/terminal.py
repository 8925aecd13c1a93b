"""`python -m rag chat`: a conversation in a terminal, or one answer a line of a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from difflib import get_close_matches
from typing import Any

from rich.console import Console
from rich.text import Text

from rag.assistant import Done, Options, Sources, open_assistant
from rag.background import Background
from rag.filter_words import read_filter
from rag.openai_protocol import web_link
from rag.passages import Passage
from rag.speakers import Piece
from rag.typed import typed_before
from recipes.console import printable, say
from recipes.errors import AskError, TutelageError
from recipes.rows import Turn, storable
from recipes.runs import RunFolder
from recipes.schema import Recipe

_HELP = """\
/sources   the passages behind the last answer
/history   the conversation so far
/new       start another one
/filter    only products like these: /filter brand=Acme price<20; /filter off
/exit      end (or Ctrl-D); Ctrl-C stops an answer
"""


def chat(recipe: Recipe, run: RunFolder, thinking: bool) -> int:
    """Talk until the input ends. thinking: show reasoning, dimmed. The exit code: 1 where a line had no answer."""
    names = tuple(recipe.retrieval.catalogue.metadata) if recipe.retrieval else ()
    with Background(open_assistant(recipe, run)) as background:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            return _Lines(background, names).run()
        session = _Session(background, names, thinking)
        with typed_before(run.path / "chat_history"):
            session.run()
        return 0


class _Talk:
    """A conversation: what was said, what the last answer was given, and the filter."""

    def __init__(self, background: Background, names: tuple[str, ...]) -> None:
        self._background, self._names = background, names
        self._turns: list[Turn] = []
        self._passages: tuple[Passage, ...] = ()
        self._abstained = False
        self._where: dict[str, Any] | None = None

    def ask(self, question: str, show: Callable[[Piece], None]) -> Done | None:
        """Have a question answered. Said is kept, also of an answer that Ctrl-C stopped. Raises TutelageError."""
        asked = Turn(role="user", content=question)
        said: list[str] = []
        done = None
        try:
            with closing(self._background.reply((*self._turns, asked), Options(where=self._where))) as events:
                for event in events:
                    if isinstance(event, Sources):
                        self._passages, self._abstained = event.found.passages, False
                    elif isinstance(event, Piece):
                        said += [] if event.thought else [event.text]
                        show(event)
                    else:
                        done, self._abstained = event, event.abstained
        finally:
            if "".join(said).strip():
                self._turns += [asked, Turn(role="assistant", content="".join(said))]
        return done

    def forget(self) -> None:
        """Begin another conversation."""
        self._turns, self._passages = [], ()

    def cited(self, done: Done) -> list[str]:
        """A line for each passage that was cited; before them, where no model wrote this although one was asked."""
        said = ["(the model gave no answer: these are sentences of the passages)"] if done.quoted else []
        return said + [_headline(passage) for passage in self._passages if passage.number in done.citations]

    def command(self, line: str) -> list[str]:
        """Do what a line with a / says; the lines to show. Raises AskError for no command, EOFError for /exit."""
        name, _, rest = line.partition(" ")
        if name == "/exit":
            raise EOFError
        if name == "/new":
            self.forget()
            return ["a new conversation"]
        if name in ("/filter", "/where"):  # --where, where it is asked for on a command line
            return [self._filter(rest.strip())]
        if name == "/sources":
            return self._sources()
        if name == "/history":
            return [f"{'> ' if turn.role == 'user' else ''}{turn.content}" for turn in self._turns] or ["none"]
        if name == "/help":
            return _HELP.splitlines()
        near = get_close_matches(name, ("/help", "/sources", "/history", "/new", "/filter", "/where", "/exit"), 1)
        raise AskError(f"there is no command {name}; " + (f"did you mean {near[0]}?" if near else "see /help"))

    def _sources(self) -> list[str]:
        """The passages of the last answer; of a refusal they are no grounds."""
        lines = [part for passage in self._passages for part in (_headline(passage), f"    {passage.text}")]
        nearest = (
            ["(the nearest in the catalogue; nothing was answered from them)"] if lines and self._abstained else []
        )
        return [*nearest, *lines] or ["none"]

    def _filter(self, text: str) -> str:
        if text == "off":
            self._where = None
        elif text:
            self._where = read_filter(text, self._names)
        return "no filter" if self._where is None else f"filter: {self._where}"


class _Session(_Talk):
    """A person at a terminal."""

    def __init__(self, background: Background, names: tuple[str, ...], thinking: bool) -> None:
        super().__init__(background, names)
        self._thinking = thinking
        self._console = Console(highlight=False, soft_wrap=True)
        self._thought = False

    def run(self) -> None:
        """Until Ctrl-D or /exit."""
        self._console.print(Text("Ask away; /help shows what else there is.", style="dim"))
        while True:
            try:
                line = storable(input("> ")).strip()
                if line:
                    self._do(line)
            except KeyboardInterrupt:
                self._console.print(Text("\nstopped (Ctrl-D or /exit ends)", style="dim"))
            except EOFError:
                self._console.print()
                return
            except TutelageError as error:
                self._console.print(Text(printable(str(error)), style="yellow"))

    def _do(self, line: str) -> None:
        if line.startswith("/"):
            for part in self.command(line):
                self._console.print(Text(printable(part)))
            return
        self._thought = False
        done = self.ask(line, self._show)
        self._console.print()
        if done is None:
            return
        for part in self.cited(done):
            self._console.print(Text(printable(part), style="dim"))
        if done.ending.reason == "length":
            say("cut: the answer is longer than assistant.answering.max_new_tokens")

    def _show(self, piece: Piece) -> None:
        if piece.thought and not self._thinking:
            return
        if self._thought and not piece.thought:
            self._console.print("\n")
        self._thought = piece.thought
        self._console.print(Text(printable(piece.text), style="dim" if piece.thought else ""), end="")


class _Lines(_Talk):
    """A pipe: each line of the input is a question of its own or a command, each answer is one line."""

    def run(self) -> int:
        """Until the input ends; 1 where a line had no answer."""
        code = 0
        for line in _piped():
            try:
                if line.startswith("/"):
                    for part in self.command(line):
                        say(part)
                    continue
                said: list[str] = []
                done = self.ask(line, lambda piece, said=said: said.append("" if piece.thought else piece.text))  # type: ignore[misc]
                _print_line("".join(said))
                for part in self.cited(done) if done else ():
                    say(part)
                self.forget()
            except EOFError:
                break
            except TutelageError as error:
                if not line.startswith("/"):
                    _print_line("")  # answers stay beside their questions
                say(str(error))
                code = 1
        return code


def _piped() -> Iterator[str]:
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace")
    for number, line in enumerate(sys.stdin):
        text = storable(line.removeprefix("\ufeff") if number == 0 else line).strip()
        if text:
            yield text


def _print_line(text: str) -> None:
    print(printable(" ".join(text.split())), flush=True)  # noqa: T201 (the result)


def _headline(passage: Passage) -> str:
    link = web_link(passage.link)
    return f"[{passage.number}] {passage.title}" + (f"  {link}" if link else "")
