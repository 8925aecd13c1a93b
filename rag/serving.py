"""`python -m rag serve`: an assistant on a port, from its start to the last answer after Ctrl-C."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from rag.assistant import open_assistant
from rag.connections import Patience, connection_class
from rag.feedback import Feedback
from rag.gate import is_loopback, make_gate
from rag.server import build_app
from rag.service import Service
from recipes.assistant import Assistant as Settings
from recipes.console import say
from recipes.errors import RunError
from recipes.keys import read_key
from recipes.runs import RunFolder
from recipes.schema import Recipe

MIN_KEY_CHARS = 16
GRACE_SECONDS = 10
"""What answers under way get when the server is stopped."""


def serve(
    recipe: Recipe, run: RunFolder, host: str | None, port: int | None, prepare: Callable[[], None] | None = None
) -> None:
    """Serve until Ctrl-C or SIGTERM. host, port: in place of the recipe's. prepare: done first, once nothing else is in
    the way.

    Raises RunError where it cannot listen there, or a key is needed and there is none.
    """
    settings = recipe.assistant or Settings()
    host, port = host or settings.host, settings.port if port is None else port
    key = server_key(settings, host)
    with listener(host, port) as listening:  # before a catalogue is indexed or a model loaded: that takes minutes
        if prepare is not None:
            prepare()
        asyncio.run(_serve(recipe, run, settings, host, key, listening))
    say("ended")


def server_key(settings: Settings, host: str) -> str | None:
    """The key that clients must send; None where none is asked for. Raises RunError where one is needed or too weak."""
    key = read_key(settings.key_env)
    if key is None and settings.key_env is not None:
        raise RunError(
            f"{settings.key_env} is empty or not set: put the key that clients must send there, in the environment or "
            f"a .env file beside the recipe, such as {_proposal()}"
        )
    if key is None and not is_loopback(host):
        raise RunError(f"{host} can be reached by others: name the variable with a key in assistant.key_env")
    if key is not None and len(key) < MIN_KEY_CHARS:
        raise RunError(
            f"the key in {settings.key_env} is under {MIN_KEY_CHARS} characters: take one such as {_proposal()}"
        )
    return key


def _proposal() -> str:
    return 'what python -c "import secrets; print(secrets.token_urlsafe(32))" prints'


@contextmanager
def listener(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket. Raises RunError with what is in the way."""
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError):
        raise RunError(f"{host} is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all of them") from None
    with listening:
        if os.name == "posix":  # elsewhere the option would let two programs have one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen(512)
        except OSError as error:
            raise RunError(f"{where} {_in_the_way(error)}") from None
        yield listening


def _in_the_way(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "is in use by another program: end that, or take another port with --port (0: any free one)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "may not be listened on by this user: take a port from 1024 on with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return "is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all of them"
    return f"cannot be listened on: {error.strerror or error}"


async def _serve(
    recipe: Recipe, run: RunFolder, settings: Settings, host: str, key: str | None, listening: socket.socket
) -> None:
    async with open_assistant(recipe, run) as assistant:
        gate = make_gate(host, settings.hosts, key)
        feedback = Feedback(run.path / "feedback")
        examples = assistant.examples()
        service = Service(assistant, settings, recipe.name, int(time.time()), gate, feedback, examples=examples)
        port = listening.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        for line in _told(settings, f"http://{shown}:{port}", key is not None):
            say(line)
        await http_server(service).serve(sockets=[listening])


def _told(settings: Settings, url: str, keyed: bool) -> list[str]:
    """What is said when it answers: where, how it is watched, and what clients must send."""
    lines = [
        f"{settings.name} answers at {url}/ and, as OpenAI's API, at {url}/v1",
        f"how it does: {url}/health, and for Prometheus {url}/metrics",
    ]
    if keyed:
        sent = f"the key in {settings.key_env}, as `Authorization: Bearer KEY`"
        lines.append(f"all of these but the page itself, /health and /metrics too, must be sent {sent}")
    return [*lines, "Ctrl-C ends it"]


def http_server(service: Service) -> Server:
    """uvicorn with our limits."""
    patience: Patience = service.patience
    config = uvicorn.Config(
        build_app(service),
        http=connection_class(patience, service.metrics.malformed.inc),
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",  # what matters we log ourselves
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=patience.idle_seconds,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=patience.head_bytes,
    )
    return Server(config)


class Server(uvicorn.Server):
    """uvicorn that does not raise the signal once more when it has ended: our own clean-up comes after it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kinds = (signal.SIGINT, signal.SIGTERM)
        before = {kind: signal.signal(kind, self._end) for kind in kinds}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    def _end(self, kind: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            say("no new questions; answers under way are given their last words (Ctrl-C again: at once)")
        self.force_exit = self.should_exit
        self.should_exit = True
