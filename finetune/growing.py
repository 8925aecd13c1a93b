"""Keys and values of a text that grows token by token, with room for tokens to come."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicLayer

from finetune.decoding import rounded_up

ROOM = 64
"""Tokens that there is room for after those that are kept."""


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer of a cache. transformers' own copies all that it has for every token; this one for every ROOM tokens.

    `keys` and `values` (rows, heads, tokens, d) may be replaced from outside, as batch_select_indices does.
    grain: what a model is given to attend to is a multiple of so many tokens, the last of them nothing yet; its mask
    must say so. Where every length is another shape, what a device keeps for each shape has no end.
    """

    def __init__(self, grain: int = 1) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._grain = grain

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """How many keys a model will be given with so many new tokens, and the place of the first."""
        return rounded_up(self.get_seq_length() + query_length, self._grain), 0

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Put new tokens behind the others; all of them, and what the grain wants after them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._roomy: tuple[Tensor, Tensor] = (key_states, value_states)
            self._shown: Tensor | None = None
        length = self.get_seq_length()
        whole = length + key_states.shape[-2]
        given = rounded_up(whole, self._grain)
        if self.keys is not self._shown or given > self._roomy[0].shape[-2]:
            room = rounded_up(whole + ROOM, self._grain)
            self._roomy = (
                _with_room(self.keys, length, key_states, room), _with_room(self.values, length, value_states, room)
            )  # fmt: skip
        for roomy, new in zip(self._roomy, (key_states, value_states), strict=True):
            roomy[..., length:whole, :] = new
        self.keys, self.values = (roomy[..., :whole, :] for roomy in self._roomy)
        self._shown = self.keys
        keys, values = (roomy[..., :given, :] for roomy in self._roomy)
        return keys, values


def _with_room(kept: Tensor | None, length: int, new: Tensor, room: int) -> Tensor:
    """`kept`, of so many tokens, at the beginning of a tensor that has room for that many."""
    roomy = new.new_zeros((*new.shape[:-2], room, new.shape[-1]))
    if kept is not None and length:
        roomy[..., :length, :] = kept
    return roomy
