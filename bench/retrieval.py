#!/usr/bin/env python3
"""First ingest beside LangChain + Chroma as their tutorial has it: the same products, the same MiniLM, one after the
other in one run.

    pip install langchain-chroma langchain-huggingface langchain-text-splitters
    python bench/retrieval.py                    # about four minutes on two cores

LangChain: RecursiveCharacterTextSplitter(1000, 200), HuggingFaceEmbeddings, Chroma.add_documents. Ours: build_index,
less the threshold for 'not in the catalogue', which has no counterpart there. Both are timed without imports and the
loading of the model. Prints one JSON object as its last line, and fails where a goal is missed. How it grows is in
retrieval_scale.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
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


def ours(folder: Path) -> dict[str, Any]:
    """build_index, with the model loaded before."""
    from rag import indexing, indexing_pass
    from rag.embedder import open_embedder
    from recipes.load import load_recipe
    from recipes.runs import RunFolder

    recipe = load_recipe(folder / "bench.yaml")
    embedder = open_embedder(recipe)
    embedder.documents(["warm"])
    indexing_pass.open_embedder = lambda recipe: embedder  # type: ignore[assignment]
    indexing._set_threshold = lambda *_: None  # type: ignore[assignment]
    begin, cpu = time.monotonic(), time.process_time()
    report = indexing.build_index(recipe, RunFolder(Path(tempfile.mkdtemp(dir=folder))))
    return {"s": time.monotonic() - begin, "cpu_s": time.process_time() - cpu, "pieces": report.chunks}


def langchain(folder: Path) -> dict[str, Any]:
    """The tutorial's way, in batches that its Chroma takes."""
    from langchain_chroma import Chroma
    from langchain_core.documents import Document
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

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
    return {"s": time.monotonic() - begin, "cpu_s": time.process_time() - cpu, "pieces": len(pieces)}


def one_round(folder: Path, who: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", who, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(who, json.dumps(answer), flush=True)
    return answer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=2, metavar=("WHO", "FOLDER"))
    given = parser.parse_args()
    if given.child:
        who, place = given.child
        print(json.dumps({"ours": ours, "langchain": langchain}[who](Path(place))))
        return 0
    missing = [name for name in PEERS if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit("pip install " + " ".join(name.replace("_", "-") for name in missing))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows, _ = catalogue()
        write_rows(folder / "products.jsonl", [row | {"price": 1.0, "shop": "s"} for row in rows[: given.documents]])
        (folder / "bench.yaml").write_text(RECIPE, encoding="utf-8")
        rounds = [{who: one_round(folder, who) for who in ("langchain", "ours")} for _ in range(given.rounds)]
    rates = {who: [given.documents / one[who]["s"] for one in rounds] for who in ("langchain", "ours")}
    ratios = [one["langchain"]["s"] / one["ours"]["s"] for one in rounds]
    found: dict[str, Any] = {
        "documents": given.documents,
        "docs_per_s": {who: round(median(values), 1) for who, values in rates.items()},
        "cpu_s": {who: round(median(one[who]["cpu_s"] for one in rounds), 1) for who in rates},
        "times_as_quick": [round(ratio, 2) for ratio in ratios],
    }
    found["goals"] = {"first_ingest_1.8_times_as_quick": median(ratios) >= 1.8}
    path = ROOT / "bench" / "results" / "retrieval.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0 if all(found["goals"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
