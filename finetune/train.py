"""The stage that makes a student: kind -> trainer, then student.json and the manifest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from finetune import ahead, processes
from finetune.causal_record import CausalRecord
from finetune.course import Saving
from finetune.hub import check_push
from finetune.record import StudentRecord, write_record
from finetune.seq2seq_record import Seq2seqRecord
from finetune.unsloth_backend import import_first
from recipes.console import say
from recipes.errors import RunError, TrainingError
from recipes.runs import Manifest, RunFolder
from recipes.schema import Recipe
from recipes.stages import rows_folder, rows_inputs, student_inputs

AnyRecord = StudentRecord | CausalRecord | Seq2seqRecord


def _classifier(recipe: Recipe, name: str, run: RunFolder, inputs: dict[str, str]) -> StudentRecord:
    from finetune.classifier_stage import train_classifiers

    return train_classifiers(recipe, name, run, inputs, Saving())


def _causal(recipe: Recipe, name: str, run: RunFolder, inputs: dict[str, str]) -> CausalRecord:
    from finetune.causal_stage import train_causals

    return train_causals(recipe, name, run, inputs, Saving())


def _seq2seq(recipe: Recipe, name: str, run: RunFolder, inputs: dict[str, str]) -> Seq2seqRecord:
    from finetune.seq2seq_stage import train_seq2seqs

    return train_seq2seqs(recipe, name, run, inputs, Saving())


TRAINERS: dict[str, Callable[[Recipe, str, RunFolder, dict[str, str]], AnyRecord]] = {
    "classifier": _classifier,
    "causal": _causal,
    "seq2seq": _seq2seq,
}


def train_student(recipe: Recipe, name: str, run: RunFolder) -> Manifest:
    """Bring a student (and the student it starts from) up to date and return its manifest.

    Raises TrainingError, and RunError where rows/ is not there.
    """
    return train_students(recipe, [name], run)[name]


def train_students(recipe: Recipe, names: Iterable[str], run: RunFolder) -> dict[str, Manifest]:
    """Bring several students up to date, each after the one it starts from."""
    done: dict[str, Manifest] = {}
    chain = with_bases(recipe, names)
    import_first(recipe, chain)
    ahead.check_rows(recipe, chain, run)
    for one in chain:
        done[one] = _bring_up_to_date(recipe, one, run)
    return done


def check_ahead(recipe: Recipe, names: Iterable[str], run: RunFolder) -> None:
    """Find before the teacher is paid what would stop these students afterwards: this machine, a base, a push.

    Raises TrainingError.
    """
    from recipes.memory_plan import memory_refusals

    chain = with_bases(recipe, names)
    left = [name for name in chain if not _is_trained(recipe, name, run)]
    check_push(recipe, chain, run)
    ahead.check_machine(recipe, left)
    asked = recipe.teacher.provider != "recorded" and bool(run.why_stale("rows", rows_inputs(recipe)))
    if asked or len(left) > 1:
        ahead.check_bases(recipe, left, run)
    refusals = memory_refusals(recipe, left) if asked else []
    if refusals:
        raise TrainingError("; ".join(refusals) + "; to try it all the same, name micro_batch and "
                            "gradient_checkpointing in the recipe")  # fmt: skip


def _is_trained(recipe: Recipe, name: str, run: RunFolder) -> bool:
    if run.manifest(f"student-{name}") is None:
        return False  # and a base of gigabytes is not read to say so
    return not run.why_stale(f"student-{name}", student_inputs(recipe, name, run))


def with_bases(recipe: Recipe, names: Iterable[str]) -> list[str]:
    """These students and those they start from, each once, in the order of their training."""
    return list(dict.fromkeys(one for name in names for one in lineage(recipe, name)))


def lineage(recipe: Recipe, name: str) -> list[str]:
    """The students to train for `name`, in order: its base's base, its base, itself. Raises TrainingError on a ring."""
    chain: list[str] = []
    one: str | None = name
    while one is not None:
        if one not in recipe.students:
            known = ", ".join(recipe.students)
            raise TrainingError(f"the recipe {recipe.name} has no student {one!r}; it has {known}")
        if one in chain:
            raise TrainingError(f"students.{one}: its base leads back to itself ({' <- '.join([one, *chain])})")
        chain.insert(0, one)
        one = recipe.base_student(one)
    return chain


def _bring_up_to_date(recipe: Recipe, name: str, run: RunFolder) -> Manifest:
    rows = rows_folder(recipe, name, run) / "train.jsonl"
    if not rows.exists():
        raise RunError(f"{rows} is missing: run python -m synth on the recipe first")
    stage, inputs = f"student-{name}", student_inputs(recipe, name, run)
    stale, manifest = processes.agree(lambda: (run.why_stale(stage, inputs), run.manifest(stage)))
    if not stale and manifest is not None:
        say(f"student {name}: up to date ({_score(manifest.facts)}, {run.student(name)})")
        return manifest
    say(f"student {name}: {'; '.join(stale)}")
    if processes.leads():
        run.begin(stage)
    record = TRAINERS[recipe.students[name].kind](recipe, name, run, inputs)
    manifest = processes.agree(lambda: _finish(run, record, stage, inputs))
    best = run.student(name, record.best_seed)
    say(f"student {name}: done, {_score(manifest.facts)}; best seed {record.best_seed} in {best}")
    return manifest


def _finish(run: RunFolder, record: AnyRecord, stage: str, inputs: dict[str, str]) -> Manifest:
    shutil.rmtree(run.student(record.name) / "checkpoints", ignore_errors=True)  # those of seeds no longer wanted too
    write_record(run.student(record.name) / "student.json", record)
    facts: dict[str, Any] = {
        "deviation": record.deviation, "best_seed": record.best_seed, "rows": record.rows,
        "seconds": record.seconds, "device": record.device,
    }  # fmt: skip
    if isinstance(record, CausalRecord):
        facts |= {"validation_loss": record.validation_loss, "perplexity": record.perplexity}
    elif isinstance(record, Seq2seqRecord):
        facts |= {"micro_f1": record.score, "validation_loss": record.validation_loss}
    else:
        facts |= {"validation_loss": record.validation_loss} if record.multi_label else {"macro_f1": record.macro_f1}
    return run.finish(stage, inputs, _outputs(run, record), facts)


def _outputs(run: RunFolder, record: AnyRecord) -> list[Path]:
    """What must still be there for the student to be up to date; not the cards, which eval and people write to."""
    inside = (path for seed in record.seeds for path in sorted(run.student(record.name, seed).iterdir()))
    return [run.student(record.name) / "student.json", *(path for path in inside if path.name != "README.md")]


def _score(facts: dict[str, Any]) -> str:
    """The validation score in words."""
    known = (("macro F1", "macro_f1"), ("micro F1", "micro_f1"), ("loss", "validation_loss"))
    name, score = next(((words, facts[key]) for words, key in known if facts.get(key) is not None), ("", None))
    if not isinstance(score, float):
        return "no validation rows"
    deviation = facts["deviation"]
    return f"validation {name} {score:.3f}" + (f" +- {deviation:.3f}" if isinstance(deviation, float) else "")
