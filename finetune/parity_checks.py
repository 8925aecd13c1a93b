"""The student against each of its exports, one model in memory at a time; what was compared before is not again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from finetune.adapter_base import weights_print
from finetune.adapters import ADAPTER_FILE
from finetune.base_weights import find_base_folder, open_base, read_config
from finetune.gguf_read import unpack_gguf
from finetune.lora_files import CONFIG
from finetune.parity import Answers, Parity, answer, compare, read_parity, write_parity
from finetune.parity_models import adapter_bytes, lacking, load_adapter, load_gguf, load_merged, merged_bytes
from finetune.tokenizer_files import open_tokenizer
from recipes.console import say
from recipes.errors import TrainingError
from recipes.runs import digest, file_digest

NEW_TOKENS = 16

Figures = dict[str, Parity | str]
"""By the exports' names: what was found, or the sentence that says why nothing was."""


def check_exports(
    base: str | Path,
    adapter: Path,
    merged: Path,
    files: Sequence[Path],
    texts: Sequence[str],
    quantised: bool = True,
    revision: str | None = None,
    *,
    trained_in: str | None = None,
    double_quant: bool = True,
    new_tokens: int = NEW_TOKENS,
) -> Figures:
    """Compare the merged folder and the GGUF files made of it with the adapter on its base.

    base, adapter, quantised, trained_in, double_quant: as merge_adapter was given them. texts: prompts as the student
    sees them. All is computed in float32 on the CPU, so that what is seen is the difference of the weights alone.
    Where memory is short, exports are read from the disk layer by layer, a GGUF file through a copy in float16, and
    compared on the first text alone, with no greedy tokens; where there is not enough for the base in 4 bits, a
    sentence stands for the figures. Writes parity.json beside them.
    """
    tokenizer = open_tokenizer(merged)
    prompts = [list(tokenizer(text).input_ids) for text in texts]
    folder = find_base_folder(base, revision)
    source = open_base(folder, read_config(folder), quantised, double_quant, trained_in)
    student = [
        file_digest(adapter / ADAPTER_FILE), file_digest(adapter / CONFIG), weights_print(folder), quantised,
        double_quant, str(source.dtype),
    ]  # fmt: skip

    def original() -> Answers | str:
        return lacking(adapter_bytes(source)) or answer(load_adapter(source, adapter), prompts, new_tokens)

    return _check(student, original, merged, (merged, *files), prompts, new_tokens)


def check_files(
    model: Path, files: Sequence[Path], prompts: Sequence[Sequence[int]], new_tokens: int = NEW_TOKENS
) -> Figures:
    """Compare GGUF files with the model folder that they were made of, in the same way."""

    def original() -> Answers | str:
        return lacking(merged_bytes(model)) or answer(load_merged(model), prompts, new_tokens)

    return _check([_contents(model)], original, model, files, prompts, new_tokens)


def _check(
    student: list[Any],
    original: Callable[[], Answers | str],
    merged: Path,
    exports: Sequence[Path],
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
) -> Figures:
    """student: what the original depends on. original: asked only where there is something to compare with it."""
    config = file_digest(merged / "config.json")
    compared = {one: digest([student, config, _contents(one), prompts, new_tokens]) for one in exports}
    known = {one: read_parity(one, compared[one]) for one in exports}
    if not lacking(merged_bytes(merged)):  # what was measured in part, where memory was short, can now be in full
        known = {one: found if found and found.new_tokens == new_tokens else None for one, found in known.items()}
    left = [one for one in exports if known[one] is None]
    figures: Figures = {}
    said: Answers | str = ""
    if left:
        say(
            f"comparing {', '.join(one.name for one in left)} with the student on the CPU, in float32; for billions of "
            "parameters that takes long, and --no-parity leaves it out"
        )
        said = original()
    for one in exports:
        found: Parity | str | None = known[one]
        if found is None:
            found = said if isinstance(said, str) else _figures(one, merged, said, prompts, new_tokens)
            write_parity(one, found, compared[one])
        figures[one.name] = found
    return figures


def _contents(export: Path) -> str:
    """sha256 of a GGUF file, or of the weights and the config in a folder."""
    if export.is_file():
        return file_digest(export)
    paths = [*sorted(export.glob("*.safetensors")), export / "config.json"]
    return digest({path.name: file_digest(path) for path in paths})


def _figures(
    export: Path, merged: Path, original: Answers, prompts: Sequence[Sequence[int]], new_tokens: int
) -> Parity | str:
    if not lacking(merged_bytes(merged)):
        model = load_merged(export) if export.is_dir() else load_gguf(export, merged)
        return compare(original, answer(model, prompts, new_tokens))
    # Windows deletes no file that is mapped, and the model may live until the next is asked for
    with tempfile.TemporaryDirectory(dir=export.parent, ignore_cleanup_errors=True) as scratch:
        try:
            folder = export if export.is_dir() else unpack_gguf(export, merged, Path(scratch) / "weights")
        except TrainingError as error:
            return f"not measured: {error}"
        # each token reads all the layers from the disk again: one text is minutes, greedy tokens would be hours
        model = load_merged(folder, Path(scratch))
        return compare(Answers(original.logits[:1], ((),)), answer(model, prompts[:1], 0))
