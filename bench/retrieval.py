#!/usr/bin/env python3
"""Ingest and search beside LangChain + Chroma as their tutorial has it: the same products, the same MiniLM, in one run.

    pip install --target /tmp/peer --no-deps langchain-chroma langchain-huggingface langchain-text-splitters
    python bench/retrieval.py --peer /tmp/peer        # about ten minutes on two cores

LangChain: RecursiveCharacterTextSplitter(1000, 200), HuggingFaceEmbeddings, Chroma.add_documents, similarity_search; it
runs in a process of its own, the only one that sees /tmp/peer. Ours: build_index, less the threshold for 'not in the
catalogue', which has no counterpart there. Both are timed without imports and the loading of the model, in turns.

Then, ours alone, over all products of ../shared/data: the first ingest, one of a file in another order in which nothing
changed, and recall@10 of the search beside its two halves (bench/search_quality.py). Prints one JSON object as its last
line, writes bench/results/retrieval.json, and fails where a goal is missed. How it grows is in retrieval_scale.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench.catalogue_data import RECIPE, ROOT, catalogue, write_rows

PEERS = ("langchain_chroma", "langchain_huggingface", "langchain_text_splitters")
MADE_OF = 250
"""Products that questions are made of."""


def prepare(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A folder with a recipe and its products."""
    folder.mkdir(exist_ok=True)
    write_rows(folder / "products.jsonl", [row | {"price": 1.0, "shop": "s"} for row in rows])
    (folder / "bench.yaml").write_text(RECIPE, encoding="utf-8")
    return folder


def ready(folder: Path) -> tuple[Any, Any]:
    """The recipe, and its embedder warmed up; indexing uses that one and sets no threshold. Libraries are loaded."""
    import bm25s  # noqa: F401
    import chromadb  # noqa: F401

    from rag import indexing, indexing_pass
    from rag.embedder import open_embedder
    from recipes.load import load_recipe

    recipe = load_recipe(folder / "bench.yaml")
    embedder = open_embedder(recipe)
    embedder.documents(["warm"])
    indexing_pass.open_embedder = lambda recipe: embedder  # type: ignore[assignment]
    indexing._set_threshold = lambda *_: None  # type: ignore[assignment]
    return recipe, embedder


def ours(folder: Path) -> dict[str, Any]:
    """build_index, with the model loaded before; then the questions."""
    from rag.indexing import build_index
    from recipes.runs import RunFolder

    recipe, embedder = ready(folder)
    run = RunFolder(Path(tempfile.mkdtemp(dir=folder)))
    begin, cpu = time.monotonic(), time.process_time()
    report = build_index(recipe, run)
    spent = {"s": time.monotonic() - begin, "cpu_s": time.process_time() - cpu, "pieces": report.chunks}
    quality, questions = search(recipe, run, embedder, of="p-")
    (folder / "questions.json").write_text(json.dumps(questions), encoding="utf-8")
    return spent | {"search": quality["hybrid"]}


def langchain(folder: Path) -> dict[str, Any]:
    """The tutorial's way, in batches that its Chroma takes; then the questions, one by one as there."""
    from langchain_chroma import Chroma
    from langchain_core.documents import Document
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    from bench.search_quality import FIRST, Question, scores
    from finetune.bases import minilm_folder

    embeddings = HuggingFaceEmbeddings(model_name=str(minilm_folder()))
    embeddings.embed_query("warm")
    rows = [json.loads(line) for line in (folder / "products.jsonl").read_text(encoding="utf-8").splitlines()]
    begin, cpu = time.monotonic(), time.process_time()
    documents = [Document(f"{row['title']}\n{row['description']}", metadata={"id": row["id"]}) for row in rows]
    pieces = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200).split_documents(documents)
    store = Chroma("products", embeddings, persist_directory=tempfile.mkdtemp(dir=folder))
    for at in range(0, len(pieces), 5_000):
        store.add_documents(pieces[at : at + 5_000])
    spent = {"s": time.monotonic() - begin, "cpu_s": time.process_time() - cpu, "pieces": len(pieces)}
    asked = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
    questions = [Question(kind, text, frozenset(ids)) for kind, text, ids in asked]
    found = [[one.metadata["id"] for one in store.similarity_search(question.text, FIRST)] for question in questions]
    return spent | {"search": scores(questions, found)}


def whole(folder: Path) -> dict[str, Any]:
    """All products: the first ingest, one in which nothing changed, and how well each kind of search finds."""
    from rag.indexing import build_index
    from recipes.runs import RunFolder

    recipe, embedder = ready(folder)
    run = RunFolder(folder / "run")
    first = build_index(recipe, run)
    path = folder / "products.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[::-1]), encoding="utf-8")
    again = build_index(recipe, run)
    quality, _ = search(recipe, run, embedder, of="p-")
    real, _ = search(recipe, run, embedder, of=None)
    return {
        "documents": first.documents, "pieces": first.chunks, "first_docs_per_s": first.documents / first.seconds,
        "unchanged": again.unchanged, "embedded_again": again.embedded, "unchanged_s": again.seconds,
        "unchanged_docs_per_s": again.documents / again.seconds, "products": quality, "search_relevance": real,
    }  # fmt: skip


