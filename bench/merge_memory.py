#!/usr/bin/env python3
"""How much memory and time do merging and GGUF take, in tensors as wide as those of Llama-3 8B?

    python bench/merge_memory.py                  # some minutes on two cores, 9 GB of disk under --folder

Writes a base of 8B widths (hidden 4096, MLP 14336, 128,256 tokens) with few layers, in bfloat16, and an adapter of rank
16 on the seven linear layers; then, each in a process of its own, merge_adapter (NF4, float16) and export_gguf (q8_0).
Memory is what the process holds beyond the mapped files, sampled every 10 ms: anonymous memory above that after the
imports. More layers add time, and no memory: the goal is that this stays below one and a half of the largest tensor in
float16 (the embeddings, 1.05 GB), with any number of layers.

Prints one JSON object as its last line, and fails where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
HIDDEN, MLP, VOCABULARY, KV = 4096, 14336, 128256, 1024
PER_LAYER = 2 * HIDDEN * HIDDEN + 2 * HIDDEN * KV + 3 * HIDDEN * MLP
FULL = 32 * PER_LAYER + 2 * VOCABULARY * HIDDEN
LARGEST = 2 * VOCABULARY * HIDDEN
"""Bytes of the embeddings in 16 bits."""


def make_base(folder: Path, layers: int) -> None:
    """Weights by the tensor, so that making them takes no memory either."""
    import torch
    from transformers import LlamaConfig

    from finetune.base_weights import _skeleton
    from finetune.shards import write_weights

    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=MLP, num_hidden_layers=layers,
        num_attention_heads=32, num_key_value_heads=8, tie_word_embeddings=False, dtype="bfloat16",
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
    )  # fmt: skip
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(folder)
    shapes = {name: tuple(tensor.shape) for name, tensor in _skeleton(config).state_dict().items()}
    write_weights(folder, shapes, torch.bfloat16, lambda name: (torch.randn(shapes[name]) * 0.02).to(torch.bfloat16))


def make_adapter(base: Path, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from finetune.shards import open_weights

    folder.mkdir()
    tensors: dict[str, torch.Tensor] = {}
    for name, shape in open_weights(base).shapes.items():
        if name.endswith("_proj.weight"):
            key = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{key}.lora_A.weight"] = 0.01 * torch.randn(16, shape[1])
            tensors[f"{key}.lora_B.weight"] = 0.01 * torch.randn(shape[0], 16)
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 16, "lora_alpha": 16}))


def anonymous() -> int:
    """Bytes of this process that are no file's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this measurement needs Linux")


def measure(work: Any) -> dict[str, float]:
    peak, running = [0], [True]

    def watch() -> None:
        while running[0]:
            peak[0] = max(peak[0], anonymous())
            time.sleep(0.01)

    before, start = anonymous(), time.perf_counter()
    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    running[0] = False
    watcher.join()
    return {"peak_bytes": peak[0] - before, "seconds": time.perf_counter() - start}


def child(what: str, folder: Path) -> None:
    """Run in a process of its own: one of the two works, measured."""
    import bitsandbytes.functional
    import gguf
    import torch
    import transformers

    from finetune.gguf_export import export_gguf
    from finetune.merge import merge_adapter

    assert all((bitsandbytes.functional, gguf, transformers.AutoModelForCausalLM))
    torch.set_num_threads(2)
    if what == "merge":
        found = measure(lambda: merge_adapter(folder / "base", folder / "adapter", folder / "merged"))
    else:
        found = measure(lambda: export_gguf(folder / "merged", folder / "m.gguf", what))  # type: ignore[arg-type]
    print(json.dumps(found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where there is room; the system's own temporary folder without it")
    parser.add_argument("--child", choices=("merge", "q8_0", "q4_0"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.folder)
        return 0
    from tiny_llama import make_tokenizer

    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        folder = Path(scratch)
        make_base(folder / "base", given.layers)
        make_adapter(folder / "base", folder / "adapter")
        make_tokenizer().save_pretrained(folder / "base")
        figures: dict[str, Any] = {}
        for what in ("merge", "q8_0", "q4_0"):
            command = [sys.executable, "-W", "ignore", __file__, "--child", what, "--folder", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(done.stderr[-3000:])
            figures[what] = json.loads(done.stdout.splitlines()[-1])
    parameters = given.layers * PER_LAYER + 2 * VOCABULARY * HIDDEN
    found: dict[str, Any] = {
        "layers": given.layers, "parameters": parameters, "largest_tensor_bytes": LARGEST, **figures,
        "minutes_for_8b_by_proportion": {
            what: round(one["seconds"] / parameters * FULL / 60, 1) for what, one in figures.items()
        },
        "goals": {f"{what}_below_1.5_largest": one["peak_bytes"] < 1.5 * LARGEST for what, one in figures.items()},
    }  # fmt: skip
    (ROOT / "bench" / "results" / "merge_memory.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0 if all(found["goals"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
