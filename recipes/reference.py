"""Every key of a recipe with its type, default and meaning, read out of schema.py itself, as Markdown."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SECTIONS = {
    "Recipe": "A recipe",
    "Source": "source",
    "Teacher": "teacher",
    "LocalTeacher": "teacher, provider: zero_shot or embedding",
    "Price": "teacher.price",
    "Synthesis": "synthesis",
    "ClassifierStudent": "students.<name>, kind: classifier",
    "CausalStudent": "students.<name>, kind: causal",
    "Lora": "lora of a causal student",
    "Scratch": "scratch of a causal student",
    "Answering": "answering of a causal student",
    "Seq2seqStudent": "students.<name>, kind: seq2seq",
    "T5Scratch": "scratch of a seq2seq student",
    "Dataset": "datasets.<name>",
    "Filters": "filters",
    "Evaluation": "evaluation",
    "Judge": "evaluation.judge",
    "RetrievalEvaluation": "evaluation.retrieval",
    "Retrieval": "retrieval",
    "Catalogue": "retrieval.catalogue",
    "Embedding": "retrieval.embedding",
    "Assistant": "assistant",
    "Backend": "assistant.endpoint",
    "PromptFile": "A prompt file",
    "FewShot": "examples of a prompt file",
    "AnswerFormat": "answer of a prompt file",
}

_FILES = (
    "schema.py", "source.py", "teachers.py", "local_teacher.py", "students.py", "seq2seq_student.py", "evaluation.py",
    "retrieval.py", "assistant.py", "chat.py", "prompts.py",
)  # fmt: skip


def reference() -> str:
    """The page that `python -m recipes keys` prints and docs/recipe.md holds."""
    folder = Path(__file__).parent
    trees = [ast.parse((folder / name).read_text(encoding="utf-8")) for name in _FILES]
    classes = {node.name: node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}
    parts = ["# The keys of a recipe\n"]
    for name, title in SECTIONS.items():
        about = (ast.get_docstring(classes[name]) or "").split("\n\n")[0]
        parts.append(f"\n## {title}\n\n{about}\n")
        parts += [f"- `{key}` ({shape}): {' '.join(meaning.split())}" for key, shape, meaning in _fields(classes[name])]
    return "\n".join(parts) + "\n"


def _fields(section: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    """Key, `type, default` and meaning of each field; the meaning is the text that follows it."""
    for field, after in zip(section.body, [*section.body[1:], ast.Pass()], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.target.id[0] != "_":
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            yield field.target.id, f"{_type(field.annotation)}, {_default(field.value)}", str(text)


def _type(annotation: ast.expr) -> str:
    text = ast.unparse(annotation).replace("'", "").replace("Literal[", "one of [")
    return text.replace(" | None", "").replace("tuple[", "list of [").replace(", ...", "").replace("Seed", "int")


def _default(value: ast.expr | None) -> str:
    """`required`, or the default as it is written."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "Field":
        given = {part.arg: part.value for part in value.keywords}
        if "default_factory" in given:
            return "not set"
        value = given.get("default") if given else value
    if value is None:
        return "required"
    text = ast.unparse(value)
    return "not set" if text in ("None", "''", "NO_SOURCE", "{}") else f"default {text}"
