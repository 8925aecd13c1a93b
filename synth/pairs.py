"""Texts and hypotheses -> the input of an NLI model, each text tokenised once for all hypotheses.

A tokenizer puts a pair together as: before, text, between, hypothesis, after, where before, between and after are
special tokens. BERT: [CLS] text [SEP] hypothesis [SEP], with token types 0 and 1; RoBERTa: <s> text </s></s>
hypothesis </s>, without. What they are is read off one encoded pair, and every hypothesis is checked once against what
the tokenizer itself makes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recipes.batches import padded_width
from recipes.errors import TeacherError

Ids = list[int]
_LEAST_ROOM = 8
"""Tokens of a text that must be left beside the longest hypothesis."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The special tokens around a pair. types: the token type of each of them and of the two parts, None where the
    model has no token types: (before, text, between, hypothesis, after).
    """

    before: Ids
    between: Ids
    after: Ids
    types: tuple[Ids, int, Ids, int, Ids] | None

    @property
    def size(self) -> int:
        """Special tokens of a pair."""
        return len(self.before) + len(self.between) + len(self.after)

    def ids(self, text: Ids, hypothesis: Ids) -> Ids:
        return [*self.before, *text, *self.between, *hypothesis, *self.after]

    def token_types(self, text: Ids, hypothesis: Ids) -> Ids:
        assert self.types is not None
        before, first, between, second, after = self.types
        return [*before, *([first] * len(text)), *between, *([second] * len(hypothesis)), *after]


class Pairs:
    """Pairs of texts and hypotheses for one tokenizer. limit: most tokens of a pair; of longer ones the text is cut."""

    def __init__(self, tokenizer: Any, hypotheses: Sequence[str], limit: int, name: str) -> None:
        """Raises TeacherError where a hypothesis leaves no room for a text, and where pairs are made in another way."""
        self.limit = limit
        self._tokenizer = tokenizer
        self._hypotheses = [self._plain(hypothesis) for hypothesis in hypotheses]
        self.frame = _find_frame(tokenizer, hypotheses[0], self._hypotheses[0], name)
        self._rooms = [limit - self.frame.size - len(hypothesis) for hypothesis in self._hypotheses]
        for place, hypothesis in enumerate(hypotheses):
            if self._rooms[place] < _LEAST_ROOM:
                raise TeacherError(
                    f"teacher.hypothesis: {hypothesis!r} takes {limit - self._rooms[place]} of the {limit} tokens of a "
                    "pair and leaves no room for the text: shorten it or its description, or raise teacher.max_length"
                )
            whole = tokenizer(hypotheses[0], hypothesis, verbose=False)
            made = self.frame.ids(self._hypotheses[0], self._hypotheses[place])
            if list(whole["input_ids"]) != made:
                raise _strange(name)

    def read(self, texts: Sequence[str]) -> tuple[list[Ids], list[bool]]:
        """The ids of each text, without special tokens, and whether its end will be cut beside some hypothesis."""
        if not texts:
            return [], []
        ids: list[Ids] = self._tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        least = min(self._rooms)
        return [one[: max(self._rooms)] for one in ids], [len(one) > least for one in ids]

    def length(self, text: Ids, label: int) -> int:
        """Tokens of the pair of a text and a hypothesis."""
        return min(len(text), self._rooms[label]) + len(self._hypotheses[label]) + self.frame.size

    def batch(self, pairs: Sequence[tuple[Ids, int]]) -> dict[str, npt.NDArray[np.int64]]:
        """The model's input for pairs of text and label: arrays (pairs, longest), padded at their end."""
        width = min(padded_width(max(self.length(*pair) for pair in pairs)), self.limit)
        rows = [(text[: self._rooms[label]], self._hypotheses[label]) for text, label in pairs]
        found = {
            "input_ids": _filled([self.frame.ids(*row) for row in rows], width, self._tokenizer.pad_token_id),
            "attention_mask": _filled([[1] * self.length(*pair) for pair in pairs], width, 0),
        }
        if self.frame.types is not None:
            types = [self.frame.token_types(*row) for row in rows]
            found["token_type_ids"] = _filled(types, width, self._tokenizer.pad_token_type_id)
        return found

    def _plain(self, text: str) -> Ids:
        return list(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _find_frame(tokenizer: Any, probe: str, ids: Ids, name: str) -> Frame:
    """What stands around the two parts of a pair, both of them the text `probe` with the tokens `ids`."""
    whole = tokenizer(probe, probe, verbose=False)
    found, size = list(whole["input_ids"]), len(ids)
    starts = [at for at in range(len(found) - size + 1) if found[at : at + size] == ids]
    if not ids or len(starts) < 2 or starts[-1] < starts[0] + size:
        raise _strange(name)
    first, second = starts[0], starts[-1]
    ends = (slice(0, first), slice(first + size, second), slice(second + size, None))
    types = None
    if "token_type_ids" in whole:
        given = list(whole["token_type_ids"])
        before, between, after = (given[part] for part in ends)
        types = (before, given[first], between, given[second], after)
    return Frame(found[ends[0]], found[ends[1]], found[ends[2]], types)


def _strange(name: str) -> TeacherError:
    return TeacherError(
        f"teacher.model: the tokenizer of {name} does not put a text and a hypothesis together as an NLI model's does"
    )


def _filled(lists: Sequence[Ids], width: int, fill: int | None) -> npt.NDArray[np.int64]:
    table = np.full((len(lists), width), fill or 0, dtype=np.int64)
    for row, values in zip(table, lists, strict=True):
        row[: len(values)] = values
    return table
