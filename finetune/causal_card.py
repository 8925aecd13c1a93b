"""README.md of a generative student: what it is, what it learnt from, how its loss went, how to use it."""

from __future__ import annotations

import yaml

from finetune.bases import Base
from finetune.card_settings import settings
from finetune.causal_record import CausalRecord, CausalSeed
from finetune.causal_watch import perplexity
from recipes.counts import counted
from recipes.schema import Recipe


def causal_card(recipe: Recipe, record: CausalRecord, base: Base, seed: CausalSeed) -> str:
    """The model card of one seed of a generative student, with the metadata the Hub reads."""
    adapter = record.lora is not None
    head: dict[str, object] = {
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["tutelage", "distillation", *(["lora"] if adapter else [])],
    }
    if base.hub is not None:
        head["base_model"] = base.hub
        head["base_model_relation"] = "adapter" if adapter else "finetune"
    lines = [
        "---", yaml.safe_dump(head, sort_keys=False).strip(), "---", "",
        f"# {recipe.name}: {record.name}", "",
        *([recipe.about, ""] if recipe.about else []),
        origin(record), "",
        "## Data", "", *_data(recipe, record), "",
        "## Training", "", *_training(record, seed), "",
        "## Validation", "", *_validation(record, seed), "",
        "## Use", "", *_use(recipe, record), "",
    ]  # fmt: skip
    return "\n".join(lines)


def origin(record: CausalRecord) -> str:
    """What the model is, in a sentence."""
    made = "An adapter for" if record.lora is not None else "A model made from"
    return f"{made} `{record.base}`, made by Tutelage."


def _data(recipe: Recipe, record: CausalRecord) -> list[str]:
    source = recipe.source.hub or recipe.source.path
    rejected = sum(record.rejected.values())
    student = recipe.causal(record.name)
    written = "responses are the source's own"
    if recipe.teacher.provider != "none" and student.rows == "task":
        written = f"responses written by the teacher `{recipe.teacher.model}`"
    return [
        f"- source: `{source}`; {written}",
        f"- {counted(record.rows['train'], 'row')} to train on, {record.rows['validation']:,} to choose the "
        f"checkpoint; {rejected:,} longer than {record.max_length} tokens were left out",
    ]


def _training(record: CausalRecord, seed: CausalSeed) -> list[str]:
    quantised = "base in 4 bits (NF4)" if record.quantization == "nf4" else "base not quantised"
    lora = "all weights"
    if record.lora is not None:
        lora = f"LoRA of rank {record.lora.rank}, alpha {record.lora.alpha:g}, on {', '.join(record.lora.targets)}"
    return [
        f"- {lora}; {quantised}; format {record.format}",
        f"- seed {seed.seed}, {seed.steps:,} steps, {seed.seconds:,.0f} s on {record.device}, "
        f"{'packed' if seed.packed else 'grouped by length'}, loss on the completion alone",
        f"- {settings(record.hyperparameters)}",
    ]


def _validation(record: CausalRecord, seed: CausalSeed) -> list[str]:
    if seed.validation_loss is None:
        return ["No validation rows: these are the weights after the last step."]
    lines = [
        f"On {record.rows['validation']:,} validation rows, which also chose step {seed.best_step:,} of "
        f"{seed.steps:,}: loss {seed.validation_loss:.3f} nats per completion token, perplexity "
        f"{perplexity(seed.validation_loss):,.2f}.",
    ]
    if record.deviation is not None:
        lines.append(
            f"Over {len(record.seeds)} seeds: loss {record.validation_loss:.3f}, deviation {record.deviation:.3f}."
        )
    return [*lines, "Scores on held-out test rows are in the run's report."]


def _use(recipe: Recipe, record: CausalRecord) -> list[str]:
    student = f" --student {record.name}" if len(recipe.students) > 1 else ""
    merged = ", and `--to safetensors` one model of adapter and base" if record.lora is not None else ""
    return [
        f'`python -m finetune ask recipe.yaml{student} "..."` asks it; the prompt must be the one it was trained '
        f"with (format {record.format}), which that command takes care of. For other programs, "
        f"`python -m finetune export recipe.yaml{student}` writes GGUF files{merged}.",
    ]
