"""Text to tokens and back, so that only our own markup can become a special token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from finetune.rendering import Piece

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Codec:
    """A tokenizer that knows which parts of a text are ours. added: ids of its added tokens.

    A text is tokenised whole, as any other program would do it, but where somebody's words spell one of the
    tokenizer's added tokens (`<|eot_id|>`, `<think>`): there it is cut after the first character, and the two sides are
    tokenised apart, which no added token survives. Nothing is removed. transformers' own split_special_tokens will not
    do: it knows nothing of tokens that are added but not marked special, as `<｜User｜>` and `<think>` of DeepSeek-R1.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self.added = frozenset(tokenizer.get_added_vocab().values())
        self.marks = _pattern([text for text in tokenizer.get_added_vocab() if text.strip()])
        self._anchor = self._ids("\n")
        start, rest = self._ids("\nx")[: len(self._anchor)], self._ids("\nx")[len(self._anchor) :]
        # Llama-2's tokenizer puts a space before a text: not wanted where a text goes on from another
        self._prefixes = start == self._anchor and rest != self._ids("x")

    def encode(self, pieces: Sequence[Piece], goes_on: bool = False) -> list[int]:
        """Token ids, with no BOS but what the pieces say. goes_on: something stands before this text."""
        text = "".join(piece.text for piece in pieces)
        cuts = [0, *self._cuts(text, pieces), len(text)]
        ids: list[int] = []
        for start, end in pairwise(cuts):
            ids += self._continued(text[start:end]) if goes_on or start else self._ids(text[start:end])
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens included."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _cuts(self, text: str, pieces: Sequence[Piece]) -> list[int]:
        """Places to cut, so that no added token is read where a part of it is not ours."""
        if self.marks is None:
            return []
        edges = list(accumulate(len(piece.text) for piece in pieces))
        cuts = set()
        for match in self.marks.finditer(text):
            start, end = match.span(1)
            inside = [edge for edge in edges if start < edge < end]
            whose = pieces[sum(edge <= start for edge in edges)]
            if inside:
                cuts.add(inside[0])
            elif not whose.ours:
                cuts.add(start + 1)
        return sorted(cuts)

    def _continued(self, text: str) -> list[int]:
        if not self._prefixes:
            return self._ids(text)
        return self._ids("\n" + text)[len(self._anchor) :]

    def _ids(self, text: str) -> list[int]:
        encoded = self._tokenizer(
            text, add_special_tokens=False, return_attention_mask=False, split_special_tokens=False, verbose=False
        )
        return list(encoded["input_ids"])


def _pattern(texts: list[str]) -> re.Pattern[str] | None:
    """Finds every place where one of `texts` stands, overlapping ones too; group 1 is the longest there."""
    if not texts:
        return None
    firsts = "".join(sorted({re.escape(text[0]) for text in texts}))
    longest = "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))
    return re.compile(f"(?=[{firsts}])(?=({longest}))")
