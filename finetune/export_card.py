"""README.md of an export: the student's own card, with how this copy is opened and how near it is to the student.

What it learnt from, its recipe and its scores stay as they are on the student's card; the metadata is the copy's own.
The Hub's relations are adapter, finetune, merge (of several models) and quantized: a base with a student's adapter
merged into it is a finetune of the base.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from finetune.bases import Base
from finetune.causal_card import causal_card, origin
from finetune.causal_record import read_causal_record
from finetune.gguf_export import GgufFile
from finetune.parity import Parity
from finetune.parity_words import parity_sentence
from finetune.taken import Taken
from recipes.runs import write_atomic

_USE = re.compile(r"^## Use\n.*?(?=^## |^<!-- |\Z)", re.MULTILINE | re.DOTALL)


def write_merged_card(taken: Taken, folder: Path, dtype: str, figures: Parity | str | None) -> None:
    """The card of a merged model in its folder."""
    base = _hub_base(taken)
    head: dict[str, Any] = {"library_name": "transformers"}
    if base is not None:
        head |= {"base_model": base, "base_model_relation": "finetune"}
    made = (
        f"One model, made by Tutelage: the adapter of `{taken.title}` merged into its base `{taken.record.base}`, in "
        f"{dtype}."
    )
    _write(taken, folder, head, [], made, [*_transformers(taken), *_parity({"": figures})])


def write_gguf_card(
    taken: Taken, folder: Path, files: Sequence[GgufFile], older: Sequence[Path], figures: dict[str, Parity | str]
) -> None:
    """The card of a folder of GGUF files; the first is the one that its Modelfile names. older: what an earlier export
    has left there.
    """
    base, pushed = _hub_base(taken), taken.recipe.students[taken.name].push_to_hub
    head: dict[str, Any] = {"library_name": "gguf"}
    if pushed is not None and taken.run.manifest(f"push-{taken.name}") is not None:
        head |= {"base_model": pushed, "base_model_relation": "quantized"}
    elif base is not None:  # "quantized" would say that these are the base's weights
        head |= {"base_model": base, "base_model_relation": "finetune"}
    made = f"`{taken.title}` as GGUF, for llama.cpp and Ollama; made by Tutelage."
    use = [
        *(f"- `{file.path.name}`: {_size(file.bytes)}" for file in files),
        *(f"- `{path.name}`: {_size(path.stat().st_size)}, of an earlier export" for path in older), "",
        "```sh", f"ollama create {taken.title} -f Modelfile", f'ollama run {taken.title} "..."', "```", "",
        "The Modelfile says how a question is put, where an answer ends, and how the student was sampled when it was "
        "scored. llama.cpp reads the first two from the file itself:", "",
        "```sh", f"llama-server -m {files[0].path.name} --jinja", "```", "",
    ]  # fmt: skip
    head |= {"eval_results": None, "model_name": None}  # they are of the student, and a packed copy is another
    _write(taken, folder, head, ["gguf", "llama.cpp", "ollama"], made, [*use, *_parity(dict(figures))])


def _write(taken: Taken, folder: Path, head: dict[str, Any], tags: list[str], made: str, use: list[str]) -> None:
    try:
        own = (taken.folder / "README.md").read_text(encoding="utf-8")
        card = as_export(own, taken, head, tags, made, use)
    except (OSError, ValueError, yaml.YAMLError):  # it is gone, or its head is no YAML any more
        base, seed = Base(taken.record.base, "", None, None), taken.record.seeds[taken.seed]
        card = as_export(causal_card(taken.recipe, taken.record, base, seed), taken, head, tags, made, use)
    write_atomic(folder / "README.md", card.encode())


def as_export(text: str, taken: Taken, head: dict[str, Any], tags: list[str], made: str, use: list[str]) -> str:
    """A student's card as that of a copy. Raises ValueError or YAMLError for a broken head."""
    from huggingface_hub import ModelCard

    card = ModelCard(text)
    data: Any = card.data
    for name in ("base_model", "base_model_relation"):
        setattr(data, name, None)
    for name, value in head.items():
        setattr(data, name, value)
    data.tags = [tag for tag in data.tags or [] if tag != "lora"] + tags
    body = card.text.replace(origin(taken.record), made, 1)
    before, after = body, ""
    found = _USE.search(body)
    if found is not None:
        before, after = body[: found.start()], body[found.end() :]
    section = "\n".join(["## Use", "", *use])
    card.text = "\n\n".join(part.strip() for part in (before, section, after) if part.strip()) + "\n"
    return str(card)


def _transformers(taken: Taken) -> list[str]:
    told = [{"role": "system", "content": taken.system}] if taken.system else []
    messages = ", ".join(
        f'{{"role": "{one["role"]}", "content": {json.dumps(one["content"], ensure_ascii=False)}}}'
        for one in [*told, {"role": "user", "content": "..."}]
    )
    return [
        "```python", "from transformers import pipeline", "",
        'ask = pipeline("text-generation", model="path/to/this/folder")',
        f"answer = ask([{messages}], return_full_text=False)",
        'print(answer[0]["generated_text"])', "```", "",
        "The folder's chat template puts a question as in training, and its generation_config.json says where an "
        "answer ends and how the student was sampled when it was scored: transformers and vLLM "
        "(`vllm serve path/to/this/folder`) read both.", "",
    ]  # fmt: skip


def _parity(figures: dict[str, Parity | str | None]) -> list[str]:
    """How near each copy is; nothing where nothing was measured."""
    found = {name: one for name, one in figures.items() if one is not None}
    if not found:
        return []
    lines = [f"- {f'`{name}`: ' if name else ''}{parity_sentence(one)}" for name, one in found.items()]
    told = (
        "Against the student itself, on the prompts of some of its rows, in float32; all scores are the student's own:"
    )
    return ["## Parity", "", told, "", *lines]


def _hub_base(taken: Taken) -> str | None:
    """The model on the Hub that the student was trained on, through the students between; None where there is none."""
    record = taken.record
    while record.base.startswith("students."):
        record = read_causal_record(taken.run, record.base.removeprefix("students."))
    local = record.base == "scratch" or taken.recipe.resolve(record.base).is_dir()
    return None if local else record.base


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"
