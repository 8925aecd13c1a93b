"""How the training of a seq2seq student fits a device's memory, from its base's config.json alone; an estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recipes.base_configs import find_config
from recipes.counts import counted, shortened
from recipes.devices import GIB, Device
from recipes.schema import Recipe
from recipes.seq2seq_memory import (
    MOST_TOKENS,
    USED,
    seed_bytes,
    seeds_that_fit,
    token_bytes,
    tokens_that_fit,
)
from recipes.seq2seq_student import Seq2seqStudent
from recipes.seq2seq_weights import T5_BASE, count_weights, scratch_config


@dataclass(frozen=True, slots=True)
class Seq2seqPlan:
    """One seed of a student on a device. tokens: padded ones, read and written, that go through at once at the most.

    needed: bytes with those. at_once: seeds trained together, of `seeds`.
    """

    base: str
    device: Device
    precision: str
    weights: int
    tokens: int
    needed: int
    at_once: int
    seeds: int

    @property
    def fits(self) -> bool:
        """True as well where nobody knows how much there is."""
        return self.device.usable is None or self.at_once * self.needed <= USED * self.device.usable * GIB

    def line(self) -> str:
        """The plan in a sentence: what it takes, and what there is."""
        usable = self.device.usable
        there = f"{self.device.name}" + ("" if usable is None else f": {usable:.1f} GiB usable")
        takes = f"about {self.needed / GIB:.1f} GiB for a seed in {self.precision}, {self.tokens:,} tokens at once"
        several = f"; {self.at_once} of {counted(self.seeds, 'seed')} at a time" if self.seeds > 1 else ""
        short = "" if self.fits else f"; more than there is: {self.advice()}"
        return f"{self.base}, {shortened(self.weights)} weights: {takes}, on {there}{several}{short}"

    def advice(self) -> str:
        """What to change where it does not fit."""
        if self.at_once > 1:
            return "lower parallel"
        if self.device.gpu:  # there the tokens are already as few as can be
            return "take a smaller base, or another device"
        return "lower batch_size, max_length or max_target_length, or take a smaller base"


def plan_seq2seq(recipe: Recipe, name: str, device: Device) -> Seq2seqPlan | str:
    """The plan of a student, or why nothing can be said."""
    student, start = recipe.seq2seq(name), _root(recipe, name)
    config = _config(recipe, start)
    if isinstance(config, str):
        return config
    weights = count_weights(start.base, config)
    if isinstance(weights, str):
        return weights
    precision = student.precision if student.precision != "auto" else "bf16" if device.bf16 else "fp32"
    each = token_bytes(config, precision)
    batch = min(MOST_TOKENS, student.batch_size * (student.max_length + student.max_target_length))
    at_once = min(student.parallel or 1, len(student.seeds))
    room = None if device.usable is None or not device.gpu else int(device.usable * GIB)
    if room is not None and student.parallel is None:
        at_once = min(len(student.seeds), seeds_that_fit(room, seed_bytes(weights, each, batch)))
    tokens = batch if room is None else min(batch, tokens_that_fit(room, at_once, weights, each))
    return Seq2seqPlan(
        start.base, device, precision, weights, tokens, seed_bytes(weights, each, tokens), at_once, len(student.seeds)
    )


def _root(recipe: Recipe, name: str) -> Seq2seqStudent:
    """The student that the chain of `name` begins with: its base is that of all of them."""
    other = recipe.base_student(name)
    return recipe.seq2seq(name) if other is None else _root(recipe, other)


def _config(recipe: Recipe, start: Seq2seqStudent) -> dict[str, Any] | str:
    """The config.json of a base, or why it is not known."""
    if start.base == "scratch":
        return scratch_config(start.scratch)
    if start.base == "google-t5/t5-base" and not recipe.resolve(start.base).is_dir():
        return T5_BASE
    return find_config(start.base, recipe.resolve(""), start.revision)
