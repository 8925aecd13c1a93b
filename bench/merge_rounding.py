#!/usr/bin/env python3
"""How far is a merged model from its adapter, in float16 and in bfloat16, and how far is the adapter from itself?

    python bench/merge_rounding.py        # half a minute on two cores

Llamas with random weights in bfloat16, of several depths, scaled so that a layer neither blows its input up nor
swallows it; LoRA of rank 8 on real NF4. The reference is the adapter on its base with all sums in float32. Beside it,
as a share of the largest logit and by the same most likely token:

    merged     what `python -m finetune merge` writes, its sums in float32: the rounding of the weights alone
    computed   the adapter itself, unmerged, its sums in the 16 bits that a GPU answers in: no merge can be told apart
               below that

Random weights pass a difference on, and enlarge it, more than trained ones (a trained student of the quickstart: 0.05%
to 0.13% in float16, 0.3% to 0.7% in bfloat16), so goals are ratios: in either dtype the merged model is nearer to the
adapter than the adapter, computing in that dtype, is to itself; float16 is at least four times nearer than bfloat16.
Prints one JSON object as its last line, and fails where a goal is missed.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
SHAPES = {
    "2 layers of 64": {},
    "8 layers of 256": {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 8},
    "24 layers of 256": {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 24},
}
KINDS = ("float16", "bfloat16")


def scale_weights(base: Path) -> None:
    """Linear layers of the spread that training starts with, 1 / sqrt(inputs)."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(base / "model.safetensors")
    for name, weight in tensors.items():
        if weight.dim() == 2 and "layers" in name:
            weight.copy_((weight.float() * (weight.shape[1] ** -0.5 / 0.1)).to(torch.bfloat16))
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})


def measure(folder: Path, shape: dict[str, int]) -> dict[str, Any]:
    """Figures of one model."""
    import torch
    from tiny_llama import TEXTS, load_nf4, make_adapter, make_llama, make_tokenizer

    from finetune.base_weights import open_base, read_config
    from finetune.merge import merge_adapter
    from finetune.parity import answer, compare
    from finetune.parity_models import load_adapter, load_merged

    base = make_llama(folder / "base", "bfloat16", **shape)
    scale_weights(base)
    make_adapter(load_nf4(base), folder / "adapter")
    prompts = [make_tokenizer()(text).input_ids for text in TEXTS]
    source = open_base(base, read_config(base), True, True, "bfloat16")
    reference = answer(load_adapter(source, folder / "adapter"), prompts, 0)
    found: dict[str, Any] = {}
    for kind in KINDS:
        merged = merge_adapter(base, folder / "adapter", folder / kind, kind, trained_in="bfloat16").folder  # type: ignore[arg-type]
        itself = load_adapter(source, folder / "adapter").to(getattr(torch, kind))
        for name, model in (("merged", load_merged(merged)), ("computed", itself)):
            one = compare(reference, answer(model, prompts, 0))
            found[f"{name} {kind}"] = {"relative": round(one.relative, 5), "same_top": round(one.same_top, 4)}
    return found


def main() -> int:
    from transformers.utils import logging

    logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    figures: dict[str, Any] = {}
    for name, shape in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = measure(Path(folder), shape)
        print(name, json.dumps(figures[name]), flush=True)
    off = [{what: one["relative"] for what, one in each.items()} for each in figures.values()]
    goals = {
        "nearer_than_its_own_sums": all(
            one[f"merged {kind}"] < one[f"computed {kind}"] for one in off for kind in KINDS
        ),
        "float16_four_times_nearer": all(4 * one["merged float16"] <= one["merged bfloat16"] for one in off),
    }
    result = {"models": figures, "goals": goals}
    (ROOT / "bench" / "results" / "merge_rounding.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))
    return 0 if all(goals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
