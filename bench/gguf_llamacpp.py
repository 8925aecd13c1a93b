#!/usr/bin/env python3
"""Do our GGUF files mean to llama.cpp what the models mean to transformers? Tokens, logits and greedy answers.

    python -m venv /tmp/llama && /tmp/llama/bin/pip install llama-cpp-python   # builds llama.cpp: about 15 minutes
    python bench/gguf_llamacpp.py --llama-python /tmp/llama/bin/python

For each architecture, scaling of positions and tokenizer rule that is written, a tiny model with random weights goes
through export_gguf; real llama.cpp then tokenises texts and computes logits. One model also takes the whole road: LoRA
on real NF4, merged to float16, f16 GGUF, against the adapter itself. Logits are compared with transformers' in float32;
llama.cpp computes with float16 values (f16) or 8-bit ones (q8_0, q4_0), which is most of what differs. The packed files
are compared with what transformers reads out of the same file.

Goals: every text gets the same tokens; f16 within 0.5% of the largest logit, with the same most likely token at every
place; q8_0 and q4_0 within 5%; EOS ends an answer; one BOS before a prompt. Greedy answers are shown and no goal:
random weights have near ties, and after one that falls otherwise the rest is another answer.

Prints one JSON object as its last line, and fails where a goal is missed. Where llama_cpp cannot be imported it says so
and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NEW_TOKENS = 16
LLAMA31 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
YARN = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 64}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "llama-3.1": ("Llama", {"rope_parameters": LLAMA31}),
    "llama-tied": ("Llama", {"tie_word_embeddings": True}),
    "llama-linear": ("Llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}}),
    "mistral": ("Mistral", {"sliding_window": None}),
    "qwen2": ("Qwen2", {}),
    "qwen2-yarn": ("Qwen2", {"rope_parameters": YARN}),
    "qwen3": ("Qwen3", {"head_dim": 16}),
}
CHILD = """
import ctypes, json, sys
import llama_cpp, numpy as np
work = json.load(open(sys.argv[1], encoding="utf-8"))
out = []
for one in work:
    model = llama_cpp.Llama(one["file"], n_ctx=512, logits_all=True, verbose=False, n_threads=2)
    vocab = llama_cpp.llama_model_get_vocab(model.model)
    ids = [model.tokenize(text.encode(), add_bos=True, special=True) for text in one["texts"]]
    logits, said = [], []
    for prompt in one["prompts"]:
        model.reset()
        model.eval(prompt)
        logits.append(np.array(model.scores[: len(prompt)]).tolist())
        tokens = []
        for _ in range(one["new_tokens"]):
            tokens.append(int(model.scores[model.n_tokens - 1].argmax()))
            model.eval([tokens[-1]])
        said.append(tokens)
    ends = bool(llama_cpp.llama_vocab_is_eog(vocab, one["eos"]))
    out.append({"ids": ids, "logits": logits, "said": said, "eos_ends": ends, "version": llama_cpp.__version__})
    model.close()
