"""One seed of a trained generative student, as it was trained: what merging and exporting start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.adapters import ADAPTER_FILE, student_tokenizer
from finetune.causal_record import CausalRecord, read_any_record
from finetune.formats import Renderer
from finetune.record import StudentRecord
from finetune.silence import quiet
from finetune.student import as_trained
from finetune.turns import Turns, chat_turns, question_turns
from recipes.errors import TrainingError
from recipes.rows import ResponseRow
from recipes.runs import RunFolder
from recipes.schema import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Taken:
    """A student of a run. `renderer` is of its own tokenizer; `bos` what that begins every text with, as text."""

    recipe: Recipe
    run: RunFolder
    record: CausalRecord
    seed: int
    renderer: Renderer
    turns: Turns
    bos: str

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def title(self) -> str:
        """The recipe and the student in it: what an export is called."""
        return f"{self.recipe.name}-{self.name}"

    @property
    def home(self) -> Path:
        return self.run.student(self.name)

    @property
    def folder(self) -> Path:
        return self.run.student(self.name, self.seed)

    @property
    def adapted(self) -> bool:
        """Whether it is an adapter on a base, and not a whole model."""
        return (self.folder / ADAPTER_FILE).exists()

    @property
    def system(self) -> str | None:
        """The system message of its training; None where the format puts the instruction into the prompt by itself."""
        return self.record.instruction if self.turns.system is not None else None

    def prompt(self, question: str) -> str:
        """What it was trained to answer after, BOS included."""
        row = ResponseRow(id="", split="test", group="", question=question, response="")
        return self.renderer.render(row).prompt

    def starts_with_bos(self) -> bool:
        """Whether its prompts began with a BOS in training: a file that says otherwise adds one, or lacks it."""
        return bool(self.bos) and self.prompt("Which one?").startswith(self.bos)


def take(recipe: Recipe, run: RunFolder, name: str, seed: int | None = None) -> Taken:
    """A trained generative student, the best of its seeds where none is named. Raises TrainingError."""
    record = read_any_record(run, name)
    if not isinstance(record, CausalRecord):
        whole = run.student(name, record.best_seed)
        kind = "a classifier" if isinstance(record, StudentRecord) else "an encoder with a decoder"
        raise TrainingError(f"students.{name} is {kind}: {whole} is a whole model, which transformers opens as it is")
    chosen = record.best_seed if seed is None else seed
    if chosen not in record.seeds:
        known = ", ".join(str(one) for one in record.seeds)
        raise TrainingError(f"the student {name} has no seed {chosen}; it was trained with {known}")
    folder, student = run.student(name, chosen), as_trained(record)
    with quiet():
        tokenizer = student_tokenizer(folder)
    renderer, bos = Renderer(student, tokenizer), str(tokenizer.bos_token or "")
    return Taken(recipe, run, record, chosen, renderer, turns_of(student.format, renderer, tokenizer), bos)


def turns_of(form: str, renderer: Renderer, tokenizer: PreTrainedTokenizerBase) -> Turns:
    """The text around each turn of a conversation. Raises TrainingError where a chat template is more than that."""
    bos = str(tokenizer.bos_token or "")
    return (
        chat_turns(tokenizer, bos) if form == "chat" else question_turns(*renderer.around_question(), renderer.end, bos)
    )
