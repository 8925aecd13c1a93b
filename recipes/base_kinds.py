"""What kind of student a base can become, as far as its name and its config.json tell; no weights are loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ENCODERS = frozenset(
    {
        "albert", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2", "distilbert",
        "electra", "ernie", "eurobert", "flaubert", "fnet", "funnel", "ibert", "jina_embeddings_v3", "longformer",
        "luke", "megatron-bert", "mobilebert", "modernbert", "mpnet", "mra", "nomic_bert", "nystromformer", "rembert",
        "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "squeezebert", "xlm", "xlm-roberta",
        "xlm-roberta-xl", "xmod", "yoso",
    }
)  # fmt: skip
"""model_type of the models that read a whole text at once and write none: a test holds them to transformers'."""
_WRITES = ("ForCausalLM", "LMHeadModel")
_READS = ("ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")

_PART = r"\w(?:[\w.\-]{0,94}\w)?"
_HUB_NAME = re.compile(f"(?:{_PART}/)?{_PART}", re.ASCII)


def is_hub_name(base: str) -> bool:
    """Whether the Hub could have a repository of this name: organisation/model, or a model's name alone."""
    return _HUB_NAME.fullmatch(base) is not None and not re.search(r"--|\.\.|\.git$", base)


def folder_problem(kind: str, folder: Path) -> str | None:
    """Why the model in `folder` cannot be the base of a student of this kind, or None."""
    path = folder / "config.json"
    if not path.is_file():
        adapter = (folder / "adapter_config.json").is_file()
        return f"{folder} holds {'an adapter, and a base is a whole model' if adapter else 'no config.json: no model'}"
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return f"{path} cannot be read as JSON"
    problem = kind_problem(kind, config) if isinstance(config, dict) else "holds no JSON object"
    return None if problem is None else f"{folder} {problem}"


def kind_problem(kind: str, config: Mapping[str, Any]) -> str | None:
    """Why a model with this config.json cannot be the base of a student of this kind, to follow its name; or None."""
    model = str(config.get("model_type") or "")
    made = [name for name in config.get("architectures") or () if isinstance(name, str)]
    if kind == "seq2seq":
        return _no_seq2seq(model, made, config)
    if config.get("is_encoder_decoder"):
        wanted = "an encoder alone" if kind == "classifier" else "a causal language model"
        return f"is an encoder with a decoder ({model}): name {wanted}"
    encodes = model in ENCODERS and not config.get("is_decoder")
    reads = next((name for name in made if name.endswith(_READS)), None)
    if kind == "causal" and (encodes or reads):
        what = f"an encoder ({model})" if encodes else f"a {reads}"
        return f"is {what}, which writes no text: name a causal language model"
    if kind == "classifier" and not encodes and any(name.endswith(_WRITES) for name in made):
        return f"is a causal language model ({model}): name an encoder, such as roberta-base"
    return None


def _no_seq2seq(model: str, made: list[str], config: Mapping[str, Any]) -> str | None:
    if config.get("is_encoder_decoder") or not (model or made):
        return None
    encodes = model in ENCODERS and not config.get("is_decoder")
    what = f"an encoder alone ({model})" if encodes else f"no encoder with a decoder ({model or made[0]})"
    return f"is {what}: name one with a decoder, such as google-t5/t5-base"
