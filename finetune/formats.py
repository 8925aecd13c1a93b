"""Formats: how a row becomes a text, for training and for answering; alpaca, think or the tokenizer's chat template.

Held as properties for tokenizers like Llama-3's, DeepSeek-R1's and Qwen's: the training prefix is the generation
prompt; the completion reads back as the row; all of it is under the loss and nothing else is; it ends with the token
that ends an answer; there is one BOS at most.

White space around a content is no part of it. Words of a row that spell a special token stay words: see
rendering_tokens.py for tokens, and `hide_tags` in rendering.py for a `</think>` that stands inside reasoning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finetune.rendering import (
    CLOSE,
    OPEN,
    REASONING,
    RESPONSE,
    Frame,
    Piece,
    alpaca_frame,
    fill,
    hide_first,
    hide_tags,
    hole,
    show_first,
    show_tags,
    think_frame,
)
from finetune.rendering_chat import chat_frame
from finetune.rendering_tokens import Codec
from recipes.errors import TrainingError
from recipes.rows import ResponseRow, Turn
from recipes.students import CausalStudent

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Rendered:
    """One row as text.

    prompt: all up to the first token that is generated, BOS and generation prompt included.
    completion: all that is under the loss: reasoning, response, and the text of the end token.
    """

    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row as tokens: input_ids[start:] is the completion, the end token last; labels are -100 before it."""

    input_ids: list[int]
    start: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """A generated text read back. valid: it has the form that the format asks for, such as a closed <think>."""

    reasoning: str | None
    response: str
    valid: bool


