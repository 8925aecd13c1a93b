"""A student as GGUF files, in a folder with what they are used by: Modelfile, card and parity.

students/<name>/gguf/    <recipe>-<name>-<kind>.gguf, Modelfile, README.md, parity.json
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from finetune.export_card import write_gguf_card
from finetune.export_folder import check_folder
from finetune.gguf_export import GgufFile, export_gguf
from finetune.gguf_tensors import Kind
from finetune.merged import check_adapted, merged_dtype, merged_folder, parity_rows, quarters, tell, write_card
from finetune.ollama import modelfile
from finetune.parity import forget_parity
from finetune.parity_checks import Figures, check_files
from finetune.taken import Taken
from finetune.turns_jinja import jinja_template
from recipes.console import say
from recipes.errors import TrainingError
from recipes.rows import ResponseRow
from recipes.runs import file_digest, write_atomic

MODELFILE = "Modelfile"
_NEXT = {"alpaca": ("### Instruction:",), "think": ("### Question:",), "chat": ()}
"""What a format would go on with after an answer."""


def export_gguf_files(taken: Taken, kinds: Sequence[Kind], out: Path | None, measure: bool) -> list[Path]:
    """Write a GGUF file of each kind, and a Modelfile for the first; return the files. measure: compare each with the
    student. Raises TrainingError for what GGUF or Ollama cannot be told, and for a folder of something else.
    """
    folder = out or taken.home / "gguf"
    text = _modelfile(taken, f"{taken.title}-{kinds[0]}.gguf")
    if out is not None:
        check_folder(out, ours=_is_ours(out, taken))
    rows = parity_rows(taken) if measure else []
    write_atomic(folder / MODELFILE, text.encode())  # the folder is known as ours from the start
    merged = merged_folder(taken, None, taken.home / "merged") if taken.adapted else taken.folder
    made = [_export(taken, merged, folder, kind) for kind in kinds]
    files = [one.path for one in made]
    others = [folder / f"{taken.title}-{kind}.gguf" for kind in get_args(Kind) if kind not in kinds]
    older = [path for path in others if path.is_file()]
    figures: Figures = {}
    if measure:
        figures = check_adapted(taken, merged, files, rows) if taken.adapted else _check_whole(taken, files, rows)
        tell(figures, merged_dtype(merged))
    if taken.adapted and (out is None or not (merged / "README.md").exists()):
        write_card(taken, merged)
    write_gguf_card(taken, folder, made, older, {file.name: figures[file.name] for file in files if figures})
    for path in older:
        say(f"{path.name}: of an earlier export, and not made anew: name its kind in --quantize too, or delete it")
    say(f"student {taken.name}: {', '.join(path.name for path in files)} and a Modelfile are in {folder}")
    say(f"to use it: cd {shlex.quote(str(folder))} && ollama create {taken.title} -f Modelfile")
    return files


def _export(taken: Taken, merged: Path, folder: Path, kind: Kind) -> GgufFile:
    path = folder / f"{taken.title}-{kind}.gguf"
    before = file_digest(path)
    made = export_gguf(
        merged, path, kind, name=taken.title,
        chat_template=None if taken.record.format == "chat" else jinja_template(taken.turns),
        starts_with_bos=taken.starts_with_bos(), end_of_turn=taken.renderer.stops[0],
        progress=quarters(f"writing {path.name}"),
    )  # fmt: skip
    if file_digest(path) != before:
        forget_parity(path)
    for note in made.notes:
        say(f"{path.name}: {note}")
    return made


def _check_whole(taken: Taken, files: Sequence[Path], rows: Sequence[ResponseRow]) -> Figures:
    """Each file against the whole model that it was made of."""
    prompts = [taken.renderer.encode_prompt(row.question, row.history) for row in rows]
    return check_files(taken.folder, files, prompts)


def _is_ours(folder: Path, taken: Taken) -> bool:
    """Whether an export of this student was begun in this folder before."""
    try:
        return f"FROM ./{taken.title}-" in (folder / MODELFILE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def _modelfile(taken: Taken, name: str) -> str:
    """The Modelfile, once it is sure that it asks as the student was trained."""
    question, system = "Which one?", taken.system
    messages = [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": question}]
    if taken.turns.render(messages) != taken.prompt(question).removeprefix(taken.bos):
        raise TrainingError(f"students.{taken.name}: its chat template cannot be told to Ollama as it was trained")
    stops = [*taken.renderer.stop_texts, *_NEXT[taken.record.format]]
    how = taken.record.answering
    return modelfile(
        name, taken.turns, stops, temperature=how.temperature, top_p=how.top_p, max_length=taken.record.max_length,
        system=system,
    )  # fmt: skip