json.dump(out, open(sys.argv[2], "w", encoding="utf-8"))
"""


def random_texts(count: int, special: list[str]) -> list[str]:
    """Words, digits, spaces, line ends, accents, scripts, emoji and special tokens, thrown together."""
    draw = random.Random(7)
    parts = [
        "the", " kettle", "IT'S", "it's", " I'LL", "1", "234567", " 12", "\n", "\n\n", "\r\n", "  ", " ", "\t", "é",
        "É", "日本", "語", "한국", "Ελλ", "😀", "🎧🏽", "!?", "...", "#$%", "_x_", "camelCase", "\u00a0", "e\u0301",
        "ß", "½", "²", "العربية", "हिन्दी", *special,
    ]  # fmt: skip
    return ["".join(draw.choices(parts, k=draw.randint(1, 14))) for _ in range(count)]


def make_jobs(folder: Path, count: int) -> list[dict[str, Any]]:
    """Models, their GGUF files, and what transformers makes of the same texts."""
    from tiny_llama import LLAMA3, QWEN2, SPECIAL, TEXTS, load_plain, make_llama, make_tokenizer

    from finetune.gguf_export import export_gguf
    from finetune.parity import answer
    from finetune.parity_models import load_gguf

    texts = [*TEXTS, "  leading", "", *random_texts(count, [*SPECIAL, "<think>", "</think>"])]
    jobs: list[dict[str, Any]] = []
    for name, (arch, config) in MODELS.items():
        model = make_llama(folder / name, "float16", arch=arch, **config)
        tokenizer = make_tokenizer(QWEN2 if arch.startswith("Qwen") else LLAMA3)
        prompts = [tokenizer(text).input_ids for text in TEXTS]
        for kind in ("f16", "q8_0", "q4_0"):
            made = export_gguf(model, folder / f"{name}-{kind}.gguf", kind)  # type: ignore[arg-type]
            own = answer(load_plain(model) if kind == "f16" else load_gguf(made.path, model), prompts, NEW_TOKENS)
            jobs.append(_job(f"{name} {kind}", made.path, tokenizer, texts if kind == "f16" else [], prompts, own))
    for rule, pattern in (("gpt-2", None), ("smollm", "digits"), ("tekken", "tekken")):
        model = make_llama(folder / rule, "float16")
        tokenizer = _tokenizer(pattern)
        tokenizer.save_pretrained(model)
        made = export_gguf(model, folder / f"{rule}.gguf", "f16")
        assert made.tokenizer.rule == rule, made.tokenizer.rule
        jobs.append(_job(f"rule {rule}", made.path, tokenizer, texts, [], None))
    jobs.append(_whole_road(folder))
    return jobs


def _job(name: str, file: Path, tokenizer: Any, texts: list[str], prompts: list[list[int]], own: Any) -> dict[str, Any]:
    return {
        "name": name, "file": str(file), "texts": texts, "ids": [tokenizer(text).input_ids for text in texts],
        "prompts": prompts, "new_tokens": NEW_TOKENS, "eos": tokenizer.eos_token_id,
        "logits": [one.tolist() for one in own.logits] if own else [], "said": own.tokens if own else [],
    }  # fmt: skip


def _tokenizer(pattern: str | None) -> Any:
    """The tokenizers of the tests, with the rules that those do not make."""
    from tiny_llama import make_tokenizer
    from tokenizers import pre_tokenizers

    from finetune.gguf_tokenizer import _TEKKEN

    if pattern != "digits":
        return make_tokenizer(_TEKKEN if pattern else None, ignore_merges=pattern == "tekken")
    tokenizer = make_tokenizer(None)
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), level]
    )
    return tokenizer


def _whole_road(folder: Path) -> dict[str, Any]:
    """LoRA on NF4 -> merged -> f16, against the adapter itself."""
    from tiny_llama import TEXTS, load_nf4, make_adapter, make_llama, make_tokenizer

    from finetune.gguf_export import export_gguf
    from finetune.merge import merge_adapter
    from finetune.parity import answer

    base = make_llama(folder / "base", "float32")
    tuned = make_adapter(load_nf4(base), folder / "adapter")
    merge_adapter(base, folder / "adapter", folder / "merged", "float16")
    made = export_gguf(folder / "merged", folder / "road.gguf", "f16")
    tokenizer = make_tokenizer()
    prompts = [tokenizer(text).input_ids for text in TEXTS]
    own = answer(tuned, prompts, NEW_TOKENS)
    return _job("adapter to llama.cpp f16", made.path, tokenizer, [], prompts, own)


def compare(job: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    import torch

    from finetune.parity import Answers
    from finetune.parity import compare as compare_answers

    figures: dict[str, Any] = {"name": job["name"], "eos_ends": found["eos_ends"]}
    if job["texts"]:
        figures["texts"] = len(job["texts"])
        figures["other_tokens"] = sum(a != b for a, b in zip(job["ids"], found["ids"], strict=True))
        bos = job["ids"][0][0]
        figures["one_bos"] = all(ids[0] == bos and ids[1:2] != [bos] for ids in found["ids"][:4])
    if job["prompts"]:
        own, other = (
            Answers(tuple(torch.tensor(row) for row in one["logits"]), tuple(map(tuple, one["said"])))
            for one in (job, found)
        )
        parity = compare_answers(own, other)
        figures |= {"relative": parity.relative, "same_top": parity.same_top, "same_tokens": parity.same_tokens}
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-python", default=sys.executable, help="a Python that can import llama_cpp")
    parser.add_argument("--texts", type=int, default=400, help="random texts for each tokenizer")
    given = parser.parse_args()
    probe = subprocess.run([given.llama_python, "-c", "import llama_cpp"], capture_output=True, check=False)
    if probe.returncode:
        why = f"{given.llama_python} cannot import llama_cpp: pip install llama-cpp-python, and name its Python"
        print(json.dumps({"not_measured": why}))
        return 0
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        jobs = make_jobs(folder, given.texts)
        (folder / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
        command = [given.llama_python, "-c", CHILD, str(folder / "jobs.json"), str(folder / "found.json")]
        subprocess.run(command, check=True)
        answers = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    rows = [compare(job, found) for job, found in zip(jobs, answers, strict=True)]
    f16 = [row for row in rows if "relative" in row and "q" not in row["name"].split()[-1]]
    packed = [row for row in rows if "relative" in row and row not in f16]
    found: dict[str, Any] = {
        "llama_cpp_python": answers[0]["version"], "models": rows,
        "goals": {
            "same_tokens_for_every_text": all(row.get("other_tokens", 0) == 0 for row in rows),
            "f16_within_0.5_percent": all(row["relative"] <= 0.005 for row in f16),
            "f16_same_most_likely_token": all(row["same_top"] == 1 for row in f16),
            "packed_within_5_percent": all(row["relative"] <= 0.05 for row in packed),
            "eos_ends": all(row["eos_ends"] for row in rows),
            "one_bos": all(row.get("one_bos", True) for row in rows),
        },
    }  # fmt: skip
    (ROOT / "bench" / "results" / "gguf_llamacpp.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0 if all(found["goals"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