def search(recipe: Any, run: Any, embedder: Any, of: str | None) -> tuple[dict[str, Any], list[Any]]:
    """Scores by kind of search, and the questions. of: how the ids of products begin that questions are made of; None:
    real queries.
    """
    from bench.search_quality import found_by_each, made_questions, real_questions, scores
    from rag.index import open_index
    from rag.retriever import Retriever

    rows, judged = catalogue()
    with open_index(recipe, run) as index:
        known = set(index.document_ids())
        if of is None:
            questions = real_questions(judged, known)
        else:
            rows = [row for row in rows if row["id"] in known and row["id"].startswith(of)]
            questions = made_questions(rows, index, MADE_OF)
        found = found_by_each(Retriever(index, embedder, recipe.retrieval), index, embedder, questions)
    quality = {way: scores(questions, ids) for way, ids in found.items()}
    return quality, [(one.kind, one.text, sorted(one.relevant)) for one in questions]


def one_round(folder: Path, who: str, peer: Path | None) -> dict[str, Any]:
    """Run `who` in a process of its own."""
    paths = [str(peer)] if who == "langchain" and peer is not None else []
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, __file__, "--child", who, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(who, json.dumps(answer), flush=True)
    return answer


def has_peer(peer: Path | None) -> bool:
    """Whether LangChain and its Chroma are there."""
    code = f"import importlib.util as u, sys; sys.exit(any(u.find_spec(n) is None for n in {PEERS}))"
    environment = os.environ | {"PYTHONPATH": str(peer or "")}
    return subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0


def beside_langchain(folder: Path, documents: int, rounds: int, peer: Path | None) -> dict[str, Any]:
    """Rates of both and how many times as quick ours is, the two after each other `rounds` times."""
    runs = [{who: one_round(folder, who, peer) for who in ("ours", "langchain")} for _ in range(rounds)]
    names = ("ours", "langchain")
    return {
        "documents": documents,
        "docs_per_s": {who: round(documents / median(one[who]["s"] for one in runs), 1) for who in names},
        "cpu_s": {who: round(median(one[who]["cpu_s"] for one in runs), 1) for who in names},
        "times_as_quick": [round(one["langchain"]["s"] / one["ours"]["s"], 2) for one in runs],
        "search": {who: runs[0][who]["search"] for who in names},
    }


def goals(found: dict[str, Any]) -> dict[str, bool]:
    """What must hold; what needs LangChain only where it is there."""
    peer, every = found["langchain_chroma"], found["all_products"]
    held = {
        "unchanged_20000_docs_per_s": every["unchanged_docs_per_s"] >= 20_000,
        "unchanged_embeds_nothing": every["embedded_again"] == 0 and every["unchanged"] == every["documents"],
    }
    if isinstance(peer, dict):
        held["first_ingest_1.8_times_as_quick"] = median(peer["times_as_quick"]) >= 1.8
        both = peer["search"]
        held["finds_more_than_langchain"] = both["ours"]["mean"]["recall@10"] > both["langchain"]["mean"]["recall@10"]
    for name in ("products", "search_relevance"):
        recall = {way: {kind: one["recall@10"] for kind, one in kinds.items()} for way, kinds in every[name].items()}
        hybrid, dense = recall["hybrid"], recall["dense"]
        held[f"{name}: above dense"] = hybrid["mean"] > dense["mean"]
        held[f"{name}: above bm25"] = hybrid["mean"] > recall["bm25"]["mean"]
        held[f"{name}: no kind worse than dense by .01"] = all(hybrid[kind] >= dense[kind] - 0.01 for kind in dense)
    return held


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, help="where LangChain's packages were installed, if not beside ours")
    parser.add_argument("--documents", type=int, default=1_500, help="products of the ingest beside LangChain")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, help="products in all, for a quick look")
    parser.add_argument("--child", nargs=2, metavar=("WHO", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        who, place = given.child
        print(json.dumps({"ours": ours, "langchain": langchain, "whole": whole}[who](Path(place))))
        return 0
    rows, _ = catalogue()
    found: dict[str, Any] = {"langchain_chroma": "skipped: not installed"}
    with tempfile.TemporaryDirectory() as scratch:
        if has_peer(given.peer):
            some = prepare(Path(scratch) / "some", rows[: given.documents])
            found["langchain_chroma"] = beside_langchain(some, given.documents, given.rounds, given.peer)
        found["all_products"] = one_round(prepare(Path(scratch) / "all", rows[: given.most]), "whole", None)
    found["goals"] = goals(found)
    path = ROOT / "bench" / "results" / "retrieval.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0 if all(found["goals"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
