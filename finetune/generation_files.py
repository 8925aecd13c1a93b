"""What a model folder tells those who open it with transformers or vLLM: where answers end, and how it is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from finetune.taken import Taken
from finetune.turns_jinja import jinja_template
from recipes.runs import write_atomic

NAME = "generation_config.json"


def write_generation_files(taken: Taken, out: Path) -> None:
    """generation_config.json, and chat_template.jinja where the format is not the tokenizer's own: by another one the
    student would be asked what it never saw.
    """
    answering, place = taken.record.answering, out / NAME
    how: dict[str, object] = {"do_sample": answering.temperature > 0}
    if answering.temperature > 0:
        how |= {"temperature": answering.temperature, "top_p": answering.top_p, "top_k": 0}  # transformers' own: 50
    known: dict[str, Any] = json.loads(place.read_bytes()) if place.exists() else {}
    stops = taken.renderer.stops_with(known.get("eos_token_id"))
    for name in ("temperature", "top_p", "top_k", "_from_model_config"):
        known.pop(name, None)
    known |= {"eos_token_id": stops, "max_new_tokens": answering.max_new_tokens} | how
    write_atomic(place, json.dumps(known, indent=2).encode())
    if taken.record.format != "chat":
        write_atomic(out / "chat_template.jinja", jinja_template(taken.turns).encode())
