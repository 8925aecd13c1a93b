"""The retriever in chains of LangChain, with langchain-core alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel, RunnablePassthrough
from rag_runs import WordEmbedder, product, shop, without_model

from rag.index import open_index
from rag.indexing import build_index
from rag.langchain import TutelageRetriever
from rag.retriever import Retriever
from rag.threshold import Threshold
from recipes.errors import AskError
from recipes.runs import RunFolder


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retriever]:
    """Of twelve lamps; nothing is sure enough for it to count as answered."""
    folder = tmp_path_factory.mktemp("langchain")
    recipe = shop(folder, [product(number) for number in range(12)])
    with pytest.MonkeyPatch.context() as monkeypatch:
        without_model(monkeypatch)
        build_index(recipe, RunFolder(folder / "run"))
    never = Threshold(weight=0.0, bias=0.0, least=0.9, refused=0.0, accepted=0.0)
    with open_index(recipe, RunFolder(folder / "run")) as index:
        assert recipe.retrieval is not None
        yield Retriever(index, WordEmbedder(recipe), recipe.retrieval, never)  # type: ignore[arg-type]


def joined(documents: list[Document]) -> str:
    return "\n".join(f"[{one.metadata['number']}] {one.page_content}" for one in documents)


def test_a_document_says_what_it_is(retriever: Retriever) -> None:
    found = TutelageRetriever(retriever=retriever, top_k=2).invoke("Lamp model 7 of 7 watts, please, for shipyards")
    assert len(found) == 2
    best = found[0]
    assert best.page_content == "Lamp model 7\nA lamp of 7 watts for desks. Colour green."
    assert best.id
    assert best.metadata.pop("score") > found[1].metadata["score"]
    assert best.metadata == {
        "number": 1, "document": "p7", "title": "Lamp model 7", "link": "https://shop.example/7", "confidence": 0.5,
        "price": 7.5, "brand": "Borg", "stock": False,
    }  # fmt: skip


def test_it_is_a_step_of_a_chain(retriever: Retriever) -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "{passages}"), ("user", "{question}")])
    model = RunnableLambda(lambda value: value.to_string())
    chain = (
        {"passages": TutelageRetriever(retriever=retriever, top_k=1) | joined, "question": RunnablePassthrough()}
        | prompt
        | model
        | StrOutputParser()
    )
    said = chain.invoke("Lamp model 3")
    assert said.startswith("System: [1] Lamp model 3\nA lamp of 3 watts")
    assert said.endswith("Human: Lamp model 3")
    assert asyncio.run(chain.ainvoke("Lamp model 3")) == said


def test_many_at_once_find_what_each_finds_alone(retriever: Retriever) -> None:
    step = TutelageRetriever(retriever=retriever, top_k=3)
    questions = [f"Lamp model {number}" for number in range(12)] * 3
    alone = [step.invoke(question) for question in questions]
    assert step.batch(questions) == alone
    assert asyncio.run(step.abatch(questions)) == alone


def test_the_index_is_asked_by_one_thread_at_a_time(retriever: Retriever, monkeypatch: pytest.MonkeyPatch) -> None:
    busy, look = Lock(), Retriever.look

    def only_one(self: Retriever, *given: Any) -> Any:
        assert busy.acquire(blocking=False), "two threads at once"
        try:
            return look(self, *given)
        finally:
            busy.release()

    monkeypatch.setattr(Retriever, "look", only_one)
    some, all_of_it = TutelageRetriever(retriever=retriever, top_k=1), TutelageRetriever(retriever=retriever)
    both = RunnableParallel(some=some, all=all_of_it).batch([f"Lamp model {number}" for number in range(24)])
    assert all((len(one["some"]), len(one["all"])) == (1, 4) for one in both)


def test_a_filter(retriever: Retriever) -> None:
    cheap = TutelageRetriever(retriever=retriever, where={"price": {"$lt": 3}})
    assert {one.metadata["document"] for one in cheap.invoke("lamp")} == {"p0", "p1", "p2"}
    wrong = TutelageRetriever(retriever=retriever, where={"colour": "red"})
    with pytest.raises(AskError, match="colour") as caught:
        wrong.invoke("lamp")
    assert len(str(caught.value).splitlines()) == 1


def test_nothing_where_the_catalogue_has_no_answer(retriever: Retriever) -> None:
    assert TutelageRetriever(retriever=retriever, answerable_only=True).invoke("lamp") == []
    assert len(TutelageRetriever(retriever=retriever).invoke("lamp")) == 4


def test_neither_a_server_nor_a_trainer_is_loaded(tmp_path: Path) -> None:
    import subprocess
    import sys

    heavy = ("torch", "transformers", "fastapi", "langchain", "langchain_openai")
    code = f"import sys, rag.langchain; sys.exit(','.join(n for n in {heavy} if n in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
