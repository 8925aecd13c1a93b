"""The house rules that a program can hold: who may import whom, what may not be imported, how long a thing may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["recipes", "synth", "finetune", "rag", "eval"]
FILES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
HEAVY = {f"synth/{name}.py" for name in ("zero_shot", "embedding", "machine", "processes", "silence")}
"""Files of synth that may import torch and its kin: a local teacher, and what it shares with finetune."""
ONLY_IN = {
    "langchain_fireworks": {"synth/fireworks.py"},
    "chromadb": {"rag/vectors.py"},
    "openai": {"finetune/hosted.py"},
}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_one_way(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    layer = LAYERS.index(name.split("/")[0])
    found = set(imports(ast.parse(path.read_text(encoding="utf-8"))))
    upward = {other for other in found if other in LAYERS and LAYERS.index(other) > layer}
    assert not upward, f"{name} imports {upward}: the flow is {' <- '.join(LAYERS)}"
    for library, homes in ONLY_IN.items():
        assert library not in found or name in homes, f"{name} imports {library}, which belongs to {homes}"
    if layer <= LAYERS.index("synth") and name not in HEAVY:
        heavy = found & {"torch", "transformers", "accelerate", "sklearn"}
        assert not heavy, f"{name} imports {heavy}: recipes and synth must run without torch"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 300, f"{path} is over 300 lines: it holds more than one idea"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 60, f"{path}:{node.lineno} {node.name} is {length} lines long"


@pytest.mark.parametrize("layer", ["recipes", "synth", "finetune", "rag", "eval"])
def test_help_imports_nothing_heavy(layer: str) -> None:
    program = (
        "import runpy, sys\n"
        f"sys.argv = ['{layer}', '--help']\n"
        f"try: runpy.run_module('{layer}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'transformers', 'datasets', 'sklearn', 'aiohttp', 'rich', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
