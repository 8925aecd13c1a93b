"""Keys and values of a text that grows token by token, with room for tokens to come."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicLayer

ROOM = 64
"""Tokens that there is room for after those that are kept."""


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer of a cache. transformers' own copies all that it has for every token; this one for every ROOM tokens.

    `keys` and `values` (rows, heads, tokens, d) may be replaced from outside, as batch_select_indices does.
    """

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Put new tokens behind the others; all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._roomy: tuple[Tensor, Tensor] = (key_states, value_states)
            self._shown: Tensor | None = None
        length = self.get_seq_length()
        whole = length + key_states.shape[-2]
        if self.keys is not self._shown or whole > self._roomy[0].shape[-2]:
            self._roomy = _with_room(self.keys, length, key_states), _with_room(self.values, length, value_states)
        for roomy, new in zip(self._roomy, (key_states, value_states), strict=True):
            roomy[..., length:whole, :] = new
        self.keys, self.values = (roomy[..., :whole, :] for roomy in self._roomy)
        self._shown = self.keys
        return self.keys, self.values


def _with_room(kept: Tensor | None, length: int, new: Tensor) -> Tensor:
    """`kept` in a tensor that also holds `new` and ROOM more tokens."""
    roomy = new.new_zeros((*new.shape[:-2], length + new.shape[-2] + ROOM, new.shape[-1]))
    if kept is not None and length:
        roomy[..., :length, :] = kept
    return roomy