class Renderer:
    """Rows to text and tokens, and answers back.

    stops: ids of the tokens that end an answer, that which training teaches first. end: the text of that one. opened:
    the prompt ends with `<think>`, so that what is generated begins with the reasoning.
    Raises TrainingError for a tokenizer without an EOS, or without a chat template where the format is that.
    """

    def __init__(self, student: CausalStudent, tokenizer: PreTrainedTokenizerBase) -> None:
        self._student, self._tokenizer = student, tokenizer
        self._codec = Codec(tokenizer)
        self._frames: dict[tuple[tuple[str, ...], bool], Frame] = {}
        plain = self._frame(("system", "user") if student.instruction else ("user",), False)
        self.end = plain.end
        self.opened = plain.opened
        last = self._codec.encode([Piece(plain.end, True)], goes_on=True)[-1]
        eos = tokenizer.eos_token_id
        self.stops: tuple[int, ...] = (last,) if eos is None or eos == last else (last, int(eos))

    @property
    def stop_texts(self) -> tuple[str, ...]:
        """The texts of `stops`."""
        return tuple(self._codec.decode([stop]) for stop in self.stops)

    def stops_with(self, known: int | Sequence[int] | None) -> list[int]:
        """`stops`, then the ids that the model ended an answer with before: `eos_token_id` of a generation config."""
        before = [known] if isinstance(known, int) else known or []
        return list(dict.fromkeys([*self.stops, *before]))

    def render(self, row: ResponseRow) -> Rendered:
        """A row as text. Raises TrainingError for a conversation that the format has no place for."""
        prompt, completion = self._pieces(row)
        return Rendered("".join(piece.text for piece in prompt), "".join(piece.text for piece in completion))

    def encode(self, row: ResponseRow) -> Encoded:
        """A row as tokens, whatever its length. Prompt and completion are tokenised apart, so that the training prefix
        is the generation prompt. Raises TrainingError as `render`.
        """
        prompt, completion = self._pieces(row)
        ids = self._codec.encode(prompt)
        return Encoded(ids + self._codec.encode(completion, goes_on=True), len(ids))

    def encode_response(self, row: ResponseRow) -> Encoded:
        """As `encode`, with `start` at the response: what counts when a student's answers are scored."""
        frame, contents = self._fillings(row)
        before = self._codec.encode(fill(frame.completion.partition(hole(RESPONSE))[0], contents), goes_on=True)
        encoded = self.encode(row)
        completion = encoded.input_ids[encoded.start :]
        same = next((n for n, (one, other) in enumerate(zip(before, completion, strict=False)) if one != other), None)
        return Encoded(encoded.input_ids, encoded.start + (len(before) if same is None else same))

    def encode_prompt(self, question: str, history: Sequence[Turn] = ()) -> list[int]:
        """The tokens that an answer to `question` is generated after."""
        roles, contents = self._turns(question, history)
        return self._codec.encode(fill(self._frame(roles, False).prompt, contents))

    def around_question(self) -> tuple[str, str]:
        """The prompt before and after a question that nothing was said before."""
        roles, contents = self._turns(hole("question"), ())
        before, _, after = "".join(piece.text for piece in fill(self._frame(roles, False).prompt, contents)).partition(
            hole("question")
        )
        return before, after

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated tokens, up to the first that ends an answer."""
        length = next((place for place, one in enumerate(ids) if one in self.stops), len(ids))
        return self._codec.decode(ids[:length])

    def parse(self, text: str) -> Parsed:
        """What a generated text says, its end token taken off."""
        body = text.strip()
        if self._student.format == "alpaca":
            return Parsed(None, body, bool(body))
        if not self.opened and not body.startswith(OPEN):
            return Parsed(None, show_first(body), bool(body))
        thought, closed, response = body.removeprefix(OPEN).partition(CLOSE)
        return Parsed(show_tags(thought.strip()) or None, response.strip(), bool(closed and response.strip()))

    def _pieces(self, row: ResponseRow) -> tuple[list[Piece], list[Piece]]:
        frame, contents = self._fillings(row)
        return fill(frame.prompt, contents), fill(frame.completion, contents)

    def _fillings(self, row: ResponseRow) -> tuple[Frame, dict[str, str]]:
        """The frame of a row, and what goes into its holes."""
        roles, contents = self._turns(row.question, row.history)
        thought, response = (row.reasoning or "").strip(), row.response.strip()
        frame = self._frame(roles, bool(thought))
        if self._student.format != "alpaca":
            thought, response = hide_tags(thought), hide_first(response) if frame.bare else response
        return frame, contents | {REASONING: thought, RESPONSE: response}

    def _turns(self, question: str, history: Sequence[Turn]) -> tuple[tuple[str, ...], dict[str, str]]:
        """Roles of a conversation, and what is said by number; the instruction is its system message if it has none."""
        turns = [(turn.role, turn.content) for turn in history]
        if self._student.instruction and not (turns and turns[0][0] == "system"):
            turns.insert(0, ("system", self._student.instruction))
        turns.append(("user", question))
        return tuple(role for role, _ in turns), {str(place): said.strip() for place, (_, said) in enumerate(turns)}

    def _frame(self, roles: tuple[str, ...], reasoned: bool) -> Frame:
        if (roles, reasoned) not in self._frames:
            self._frames[roles, reasoned] = self._make_frame(roles, reasoned)
        return self._frames[roles, reasoned]

    def _make_frame(self, roles: tuple[str, ...], reasoned: bool) -> Frame:
        form = self._student.format
        if form == "chat":
            return chat_frame(self._tokenizer, self._codec.marks, roles, reasoned)
        end = self._tokenizer.eos_token
        if end is None:
            raise TrainingError(
                f"the tokenizer of {self._student.base} has no EOS token, and a student of it would never learn to "
                "stop: use another base"
            )
        make = alpaca_frame if form == "alpaca" else think_frame
        frame = make(roles, _bos(self._tokenizer), str(end))
        if frame is None:
            raise TrainingError(f"format: {form} has no place for a conversation {' - '.join(roles)}: use format: chat")
        return frame


def _bos(tokenizer: PreTrainedTokenizerBase) -> str:
    """Text of the token that the tokenizer begins every text with; empty for one that does not."""
    ids = tokenizer("x")["input_ids"]
    return str(tokenizer.bos_token) if tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id else ""
