"""A generative student that answers: questions in, texts out."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from finetune.decoding import Decoding, batches, can_join, in_halves
from finetune.formats import Renderer
from finetune.response_losses import CHUNK, response_losses
from finetune.streaming import text_pieces
from recipes.errors import TrainingError
from recipes.rows import ResponseRow, Turn
from recipes.students import Answering, CausalStudent

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MEMORY = 1 << 30
"""Bytes for what a batch needs beside the model, where nobody can say how many are free."""

_ONE_ANSWER = "the device has no memory for one answer: lower answering.max_new_tokens or ask shorter questions"
_ONE_ROW = "the device has no memory to read one row: lower the student's max_length, or free the device"


@dataclass(frozen=True, slots=True)
class Question:
    """What a student is asked, and what was said before."""

    question: str
    history: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer.

    text: as generated, without the end token. reasoning, response, valid: what the format reads in it.
    stopped: whether it ended by itself; False where it was cut at max_new_tokens or at the model's last position.
    tokens: how many were generated, the end token included; 0 where the question alone is too long for the model.
    """

    text: str
    reasoning: str | None
    response: str
    valid: bool
    stopped: bool
    tokens: int


class GenerativeStudent:
    """A student of kind causal, or its base. `student` says its format and how it answers.

    stops: ids of the tokens that end an answer. positions: tokens of prompt and answer that the model takes. joins:
    whether batches that `begin` makes can be joined. device: where it computes (cpu, cuda, mps).
    Raises TrainingError where the tokenizer does not fit the format.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, student: CausalStudent) -> None:
        from finetune.step_attention import attend_in_steps

        self.renderer = Renderer(student, tokenizer)
        self.answering = student.answering
        self._model: Any = cast(Any, model).eval()
        attend_in_steps(model)
        self._tokens = len(tokenizer)
        config = getattr(model, "generation_config", None)
        self.stops = set(self.renderer.stops_with(getattr(config, "eos_token_id", None)))
        self.positions: int = getattr(model.config, "max_position_embeddings", None) or 1 << 30
        self.joins = can_join(model)
        self.device: str = model.device.type

    def answer(
        self, questions: Sequence[Question], answering: Answering | None = None, seed: int = 0
    ) -> list[Generated]:
        """Answers in the order of the questions. A question's answer depends on `seed` and not on its neighbours, but
        for the last bits of the model's sums.
        """
        answering = answering or self.answering
        prompts = [self.renderer.encode_prompt(one.question, one.history) for one in questions]
        answers: list[list[int]] = [[] for _ in prompts]
        short = [place for place, ids in enumerate(prompts) if len(ids) < self.positions]
        lengths = [len(prompts[place]) for place in short]

        def fill(places: list[int]) -> None:
            for place in places:
                answers[place] = []
            for row, token in self._generate([prompts[place] for place in places], answering, seed):
                answers[places[row]].append(token)

        for batch in batches(lengths, answering.max_new_tokens, self.cache_tokens()):
            in_halves([short[place] for place in batch], fill, _ONE_ANSWER)
        return [self._generated(ids) for ids in answers]

    def stream(
        self, question: Question, answering: Answering | None = None, seed: int = 0
    ) -> Generator[str, None, Generated]:
        """The generated text as it comes, in pieces of whole letters; together they are `text` of the same answer,
        which is the generator's value in the end.

        Raises TrainingError for a question that is too long for the model.
        """
        prompt = self.renderer.encode_prompt(question.question, question.history)
        if len(prompt) >= self.positions:
            raise TrainingError(
                f"the question has {len(prompt):,} tokens and the model takes {self.positions:,}: ask a shorter one"
            )
        said: list[int] = []

        def words() -> Iterator[int]:
            for _, token in self._generate([prompt], answering or self.answering, seed):
                said.append(token)
                if token not in self.stops:
                    yield token

        yield from text_pieces(words(), self.renderer.decode)
        return self._generated(said)

    def begin(self, prompt: list[int], answering: Answering, seed: int) -> Decoding:
        """A batch of one prompt; where `joins` it may join another of this student, whatever their settings."""
        return Decoding(self._model, [prompt], answering, self._tokens, seed)

    def losses(self, rows: Sequence[ResponseRow]) -> list[tuple[float, int]]:
        """For each row the summed negative log-likelihood (nats) of its response and the end token, given its question
        and reasoning; and how many tokens that is: 0 where the row is too long for the model.
        """
        encoded = [self.renderer.encode_response(row) for row in rows]
        found = [(0.0, 0)] * len(rows)
        short = [place for place, one in enumerate(encoded) if len(one.input_ids) <= self.positions]
        lengths = [len(encoded[place].input_ids) for place in short]

        def fill(places: list[int]) -> None:
            parts = [(encoded[place].input_ids, encoded[place].start) for place in places]
            for place, loss, (ids, start) in zip(places, response_losses(self._model, parts), parts, strict=True):
                found[place] = (loss, len(ids) - start)

        for batch in batches(lengths, 0, self._read_tokens()):
            in_halves([short[place] for place in batch], fill, _ONE_ROW)
        return found

    def _generate(self, prompts: list[list[int]], answering: Answering, seed: int) -> Iterator[tuple[int, int]]:
        """(row, token), a token of every row at a step, until each has ended; the tokens that end it included."""
        decoding = Decoding(self._model, prompts, answering, self._tokens, seed)
        room = [min(answering.max_new_tokens, self.positions - len(ids)) for ids in prompts]
        left = list(range(len(prompts)))
        for taken in range(1, answering.max_new_tokens + 1):
            tokens = decoding.step()
            yield from zip(left, tokens, strict=True)
            going = [place for place, row in enumerate(left) if tokens[place] not in self.stops and taken < room[row]]
            if not going:
                return
            if len(going) < len(left):
                decoding.keep(going)
                left = [left[place] for place in going]

    def _generated(self, ids: list[int]) -> Generated:
        stopped = bool(ids) and ids[-1] in self.stops
        text = self.renderer.decode(ids[:-1] if stopped else ids)
        parsed = self.renderer.parse(text)
        return Generated(text, parsed.reasoning, parsed.response, parsed.valid, stopped, len(ids))

    def cache_tokens(self) -> int:
        """Tokens whose keys and values there is memory for."""
        config: Any = self._model.config
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        each: int = 2 * config.num_hidden_layers * heads * width * self._model.dtype.itemsize
        return self._memory() // each

    def _read_tokens(self) -> int:
        """Tokens that there is memory to read at once: what a layer makes of each, and the logits of a chunk."""
        config: Any = self._model.config
        inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
        each: int = (8 * config.hidden_size + 3 * inner) * self._model.dtype.itemsize
        return max(1, (self._memory() - 12 * CHUNK * self._tokens) // each)

    def _memory(self) -> int:
        """Bytes that a batch may use: half of what is free, on the device or in what torch keeps of it."""
        import torch

        if self._model.device.type != "cuda":
            return MEMORY
        device = self._model.device
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return (int(torch.cuda.mem_get_info(device)[0]) + kept) // 2
