"""The retriever as a LangChain retriever: for chains and agents of one's own."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from rag.passages import Passage
from rag.retriever import Retriever


class TutelageRetriever(BaseRetriever):
    """`TutelageRetriever(retriever=...)` with the retriever that `rag.retriever.open_retriever` gives.

    A document's page_content is its title and the passage; metadata holds number, document, title, link, score,
    confidence, and beside these six what the catalogue says of it (a `score` of its own is not there). where, top_k: as
    in Retriever.search. answerable_only: nothing where the catalogue does not answer the question. Chains that run at
    once wait for each other: one search at a time.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    retriever: Retriever
    where: dict[str, Any] | None = None
    top_k: int | None = None
    answerable_only: bool = False

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        found = self.retriever.search(query, self.where, self.top_k)
        if self.answerable_only and not found.answerable:
            return []
        return [_document(passage, found.confidence) for passage in found.passages]


def _document(passage: Passage, confidence: float) -> Document:
    text = passage.text if passage.text == passage.title else f"{passage.title}\n{passage.text}"
    own = {
        "number": passage.number, "document": passage.document, "title": passage.title, "link": passage.link,
        "score": passage.score, "confidence": confidence,
    }  # fmt: skip
    return Document(id=passage.chunk, page_content=text, metadata={**passage.metadata, **own})
