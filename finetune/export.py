"""A trained student to take away: a merged model, or GGUF files with a Modelfile; and how far each is from it.

students/<name>/merged/    the model as safetensors, with tokenizer, card, and the settings to answer with
students/<name>/gguf/      <recipe>-<name>-<kind>.gguf and Modelfile
parity.json in both        logits and greedy tokens of each against the adapter on its base
"""

from __future__ import annotations

import io
import json
import shlex
import shutil
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.adapters import ADAPTER_FILE, read_base
from finetune.bases import Base
from finetune.causal_lessons import training_rows
from finetune.causal_model import load_causal_tokenizer
from finetune.causal_record import CausalRecord, read_causal_record
from finetune.formats import Renderer, open_renderer
from finetune.gguf_export import export_gguf
from finetune.gguf_tensors import Kind
from finetune.merge import Dtype, merge_adapter
from finetune.ollama import modelfile
from finetune.parity import Parity, answer, compare, write_parity
from finetune.parity_models import NEW_TOKENS, check_exports, load_gguf, load_merged
from finetune.silence import quiet
from finetune.student import as_trained
from finetune.turns import Turns, chat_turns, question_turns
from finetune.turns_jinja import jinja_template
from recipes.console import say
from recipes.errors import TrainingError
from recipes.rows import ResponseRow
from recipes.runs import RunFolder, digest, file_digest, write_atomic
from recipes.schema import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SOURCE_FILE = "merged.json"
PARITY_TEXTS = 4
_NEXT = {"alpaca": ("### Instruction:",), "think": ("### Question:",), "chat": ()}
"""What a format would go on with after an answer."""
DRIFT = 0.02
"""Most that the logits of a 16-bit copy may be off, as a share of the largest, before it is said to be another model:
bfloat16 was seen to move them by 1.6%."""


@dataclass(frozen=True)
class Taken:
    """One seed of a student, as it was trained. `renderer` is of its own tokenizer; `bos` what a prompt begins with."""

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
    def folder(self) -> Path:
        return self.run.student(self.name, self.seed)

    @property
    def adapted(self) -> bool:
        """Whether it is an adapter on a base, and not a whole model."""
        return (self.folder / ADAPTER_FILE).exists()


def take(recipe: Recipe, run: RunFolder, name: str, seed: int | None = None) -> Taken:
    """A trained generative student, the best of its seeds where none is named. Raises TrainingError."""
    if recipe.students[name].kind != "causal":
        raise TrainingError(f"students.{name} is a classifier: its folder in {run.student(name)} is a whole model")
    record = read_causal_record(run, name)
    chosen = record.best_seed if seed is None else seed
    if chosen not in record.seeds:
        known = ", ".join(str(one) for one in record.seeds)
        raise TrainingError(f"the student {name} has no seed {chosen}; it was trained with {known}")
    folder, student = run.student(name, chosen), as_trained(record)
    with quiet():
        tokenizer = load_causal_tokenizer(Base(f"of the student in {folder}", str(folder), None, None))
    renderer, bos = open_renderer(student, tokenizer), str(tokenizer.bos_token or "")
    return Taken(recipe, run, record, chosen, renderer, turns_of(student.format, renderer, tokenizer), bos)


def turns_of(form: str, renderer: Renderer, tokenizer: PreTrainedTokenizerBase) -> Turns:
    """The text around each turn of a conversation. Raises TrainingError where a chat template is more than that."""
    bos = str(tokenizer.bos_token or "")
    return (
        chat_turns(tokenizer, bos) if form == "chat" else question_turns(*renderer.around_question(), renderer.end, bos)
    )


def merge_student(taken: Taken, dtype: Dtype, out: Path | None, measure: bool) -> Path:
    """Merge the adapter into its base and return the folder. What is there already of the same adapter and dtype stays.

    measure: compare the result with the adapter. Raises TrainingError for a student that has no adapter.
    """
    if not taken.adapted:
        raise TrainingError(f"the student {taken.name} has no adapter: {taken.folder} is the whole model")
    folder = _merged(taken, dtype, out or taken.run.student(taken.name) / "merged")
    if measure:
        _tell(_measure(taken, folder, []))
    say(f"student {taken.name}: the merged model is in {folder}")
    return folder


def export_gguf_files(taken: Taken, kinds: Sequence[Kind], out: Path | None, measure: bool) -> list[Path]:
    """Write a GGUF file of each kind, and a Modelfile for the first; return the files."""
    home = taken.run.student(taken.name)
    merged = _merged(taken, "float16", home / "merged") if taken.adapted else taken.folder
    folder, stem = out or home / "gguf", f"{taken.recipe.name}-{taken.name}"
    template = None if taken.record.format == "chat" else jinja_template(taken.turns)
    files = []
    for kind in kinds:
        path = folder / f"{stem}-{kind}.gguf"
        made = export_gguf(
            merged, path, kind, name=stem, chat_template=template, starts_with_bos=starts_with_bos(taken),
            progress=_progress(f"writing {path.name}"),
        )  # fmt: skip
        for note in made.notes:
            say(f"{path.name}: {note}")
        files.append(path)
    write_atomic(folder / "Modelfile", _modelfile(taken, files[0].name).encode())
    if measure:
        _tell(_measure(taken, merged, files))
    say(f"student {taken.name}: {', '.join(path.name for path in files)} and a Modelfile are in {folder}")
    say(f"to use it: cd {shlex.quote(str(folder))} && ollama create {stem} -f Modelfile")
    return files


