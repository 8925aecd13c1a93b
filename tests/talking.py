"""An assistant to test the server and the terminal against, and that server on a loopback port of its own.

with serving(Talker()) as at:
    ... ask at.url ...
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rag.assistant import Done, Options, Sources
from rag.connections import Patience
from rag.feedback import Feedback
from rag.gate import make_gate
from rag.passages import Found, Passage
from rag.service import Service
from rag.serving import Server, http_server, listener
from rag.speakers import Ending, Piece
from recipes.assistant import Assistant as Settings
from recipes.errors import AskError, TeacherError, TrainingError
from recipes.rows import Turn

PASSAGES = tuple(
    Passage(number, f"c{number}", f"doc-{number}", title, text, {"title": title}, {"price": price}, link, 1.0 / number)
    for number, title, text, price, link in [
        (1, "Kettle", "A kettle of steel, 20 pounds.", 20, "https://shop.example/kettle"),
        (2, "Teapot", "A teapot of glass.", 15, None),
    ]
)
EXAMPLES = ("Tell me about Kettle", "Tell me about <b>Teapot</b>")
SYSTEM = Turn(role="system", content="You help customers of a shop.")


class Talker:
    """Answers by the last message: `slow` and `flood` never end, `broken` fails, `late` fails in the middle, `away` has
    no model, `heavy` too large a one, `long` is refused, `cut` reaches its limit, `nothing` is not in the catalogue;
    the rest is a kettle.
    """

    alive = True
    index = "current"

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause
        self.asked: list[tuple[tuple[Turn, ...], Options]] = []
        self.under_way = self.most = 0
        self.began = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)

    def examples(self) -> tuple[str, ...]:
        return EXAMPLES

    async def reply(self, messages: Sequence[Turn], options: Options) -> AsyncGenerator[Sources | Piece | Done, None]:
        self.asked.append((tuple(messages), options))
        question = messages[-1].content
        if question == "long":
            raise AskError("the question has 9,000 tokens and the model reads 4,096: ask a shorter one")
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.began.release()
        try:
            async for event in self._events(question):
                yield event
        finally:
            self.under_way -= 1
            self.ended.release()

    async def _events(self, question: str) -> AsyncGenerator[Sources | Piece | Done, None]:
        if question == "broken":
            raise ZeroDivisionError("a secret of ours: sk-abcdef0123456789abcdef")
        if question == "away":
            raise TeacherError("http://10.0.0.7:8000/v1 does not answer")
        if question == "heavy":
            raise TrainingError("/root/models/student does not fit into memory")
        nothing = question == "nothing"
        yield Sources(Found(question, () if nothing else PASSAGES, 0.9, not nothing), question)
        if nothing:
            yield Piece("I could not find that.")
            yield self._done(question, "I could not find that.", abstained=True)
            return
        yield Piece("a kettle? ", thought=True)
        yield Piece("yes.", thought=True)
        said = ["The kettle ", "costs 20 ", "pounds [1].", " ☕"]
        for piece in said:
            await asyncio.sleep(self.pause)
            yield Piece(piece)
        while question in ("slow", "flood"):
            await asyncio.sleep(0.005)
            yield Piece("and so on " * (1 if question == "slow" else 20_000))
        if question == "late":
            raise ZeroDivisionError("too late")
        yield self._done(question, "".join(said), reason="length" if question == "cut" else "stop")

    def _done(self, question: str, said: str, *, abstained: bool = False, reason: str = "stop") -> Done:
        shown = Turn(role="user", content=f"<passages>A kettle of steel, 20 pounds.</passages>\n{question}")
        cited = () if abstained else (1,)
        return Done(Ending(reason, 12, 5), cited, 1, 0, abstained, said, (SYSTEM, shown), ("☕",))


class Shop(Talker):
    """Talker, which says what is asked for after `say:`; `say:none` is no answer, `say:quoted` none of its own."""

    async def _events(self, question: str) -> AsyncGenerator[Sources | Piece | Done, None]:
        if not question.startswith("say:"):
            async for event in super()._events(question):
                yield event
            return
        said = question.removeprefix("say:")
        first = replace(
            PASSAGES[0], title="<i>Kettle</i>", text="steel " * 100, metadata={"<b>": "<u>1</u>", "new": True}
        )
        yield Sources(Found("kettles of steel", (first, PASSAGES[1]), 0.9, True), question)
        for place in range(0, len(said), 5):
            yield Piece(said[place : place + 5])
        yield replace(self._done(question, said), ungrounded=(), abstained=said == "none", quoted=said == "quoted")


@dataclass(frozen=True)
class At:
    """A running server. log: what its operator sees."""

    port: int
    service: Service
    log: list[str]
    server: Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def until(self, is_so: object) -> None:
        """Wait until `is_so()`, or fail."""
        assert callable(is_so)
        for _ in range(1000):
            if is_so():
                return
            time.sleep(0.01)
        raise AssertionError("it did not come to be")


@contextmanager
def serving(
    talker: Talker,
    folder: Path | None = None,
    key: str | None = None,
    patience: Patience | None = None,
    **settings: object,
) -> Iterator[At]:
    """The server around `talker`, in a thread; settings: of the recipe's section assistant."""
    section = Settings.model_validate(settings)
    log: list[str] = []
    feedback = Feedback(folder / "feedback" if folder else Path("/nonexistent/feedback"))
    gate = make_gate(section.host, section.hosts, key)
    service = Service(
        talker, section, "shop", 1_700_000_000, gate, feedback, patience or Patience(), log.append,  # type: ignore[arg-type]
        examples=talker.examples(),
    )  # fmt: skip
    server = http_server(service)
    with listener("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
        thread.start()
        try:
            yield At(listening.getsockname()[1], service, log, server)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the server did not end"


def raw(port: int, request: bytes, more: Sequence[bytes] = ()) -> bytes:
    """What a server answers to bytes as they are, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        answer = b""
        try:
            line.sendall(request)
            for part in more:
                line.sendall(part)
        except OSError:
            pass
        try:
            while part := line.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
    return answer
