"""Texts as the tokens of a seq2seq model, and back: line breaks survive, and no text spells a special token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from finetune.encoding import Encoded, encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LINE = "[NL]"
"""A token that stands for a line break where the tokenizer has none: T5's reads it as a space. arXiv 2412.18552 adds it
too."""


def add_line_token(tokenizer: PreTrainedTokenizerBase) -> None:
    """Give a tokenizer that loses line breaks a token for them; nothing where it keeps them, or has it already."""
    ids = tokenizer("a\nb", add_special_tokens=False)["input_ids"]
    if "\n" in tokenizer.decode(ids) or LINE in tokenizer.get_added_vocab():
        return
    from tokenizers import AddedToken

    tokenizer.add_tokens([AddedToken(LINE, special=False, normalized=False)])


class Seq2seqCodec:
    """The one way from text to tokens and back, for training and for answering."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        added = sorted(set(tokenizer.get_added_vocab()) | set(tokenizer.all_special_tokens), key=len, reverse=True)
        self._spelt = re.compile("|".join(re.escape(token) for token in added) or r"(?!)")
        self._marks_lines = LINE in tokenizer.get_added_vocab()

    def sources(self, texts: Sequence[str], max_length: int) -> tuple[list[Encoded], int]:
        """What is read: tokens of each text, cut to `max_length` with its end token; and how many were cut."""
        return encode(self.tokenizer, [self._plain(text) for text in texts], max_length)

    def targets(self, texts: Sequence[str]) -> list[list[int]]:
        """What is to be written: tokens of each text with its end token, whole."""
        if not texts:
            return []
        plain = [self._plain(text) for text in texts]
        encoded: Any = self.tokenizer(plain, truncation=False, padding=False, verbose=False)
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def text(self, ids: Sequence[int]) -> str:
        """What was written, without special tokens and white space around it."""
        said = str(
            self.tokenizer.decode(
                [int(one) for one in ids], skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )
        return (re.sub(rf" *{re.escape(LINE)} *", "\n", said) if self._marks_lines else said).strip()

    def _plain(self, text: str) -> str:
        """A review that spells </s> does not end there: its words are taken apart."""
        text = self._spelt.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
        if not self._marks_lines:
            return text
        return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", LINE)
