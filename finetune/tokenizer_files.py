"""Open a tokenizer as its tokenizer.json says.

transformers 5 opens a folder whose tokenizer_config.json says LlamaTokenizer or LlamaTokenizerFast as a SentencePiece
tokenizer, even where tokenizer.json is byte-level, as that of DeepSeek-R1-Distill-Llama: every space and newline is
then lost without a word (huggingface/transformers issues 45488 and 46710). It excepts that model by its name on the
Hub, which a copy, a fine-tuned folder or unsloth's upload does not have.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WHOLE_CLASS = "PreTrainedTokenizerFast"
"""The class that changes nothing of a tokenizer.json; older versions of transformers know it too."""


def open_tokenizer(place: str | Path, revision: str | None = None, token: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or of a Hub id. Raises OSError or ValueError as from_pretrained does."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    options: dict[str, Any] = {"revision": revision, "token": token, "trust_remote_code": False}
    auto: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(place), **options)
    if type(auto) is PreTrainedTokenizerFast:
        return auto
    try:
        whole = PreTrainedTokenizerFast.from_pretrained(str(place), **options)
    except (OSError, ValueError):
        return auto  # it has no tokenizer.json
    return whole if is_byte_level(_described(whole.backend_tokenizer.pre_tokenizer)) else auto


def is_byte_level(pre_tokenizer: dict[str, Any] | None) -> bool:
    """Whether a `pre_tokenizer` of a tokenizer.json maps bytes to letters, as GPT-2's does (space is Ġ)."""
    if pre_tokenizer is None:
        return False
    parts = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    return any(part["type"] == "ByteLevel" for part in parts)


def name_whole_class(folder: Path) -> None:
    """Mend the tokenizer_config.json of a folder of ours, so that others open its tokenizer whole as well."""
    path, tokenizer = folder / "tokenizer_config.json", folder / "tokenizer.json"
    if not path.is_file() or not tokenizer.is_file():
        return
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    described = json.loads(tokenizer.read_text(encoding="utf-8"))
    if str(config.get("tokenizer_class")).startswith("LlamaTokenizer") and is_byte_level(described["pre_tokenizer"]):
        config["tokenizer_class"] = WHOLE_CLASS
        path.write_text(json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8")


def _described(pre_tokenizer: Any) -> dict[str, Any] | None:
    return None if pre_tokenizer is None else json.loads(pre_tokenizer.__getstate__())
