"""A model of natural language inference (NLI) as teacher: does the text entail "The sentiment of this text is good."?

Zero-shot classification as entailment: Yin et al., arXiv 1909.00161. The logits are those that transformers'
pipeline("zero-shot-classification") has; each text is tokenised once for all labels, and pairs of like length go
through the model together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from recipes.batches import token_batches
from recipes.errors import TeacherError
from recipes.schema import Recipe
from synth.machine import Machine, is_out_of_memory
from synth.pairs import Ids, Pairs
from synth.pretrained import Origin, find_origin, loading, memory_sentence, most_tokens
from synth.silence import quiet
from synth.tasks.scores import Scores

BATCH_TOKENS = {"cpu": 2048, "cuda": 65536, "mps": 8192}
"""Most tokens in a batch, padding included."""
_CONTRADICTION = ("contradict", "not_entail", "not entail", "non_entail", "non-entail", "not-entail")
"""How a label's name begins that says no; a model of two labels has only that no entailment holds."""


class NliModel:
    """An NLI model, open for a recipe's labels."""

    def __init__(self, recipe: Recipe, model: Any, tokenizer: Any, machine: Machine) -> None:
        self.teacher, self.labels, self.machine = recipe.local_teacher(), recipe.labels, machine
        self._places = label_places(model.config.label2id, self.teacher.multi_label, self.teacher.model)
        limit = min(self.teacher.max_length, most_tokens(model, tokenizer))
        self._most = limit if limit < self.teacher.max_length else None
        hypotheses = [self.teacher.words(label) for label in recipe.labels]
        self._pairs = Pairs(tokenizer, hypotheses, limit, self.teacher.model)
        self._model = model.to(machine.device).eval()

    def score(self, texts: Sequence[str]) -> Iterator[list[tuple[int, Scores]]]:
        """The texts by their places, with their scores, as batches are done; longest texts first.

        Raises TeacherError where a score is no number, and where memory runs out.
        """
        ids, cut = self._pairs.read(texts)
        labels = len(self.labels)
        lengths = [self._pairs.length(one, label) for one in ids for label in range(labels)]
        logits = np.zeros((len(lengths), len(self._model.config.id2label)), dtype=np.float32)
        left = [labels] * len(texts)
        tokens = BATCH_TOKENS[self.machine.device]
        with self._computing():
            for batch in token_batches(lengths, tokens, self.teacher.batch_size):
                logits[batch] = self._logits([(ids[place // labels], place % labels) for place in batch])
                done = []
                for text in (place // labels for place in batch):
                    left[text] -= 1
                    if not left[text]:
                        done.append((text, self._scores(logits[text * labels : (text + 1) * labels], cut[text])))
                self._check(logits[batch], [texts[place // labels] for place in batch])
                if done:
                    yield done

    def _logits(self, pairs: Sequence[tuple[Ids, int]]) -> npt.NDArray[np.float32]:
        """Logits of each pair, (pairs, classes)."""
        batch = {name: torch.from_numpy(table) for name, table in self._pairs.batch(pairs).items()}
        try:
            found = self._model(**{name: table.to(self.machine.device) for name, table in batch.items()}).logits
            logits: npt.NDArray[np.float32] = found.float().cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise TeacherError(memory_sentence(self.teacher, self.machine.device)) from None
        return logits

    def _scores(self, logits: npt.NDArray[np.float32], cut: bool) -> Scores:
        """logits: (labels, classes) of one text."""
        figures = {
            kind: dict(zip(self.labels, logits[:, place].tolist(), strict=True)) for kind, place in self._places.items()
        }
        return Scores(figures, cut, self._most)

    def _check(self, logits: npt.NDArray[np.float32], texts: Sequence[str]) -> None:
        broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
        if len(broken):
            raise TeacherError(
                f"teacher.model: {self.teacher.model} gives scores that are no numbers in {self.machine.precision}, "
                f"first for {texts[broken[0]][:60]!r}: set teacher.precision to fp32"
            )

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """No gradients; matrices in 16 bits where that is quick, the rest in 32. Entered once for many batches: the
        weights are cast once.
        """
        low = self.machine.precision != "fp32"
        with torch.inference_mode(), torch.autocast(self.machine.device, self.machine.dtype) if low else nullcontext():
            yield


def open_nli(recipe: Recipe, machine: Machine) -> NliModel:
    """The recipe's teacher. Raises TeacherError where it cannot be loaded or is no NLI model."""
    origin = find_origin(recipe)
    with quiet(), loading(origin):
        tokenizer: Any = AutoTokenizer.from_pretrained(origin.place, **origin.options())
        model, found = AutoModelForSequenceClassification.from_pretrained(
            origin.place, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **origin.options()
        )
    _check_whole(origin, tokenizer, found)
    return NliModel(recipe, model, tokenizer, machine)


def _check_whole(origin: Origin, tokenizer: Any, found: dict[str, Any]) -> None:
    if found["missing_keys"]:
        missing = sorted(found["missing_keys"])
        raise TeacherError(
            f"teacher.model: {origin.name} is no NLI model, or not whole: {len(missing)} of its weights are not in its "
            f"files ({missing[0]} ...)"
        )
    if tokenizer.pad_token_id is None:
        raise TeacherError(f"teacher.model: {origin.name} has no padding token: name an encoder taught to infer")


def label_places(label2id: dict[str, int] | None, multi_label: bool, name: str) -> dict[str, int]:
    """Where the logits of entailment, contradiction and neutral are, by the names that the model has for its classes.

    Raises TeacherError where there is no entailment, or no contradiction for several labels.
    """
    named = {str(label).strip().lower(): int(place) for label, place in (label2id or {}).items()}
    places = {}
    for kind, beginnings in (("entailment", ("entail",)), ("contradiction", _CONTRADICTION), ("neutral", ("neutral",))):
        found = next((place for label, place in named.items() if label.startswith(beginnings)), None)
        if found is not None:
            places[kind] = found
    needed = ("entailment", "contradiction") if multi_label else ("entailment",)
    absent = next((kind for kind in needed if kind not in places), None)
    if absent is not None:
        seen = ", ".join(label2id or {}) or "none"
        why = "" if absent == "entailment" else " (multi_label weighs it against entailment)"
        raise TeacherError(
            f"teacher.model: {name} has no class named {absent}{why}; its config.json names {seen}: name a model of "
            "natural language inference, or mend label2id and id2label in its config.json"
        )
    return places
