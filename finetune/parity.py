"""How far two copies of a model are from each other: their logits on the same texts, and what they go on to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from recipes.runs import write_atomic

if TYPE_CHECKING:
    import torch

FILE = "parity.json"


@dataclass(frozen=True)
class Answers:
    """What a model makes of some prompts, in their order.

    logits: for each prompt (its tokens, vocabulary), float32. tokens: the most likely ones that follow each.
    """

    logits: tuple[torch.Tensor, ...]
    tokens: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Parity:
    """A copy against its original.

    places: tokens of the texts, after each of which both say how likely every token is. same_top: share of places where
    both find the same token most likely. largest_difference: of two logits of the same token at the same place;
    relative: that over the original's largest logit. same_tokens: share of the `new_tokens` tokens that each, by
    itself, goes on with after every text (the most likely one at each step) that are the same.
    """

    texts: int
    places: int
    largest_difference: float
    largest_logit: float
    relative: float
    same_top: float
    new_tokens: int
    same_tokens: float


def answer(model: Any, prompts: Sequence[Sequence[int]], new_tokens: int) -> Answers:
    """Run a causal model of transformers on prompts of token ids, one at a time; EOS does not end an answer."""
    import torch

    logits: list[torch.Tensor] = []
    tokens: list[tuple[int, ...]] = []
    device = "cpu" if model.device.type == "meta" else model.device  # meta: its layers are on the disk
    with torch.inference_mode():
        for prompt in prompts:
            ids = torch.tensor([list(prompt)], device=device)
            out = model(input_ids=ids, use_cache=True)
            logits.append(out.logits[0].float().cpu())
            said: list[int] = []
            for _ in range(new_tokens):
                last = out.logits[:, -1:].argmax(-1)
                said.append(int(last))
                out = model(input_ids=last, past_key_values=out.past_key_values, use_cache=True)
            tokens.append(tuple(said))
    return Answers(tuple(logits), tuple(tokens))


def compare(original: Answers, copy: Answers) -> Parity:
    """The figures of `copy`; both must have answered the same prompts. ValueError where the shapes differ."""
    if [one.shape for one in original.logits] != [one.shape for one in copy.logits]:
        raise ValueError("the two models did not answer the same prompts with the same vocabulary")
    pairs = list(zip(original.logits, copy.logits, strict=True))
    places = sum(one.shape[0] for one, _ in pairs)
    difference = max(float((one - other).abs().max()) for one, other in pairs)
    largest = max(float(one.abs().max()) for one, _ in pairs)
    top = sum(int((one.argmax(-1) == other.argmax(-1)).sum()) for one, other in pairs)
    new = len(original.tokens[0])
    said = [a == b for a, b in zip(chain(*original.tokens), chain(*copy.tokens), strict=True)]
    return Parity(
        texts=len(pairs), places=places, largest_difference=difference, largest_logit=largest,
        relative=difference / largest if largest else 0.0, same_top=top / places, new_tokens=new,
        same_tokens=sum(said) / len(said) if said else 1.0,
    )  # fmt: skip


def write_parity(export: Path, figures: Parity | str, compared: str = "") -> Path:
    """Put the figures of an export into parity.json beside it, or the sentence that says why there are none.

    Beside a file: in its folder, under its name; of a folder: inside it, under `safetensors`. Others' figures stay.
    compared: digest of all that was compared, by which `read_parity` knows the figures again.
    """
    place, name = _entry(export)
    found = {"left_out": figures} if isinstance(figures, str) else asdict(figures) | {"compared": compared}
    write_atomic(place, orjson.dumps(_known(place) | {name: found}, option=orjson.OPT_INDENT_2))
    return place


def read_parity(export: Path, compared: str | None = None) -> Parity | None:
    """The figures of an export; with `compared`, only where they are of that very comparison."""
    place, name = _entry(export)
    found = _known(place).get(name)
    if not isinstance(found, dict):
        return None
    of = found.pop("compared", None)
    try:
        return None if compared not in (None, of) else Parity(**found)
    except TypeError:
        return None


def forget_parity(export: Path) -> None:
    """Take the figures of an export out of parity.json, before it becomes another."""
    place, name = _entry(export)
    known = _known(place)
    if known.pop(name, None) is not None:
        write_atomic(place, orjson.dumps(known, option=orjson.OPT_INDENT_2))


def _entry(export: Path) -> tuple[Path, str]:
    return (export / FILE, "safetensors") if export.is_dir() else (export.parent / FILE, export.name)


def _known(place: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(place.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
