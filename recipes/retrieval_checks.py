"""A recipe's sections `retrieval` and `assistant` against its other sections and the files they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from recipes import keys
from recipes.addresses import address_problem
from recipes.assistant import Assistant
from recipes.documents import KeyPath
from recipes.errors import SourceError
from recipes.local_teacher import LOCAL
from recipes.mistakes import did_you_mean
from recipes.retrieval import Catalogue, Retrieval
from recipes.schema_walk import nearest
from recipes.section import beside
from recipes.source_checks import files_near
from recipes.students import CausalStudent, ClassifierStudent
from recipes.tables import read_table, table_kind

if TYPE_CHECKING:
    from recipes.checks import Parts

Found = Iterator[tuple[KeyPath, str]]

_FOLDER = re.compile(r"[.~/\\]|[A-Za-z]:\\")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def retrieval_mistakes(parts: Parts, retrieval: Retrieval) -> Found:
    """Every mistake of the section `retrieval` as (path, message)."""
    yield from _catalogue(parts, retrieval.catalogue)
    for place, name in ((("embedding", "model"), retrieval.embedding.model), (("rerank",), retrieval.rerank)):
        if name is not None and _FOLDER.match(name) and not beside(parts.folder, name).is_dir():
            yield ("retrieval", *place), f"there is no folder {beside(parts.folder, name)}"
    yield from _misspelt_minilm(parts, retrieval.embedding.model)
    if retrieval.server is not None:
        yield from _server(retrieval.server)
    yield from _key_name(("retrieval", "server_key_env"), retrieval.server_key_env)


def _misspelt_minilm(parts: Parts, name: str) -> Found:
    """A name without an owner that is nearly the one that needs none."""
    if "/" in name or name == "minilm" or beside(parts.folder, name).is_dir():
        return
    if nearest(name, ["minilm"]):
        yield ("retrieval", "embedding", "model"), f"there is no model {name}; did you mean minilm?"


def _server(server: str) -> Found:
    where: KeyPath = ("retrieval", "server")
    if address_problem(server) is not None:
        message = "must be a Chroma server's address: http://host:port on this machine or a private network, else https"
        yield where, f"{message}; without a user or a key in it (server_key_env)"
    elif path := urlsplit(server).path.strip("/"):
        yield where, f"has the path /{path}, and a Chroma server has none: write scheme://host:port alone"


def assistant_mistakes(parts: Parts, assistant: Assistant) -> Found:
    """Every mistake of the section `assistant` as (path, message)."""
    if "retrieval" not in parts.present:
        yield ("assistant",), "an assistant answers from a catalogue: the recipe needs a section retrieval"
    mute = ("recorded", "none", *LOCAL)
    if assistant.model == "teacher" and parts.teacher is not None and parts.teacher.provider in mute:
        message = f"a teacher with provider: {parts.teacher.provider} cannot answer new questions"
        yield (
            ("assistant", "model"),
            f"{message}; name somebody who can: model: endpoint, endpoint: {{base_url, model}}",
        )
    if assistant.model.startswith("students."):
        yield from _student(parts, assistant.model.removeprefix("students."))
    if assistant.endpoint is not None:
        problem = address_problem(assistant.endpoint.base_url)
        if problem:
            yield ("assistant", "endpoint", "base_url"), problem
        yield from _key_name(("assistant", "endpoint", "key_env"), assistant.endpoint.key_env)
    yield from _key_name(("assistant", "key_env"), assistant.key_env)
    if assistant.host not in _LOOPBACK and assistant.key_env is None:
        message = f"{assistant.host} can be reached by others: name the variable with a key in assistant.key_env"
        yield ("assistant", "host"), message


def _student(parts: Parts, name: str) -> Found:
    where: KeyPath = ("assistant", "model")
    if "students" not in parts.present:
        yield where, "the recipe has no students: name extractive, or endpoint with its base_url and model"
    elif name not in parts.students:
        yield where, f"there is no student {name}; {did_you_mean(name, list(parts.students))}"
    elif parts.students[name] is not None and not isinstance(parts.students[name], CausalStudent):
        does = "sorts texts" if isinstance(parts.students[name], ClassifierStudent) else "rewrites texts"
        yield where, f"the student {name} {does}: an assistant needs one with kind: causal"


def _key_name(where: KeyPath, name: str | None) -> Found:
    if name is not None and keys.is_long_token(name):
        yield where, "must be the NAME of an environment variable; this looks like the key itself: take it out"


def _catalogue(parts: Parts, catalogue: Catalogue) -> Found:
    if catalogue.path is None:
        return
    where, path = ("retrieval", "catalogue"), beside(parts.folder, catalogue.path)
    if not path.is_file():
        problem = f"{path} is a folder: name a file" if path.is_dir() else f"there is no file {path}{files_near(path)}"
        yield (*where, "path"), problem
        return
    try:
        if table_kind(path) == ".parquet":
            return  # its columns are looked at when it is read: pyarrow takes long to import
        head = [record for _, record in islice(read_table(path), 1)]
    except SourceError as error:
        yield (*where, "path"), str(error).split("\n", 1)[0]
        return
    if not head:
        yield (*where, "path"), f"{path} has no rows"
        return
    for setting, column in catalogue.columns():
        if column not in head[0]:
            near = get_close_matches(column, list(head[0]), 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(map(str, head[0]))}"
            yield (*where, *setting.split(".")), f"{path.name} has no column {column!r}; {hint}"
