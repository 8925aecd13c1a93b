"""A byte-level BPE tokenizer as a GGUF file tells it to llama.cpp: tokens, their kinds, merges, and the name of the
rule that splits a text into words before any merge.

The rule is not in the file: llama.cpp knows it by name (src/llama-vocab.cpp), and a wrong name gives other tokens
without a word. So a rule that is not known here is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.tokenizer_files import is_byte_level, open_tokenizer
from recipes.errors import TrainingError

if TYPE_CHECKING:
    from gguf import GGUFWriter

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_RULES: dict[tuple[str, ...], str] = {
    (_LLAMA3, "ByteLevel"): "llama-bpe",  # Llama-3, DeepSeek-R1-Distill-Llama
    (_LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}"), "ByteLevel"): "qwen2",  # Qwen2, Qwen2.5, DeepSeek-R1-Distill-Qwen
    (_TEKKEN, "ByteLevel"): "tekken",  # Mistral Nemo and later
    ("ByteLevel with GPT-2's pattern",): "gpt-2",  # GPT-2, and the tokenizers of students from scratch
    ("single digits", "ByteLevel with GPT-2's pattern"): "smollm",
}
_SKIPS_MERGES = ("llama-bpe", "tekken")
"""Rules under which llama.cpp takes a word that is a token as it is, without its merges (`ignore_merges`)."""
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5  # gguf.TokenType


@dataclass(frozen=True)
class GgufTokenizer:
    """What a GGUF file holds of a tokenizer. rule: `tokenizer.ggml.pre`. notes: what llama.cpp does otherwise.

    end_of_turn: the token that ends an answer, where it is not EOS; llama.cpp stops at both.
    """

    tokens: tuple[str, ...]
    kinds: tuple[int, ...]
    merges: tuple[str, ...]
    rule: str
    bos: int | None
    eos: int
    pad: int | None
    adds_bos: bool
    adds_eos: bool
    chat_template: str | None
    notes: tuple[str, ...]
    end_of_turn: int | None = None

    def write(self, writer: GGUFWriter) -> None:
        """Put it into the header of a file."""
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.rule)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.kinds)
        writer.add_token_merges(self.merges)
        if self.bos is not None:
            writer.add_bos_token_id(self.bos)
        writer.add_eos_token_id(self.eos)
        if self.end_of_turn is not None:
            writer.add_eot_token_id(self.end_of_turn)
        if self.pad is not None:
            writer.add_pad_token_id(self.pad)
        writer.add_add_bos_token(self.adds_bos)
        writer.add_add_eos_token(self.adds_eos)
        if self.chat_template:
            writer.add_chat_template(self.chat_template)


def read_tokenizer(folder: Path, vocab_size: int) -> GgufTokenizer:
    """The tokenizer of a model folder. vocab_size: rows of its embeddings; ids that no token has are filled.

    Raises TrainingError for a tokenizer that is not byte-level BPE, or whose rules llama.cpp is not known to have.
    """
    path = folder / "tokenizer.json"
    try:
        described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        opened: Any = open_tokenizer(folder)
    except (OSError, ValueError) as error:
        first = str(error).strip().split("\n")[0]
        raise TrainingError(f"the tokenizer in {folder} cannot be read ({first})") from None
    rule = _find_rule(path, described)
    tokens, kinds = _tokens(path, described, vocab_size)
    probe = opened("a").input_ids
    if opened.eos_token_id is None:
        raise TrainingError(f"the tokenizer in {folder} has no EOS token: a model made with it would never stop")
    return GgufTokenizer(
        tokens=tuple(tokens), kinds=tuple(kinds), merges=_merges(described), rule=rule,
        bos=opened.bos_token_id, eos=opened.eos_token_id, pad=opened.pad_token_id,
        adds_bos=probe[0] == opened.bos_token_id, adds_eos=len(probe) > 1 and probe[-1] == opened.eos_token_id,
        chat_template=_default_template(opened.chat_template), notes=tuple(_notes(described, rule)),
    )  # fmt: skip


def _find_rule(path: Path, described: dict[str, Any]) -> str:
    model, before = described["model"], described.get("pre_tokenizer") or {"type": "none"}
    if model["type"] != "BPE" or model.get("byte_fallback") or not is_byte_level(before):
        raise TrainingError(
            f"{path} is no byte-level BPE tokenizer (it is {model['type']}): GGUF is written for tokenizers as "
            f"Llama-3, R1, Qwen2 and GPT-2 have them; share the merged safetensors instead"
        )
    parts = [_part(part) for part in before.get("pretokenizers", [before])]
    rule = _RULES.get(tuple(parts))
    if rule is None:
        known = ", ".join(sorted(_RULES.values()))
        raise TrainingError(
            f"{path} splits words by a rule that is not known here ({' then '.join(parts)[:200]}); GGUF is written for "
            f"the rules {known}; share the merged safetensors instead"
        )
    return rule


def _part(part: dict[str, Any]) -> str:
    """One step of a pre-tokenizer in words; anything out of the ordinary gives words that no rule has."""
    if part["type"] == "Split" and part["behavior"] == "Isolated" and not part["invert"]:
        return str(part["pattern"].get("Regex"))
    if part["type"] == "ByteLevel" and not part["add_prefix_space"]:
        return "ByteLevel with GPT-2's pattern" if part.get("use_regex", True) else "ByteLevel"
    if part["type"] == "Digits" and part["individual_digits"]:
        return "single digits"
    return json.dumps(part)


def _tokens(path: Path, described: dict[str, Any], vocab_size: int) -> tuple[list[str], list[int]]:
    ids: dict[int, str] = {number: token for token, number in described["model"]["vocab"].items()}
    kinds = dict.fromkeys(ids, _NORMAL)
    for added in described.get("added_tokens", ()):
        ids[added["id"]] = added["content"]
        kinds[added["id"]] = _CONTROL if added["special"] else _USER_DEFINED
    if max(ids) >= vocab_size:
        raise TrainingError(f"{path} has a token {max(ids)} and the model {vocab_size} rows of embeddings: not its own")
    tokens = [ids.get(number, f"[PAD{number}]") for number in range(vocab_size)]
    return tokens, [kinds.get(number, _UNUSED) for number in range(vocab_size)]


def _merges(described: dict[str, Any]) -> tuple[str, ...]:
    pairs = described["model"]["merges"]
    return tuple(pair if isinstance(pair, str) else " ".join(pair) for pair in pairs)


def _default_template(template: str | dict[str, str] | None) -> str | None:
    return template.get("default") if isinstance(template, dict) else template


def _notes(described: dict[str, Any], rule: str) -> list[str]:
    """Where llama.cpp is known to read a text in another way."""
    steps = described.get("normalizer") or {}
    notes = [
        f"llama.cpp does not apply the tokenizer's {step['type']}: text in another form gets other tokens"
        for step in steps.get("normalizers", [steps] if steps else [])
    ]
    odd = [one["content"] for one in described.get("added_tokens", ()) if one["lstrip"] or one["rstrip"]]
    if odd:
        notes.append(f"llama.cpp keeps the spaces beside {', '.join(odd[:3])}, which the tokenizer drops")
    if bool(described["model"].get("ignore_merges")) != (rule in _SKIPS_MERGES):
        unreached = _unreached(described)
        if unreached:
            notes.append(f"llama.cpp merges {unreached:,} tokens otherwise than the tokenizer (ignore_merges)")
    return notes


def _unreached(described: dict[str, Any]) -> int:
    """Tokens that their own merges do not lead to: only for these does it matter whether merges are skipped."""
    from tokenizers.models import BPE

    merges: Any = [tuple(pair.split(" ")) for pair in _merges(described)]
    model = BPE(vocab=described["model"]["vocab"], merges=merges)
    added = {one["content"] for one in described.get("added_tokens", ())}
    return sum(len(model.tokenize(token)) > 1 for token in described["model"]["vocab"] if token not in added)
