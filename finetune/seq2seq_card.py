"""README.md of a seq2seq student: what it reads and writes, what it learnt from, how it did in validation, its use."""

from __future__ import annotations

import json

import yaml

from finetune.bases import Base
from finetune.card_settings import settings
from finetune.seq2seq_record import Seq2seqRecord, Seq2seqSeed
from recipes.counts import counted
from recipes.schema import Recipe

_FORMS = {
    "analysis": "the opinions in it, as `target | aspect | sentiment | reasoning ; ...`",
    "rewrite": "the same in the first person, feelings made explicit",
    "atsa": "its terms, as `term | polarity ; ...`",
    "acsa": "its aspects, as `category polarity ; ...`",
}


def seq2seq_card(recipe: Recipe, record: Seq2seqRecord, base: Base, seed: Seq2seqSeed) -> str:
    """The model card of one seed of a student, with the metadata the Hub reads."""
    head: dict[str, object] = {
        "library_name": "transformers",
        "tags": ["tutelage", "distillation", "text2text-generation"],
    }
    if base.hub is not None:
        head |= {"base_model": base.hub, "base_model_relation": "finetune"}
    lines = [
        "---", yaml.safe_dump(head, sort_keys=False).strip(), "---", "",
        f"# {recipe.name}: {record.name}", "",
        *([recipe.about, ""] if recipe.about else []),
        f"Reads a text and writes another. Made from `{record.base}` by Tutelage.", "",
        *(f"- after `{words}`: {_FORMS[target]}" for target, words in record.prefixes.items()), "",
        "## Data", "", *_data(recipe, record), "",
        "## Training", "",
        f"- seed {seed.seed}, {seed.steps:,} steps, {seed.seconds:,.0f} s on {record.device}",
        f"- {settings(record.hyperparameters)}", "",
        "## Validation", "", *_validation(record, seed), "",
        "## Use", "", *_use(recipe, record), "",
    ]  # fmt: skip
    return "\n".join(lines)


def _data(recipe: Recipe, record: Seq2seqRecord) -> list[str]:
    origin = recipe.source if record.data is None else recipe.datasets[record.data].source
    written = "gold tuples of the source"
    if record.task == "understanding":
        asked = recipe.teacher.provider != "none"
        written = (
            f"analyses and rewrites by `{recipe.teacher.model}`" if asked else "analyses and rewrites of the source"
        )
    share = f"; a share of {record.share:g} of its training rows" if record.share < 1 else ""
    lines = [
        f"- source: `{origin.hub or origin.path}`; {written}{share}",
        f"- {counted(record.rows['train'], 'text')} to write, {record.rows['validation']:,} to choose the epoch; "
        f"{sum(record.rejected.values()):,} longer than {record.max_target_length} tokens were left out",
        f"- texts cut at {record.max_length} tokens: {record.truncated:,}",
    ]
    if record.skipped:
        lines.append("- not used: " + ", ".join(f"{count:,} rows with {why}" for why, count in record.skipped.items()))
    return lines


def _validation(record: Seq2seqRecord, seed: Seq2seqSeed) -> list[str]:
    if seed.score is None and seed.validation_loss is None:
        return ["No validation rows: these are the weights after the last epoch."]
    figures = [f"micro F1 {seed.score:.3f}"] if seed.score is not None else []
    figures += [f"loss {seed.validation_loss:.3f} nats per token"] if seed.validation_loss is not None else []
    lines = [f"On the validation rows, which also chose epoch {seed.best_epoch}: {', '.join(figures)}."]
    name, mean = ("micro F1", record.score) if record.score is not None else ("loss", record.validation_loss)
    if record.deviation is not None and mean is not None:
        lines.append(f"Over {len(record.seeds)} seeds: {name} {mean:.3f}, deviation {record.deviation:.3f}.")
    return [*lines, "Scores on held-out test rows are in the run's report."]


def _use(recipe: Recipe, record: Seq2seqRecord) -> list[str]:
    target = record.targets[0]
    student = f" --student {record.name}" if len(recipe.students) > 1 else ""
    return [
        f'`python -m finetune ask recipe.yaml{student} "..."`, or, with the prefix before the text, and line breaks as '
        "`[NL]` where the tokenizer has that token:", "",
        "```python", "from transformers import AutoModelForSeq2SeqLM, AutoTokenizer", "",
        'folder = "path/to/this/folder"',
        "tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder)",
        f'asked = tokenizer({json.dumps(record.prefixes[target])} + "...", truncation=True, return_tensors="pt")',
        "print(tokenizer.decode(model.generate(**asked)[0], skip_special_tokens=True))", "```",
    ]  # fmt: skip
