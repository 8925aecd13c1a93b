"""Vectors in Chroma: a directory of the run folder, or a `chroma run` server. The only file that imports chromadb.

Nothing but ids and vectors is kept there; what they mean is in the ledger. Nothing leaves this machine: telemetry is
off, no embedding function is named (the default one downloads a model), and no setting is read from the environment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from rag.holdings import Vectors
from recipes.errors import RunError
from recipes.keys import read_key, redact

MOST = 5_000
"""Rows in one call; Chroma takes 5,461."""
SECONDS = 60.0
"""That an answer of a server is waited for."""
CONNECTING = 10.0
"""The same of the first one."""
_MOST_NAMES = 500
_CONFIGURATION: Any = {"hnsw": {"space": "cosine"}}

Neighbours = list[tuple[str, float]]
"""Ids with their cosine similarity, nearest first."""


class VectorStore:
    """One collection. Open with `open_vectors`; use as a context manager."""

    def __init__(self, client: Any, name: str, where: str) -> None:
        self._client, self._name, self._where = client, name, where
        with self._plainly():
            self._rows: Any = client.get_or_create_collection(
                name, configuration=_CONFIGURATION, embedding_function=None
            )

    def __enter__(self) -> VectorStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, or leave the directory."""
        sessions = _sessions(self._client)
        self._client.close()
        for session in sessions:
            session.close()

    def __len__(self) -> int:
        with self._plainly():
            return int(self._rows.count())

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Put vectors in; an id that is there already is left as it is."""
        for at in range(0, len(ids), MOST):
            with self._plainly():
                self._rows.add(ids=list(ids[at : at + MOST]), embeddings=vectors[at : at + MOST])

    def remove(self, ids: Sequence[str]) -> None:
        """Take vectors out; ids that are not there are no mistake."""
        for at in range(0, len(ids), _MOST_NAMES):
            with self._plainly():
                self._rows.delete(ids=list(ids[at : at + _MOST_NAMES]))

    def ids(self) -> Iterator[str]:
        """The ids of all vectors."""
        at = 0
        while True:
            with self._plainly():
                found = self._rows.get(limit=MOST, offset=at, include=[])["ids"]
            yield from found
            if len(found) < MOST:
                return
            at += MOST

    def nearest(self, vectors: Vectors, limit: int) -> list[Neighbours]:
        """The nearest of each query, as near as HNSW finds them."""
        if not len(vectors) or not limit:
            return [[] for _ in vectors]
        with self._plainly():
            found = self._rows.query(
                query_embeddings=np.asarray(vectors, np.float32), n_results=limit, include=["distances"]
            )
        pairs = zip(found["ids"], found["distances"], strict=True)
        return [[(name, 1 - far) for name, far in zip(names, distances, strict=True)] for names, distances in pairs]

    def drop(self) -> None:
        """Forget the collection and all that is in it."""
        with self._plainly():
            self._client.delete_collection(self._name)

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Chroma's errors as a sentence."""
        import httpx
        from chromadb.errors import ChromaError

        try:
            yield
        except httpx.HTTPError as error:
            raise RunError(f"{self._where} does not answer ({error}): is it running?") from None
        except Exception as error:
            if not isinstance(error, ChromaError) and not _is_strange(error):
                raise
            raise RunError(f"{self._where}: {_sentence(error)}") from None


def _is_strange(error: Exception) -> bool:
    """Whether it is Chroma's client that got an answer which no Chroma server gives: a proxy's 401, say."""
    return type(error) is Exception


def _sentence(error: Exception) -> str:
    return redact(str(error)).strip().split("\n", 1)[0][:200] or "it does not answer as a Chroma server does"


def _sessions(client: Any) -> list[Any]:
    """The connections of a client of a server, which it neither ends nor gives a time-out (chromadb 1.5.9)."""
    servers = (getattr(one, "_server", None) for one in (client, getattr(client, "_admin_client", None)))
    return [session for server in servers if (session := getattr(server, "_session", None)) is not None]


def open_vectors(folder: Path, server: str | None, name: str, key_env: str | None = None) -> VectorStore:
    """The collection `name` in the directory `folder`, or on a server; made where there is none. Raises RunError.

    key_env: the variable with the key that the server, or what stands before it, wants.
    """
    import chromadb
    import httpx
    from chromadb.config import Settings

    settings = Settings(
        _env_file=None,
        anonymized_telemetry=False,
        chroma_otel_collection_endpoint="",
        chroma_api_impl="chromadb.api.rust.RustBindingsAPI",
    )
    if server is None:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return VectorStore(chromadb.PersistentClient(str(folder), settings=settings), name, str(folder))
        except (ValueError, AttributeError, chromadb.errors.ChromaError) as error:
            # AttributeError: Chroma's own, where the same process has failed to open this directory before
            raise RunError(f"{folder} cannot be opened ({_sentence(error)})") from None
    address = urlsplit(server)
    secure = address.scheme == "https"
    said = f"the Chroma server {server}"
    try:
        # Chroma's client asks the server while it is made, before it can be told to wait no longer than so
        httpx.get(
            f"{address.scheme}://{address.netloc}/api/v2/heartbeat", headers=_headers(key_env), timeout=CONNECTING
        )
        client = chromadb.HttpClient(
            host=address.hostname or "",
            port=address.port or (443 if secure else 80),
            ssl=secure,
            headers=_headers(key_env),
            settings=settings,
        )
        for session in _sessions(client):
            session.timeout = SECONDS
        return VectorStore(client, name, said)
    except Exception as error:
        if not isinstance(error, (ValueError, httpx.HTTPError, chromadb.errors.ChromaError)) and not _is_strange(error):
            raise
        raise RunError(f"{said} (retrieval.server) cannot be used: {_sentence(error)}") from None


def _headers(key_env: str | None) -> dict[str, str] | None:
    if key_env is None:
        return None
    key = read_key(key_env)
    if key is None:
        raise RunError(f"the variable {key_env} (retrieval.server_key_env) is not set: put the server's key there")
    return {"Authorization": f"Bearer {key}"}