def starts_with_bos(taken: Taken) -> bool:
    """Whether the student's prompts began with a BOS in training: a file that says otherwise adds one, or lacks it."""
    row = ResponseRow(id="", split="test", group="", question="Which one?", response="")
    return bool(taken.bos) and taken.renderer.render(row).prompt.startswith(taken.bos)


def _merged(taken: Taken, dtype: Dtype, out: Path) -> Path:
    """The merged model in `out`, made anew only where that is of something else."""
    record, base = read_base(taken.folder)
    adapter = file_digest(taken.folder / ADAPTER_FILE)
    source = digest([adapter, record.model_dump(), dtype])
    if (out / "config.json").exists() and _read(out / SOURCE_FILE).get("source") == source:
        say(f"student {taken.name}: merged before, {out}")
        return out
    (out / SOURCE_FILE).unlink(missing_ok=True)
    merge_adapter(
        base.place, taken.folder, out, dtype, record.quantization == "nf4", base.revision,
        trained_in=record.dtype, progress=_progress(f"merging into {out}"),
    )  # fmt: skip
    _say_how_to_answer(taken, out)
    card = taken.run.student(taken.name) / "README.md"
    if card.exists():
        shutil.copyfile(card, out / "README.md")
    write_atomic(out / SOURCE_FILE, json.dumps({"source": source, "dtype": dtype}).encode())
    return out


def _say_how_to_answer(taken: Taken, out: Path) -> None:
    """Tell whoever opens the folder where answers end, and how a question is put: the template of another format than
    the tokenizer's own would ask the student what it never saw.
    """
    place = out / "generation_config.json"
    answering = taken.record.answering
    how: dict[str, object] = {"do_sample": answering.temperature > 0}
    if answering.temperature > 0:
        how |= {"temperature": answering.temperature, "top_p": answering.top_p, "top_k": 0}  # transformers' own: 50
    known = _read(place) | {"eos_token_id": list(taken.renderer.stops), "max_new_tokens": answering.max_new_tokens}
    for name in ("temperature", "top_p", "top_k", "_from_model_config"):
        known.pop(name, None)
    write_atomic(place, json.dumps(known | how, indent=2).encode())
    if taken.record.format != "chat":
        write_atomic(out / "chat_template.jinja", jinja_template(taken.turns).encode())


def _modelfile(taken: Taken, name: str) -> str:
    """The Modelfile, once it is sure that it asks as the student was trained."""
    row = ResponseRow(id="", split="test", group="", question="Which one?", response="")
    system = taken.record.instruction if taken.turns.system is not None else None
    messages = [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": row.question}]
    if taken.turns.render(messages) != taken.renderer.render(row).prompt.removeprefix(taken.bos):
        raise TrainingError(f"students.{taken.name}: its chat template cannot be told to Ollama as it was trained")
    stops = [*taken.renderer.stop_texts, *_NEXT[taken.record.format]]
    how = taken.record.answering
    return modelfile(
        name, taken.turns, stops, temperature=how.temperature, top_p=how.top_p, max_length=taken.record.max_length,
        system=system,
    )  # fmt: skip


def _measure(taken: Taken, merged: Path, files: Sequence[Path]) -> dict[str, Parity | str]:
    """Each copy against the student itself, on the prompts of some rows; written to parity.json beside it."""
    copies = len(files) + taken.adapted
    say(
        f"student {taken.name}: comparing {copies} {'copies' if copies > 1 else 'copy'} with it on the CPU, in "
        "float32; for billions of parameters that takes long, and --no-parity leaves it out"
    )
    with redirect_stderr(io.StringIO()):  # transformers draws a bar for each GGUF file, which no setting of it stops
        return _measured(taken, merged, files)


def _measured(taken: Taken, merged: Path, files: Sequence[Path]) -> dict[str, Parity | str]:
    rows = training_rows(taken.recipe, taken.name, taken.run)[:PARITY_TEXTS]
    texts = [taken.renderer.render(row).prompt.removeprefix(taken.bos) for row in rows]
    if taken.adapted:
        record, base = read_base(taken.folder)
        return check_exports(
            base.place, taken.folder, merged, files, texts, record.quantization == "nf4", base.revision,
            trained_in=record.dtype,
        )  # fmt: skip
    prompts = [taken.renderer.encode_prompt(row.question, row.history) for row in rows]
    original = answer(load_merged(merged), prompts, NEW_TOKENS)
    found: dict[str, Parity | str] = {}
    for file in files:
        found[file.name] = compare(original, answer(load_gguf(file, merged), prompts, NEW_TOKENS))
        write_parity(file, found[file.name])
    return found


def _tell(figures: dict[str, Parity | str]) -> None:
    for name, one in figures.items():
        if isinstance(one, str):
            say(f"{name}: parity {one}")
            continue
        said = (
            f", {one.same_tokens:.0%} of {one.new_tokens * one.texts} greedy tokens the same" if one.new_tokens else ""
        )
        say(f"{name}: logits within {one.relative:.2%} of the student's largest{said}")
        if one.relative > DRIFT and not name.endswith(("q8_0.gguf", "q4_0.gguf")):
            say(f"{name}: that is more than 16 bits explain: do not use it, and please report it")


def _progress(title: str) -> Callable[[int, int], None]:
    """Says each quarter of a long work."""

    def tell(done: int, total: int) -> None:
        if total >= 100 and done * 4 // total > (done - 1) * 4 // total:
            say(f"{title}: {done * 4 // total * 25}%")

    return tell


def _read(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
