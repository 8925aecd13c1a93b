"""What the README promises: its file tree is the tree, its commands are the ones CI runs, docs/cli.md is --help."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def tracked() -> set[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return {name for name in done.stdout.split("\n") if name and (ROOT / name).exists()}


def tree() -> dict[str, str]:
    """path -> phrase, from the README's tree (two spaces an indent, `name   phrase`)."""
    block = re.search(r"<!-- tree -->\n```\n(.*?)```", README, re.S)
    assert block, "the README has no file tree"
    found: dict[str, str] = {}
    folders: list[str] = []
    for line in block[1].splitlines():
        indent = (len(line) - len(line.lstrip())) // 2
        name, _, phrase = line.strip().partition(" ")
        folders[indent:] = [name.rstrip("/")] if name.endswith("/") else []
        path = "/".join([*folders[:indent], name.rstrip("/")])
        found[path] = phrase.strip()
    return found


def test_every_file_of_the_packages_is_in_the_tree() -> None:
    names = {name for name in tracked() if re.match(r"(recipes|synth|finetune|rag|eval|bench)/.*\.(py|yaml|j2)$", name)}
    names = {name for name in names if not name.endswith("__init__.py")}
    told = tree()
    assert sorted(names - set(told)) == []


def test_everything_in_the_tree_is_there_and_has_a_phrase() -> None:
    for path, phrase in tree().items():
        assert (ROOT / path).exists(), f"the README's tree names {path}, which is not there"
        assert phrase, f"the README's tree says nothing of {path}"


def test_ci_runs_the_readmes_two_lines() -> None:
    commands = dict(re.findall(r"<!-- command: (\w+) -->\n```bash\n(.*?)\n```", README, re.S))
    assert commands == {
        "quickstart": "pip install -e . && python -m finetune recipes/quickstart.yaml",
        "test": 'pip install -e ".[test]" && python -m pytest',
    }
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert 'eval "$(command quickstart)"' in script
    assert 'eval "$(command test)"' in script


COMMANDS = [
    "recipes",
    "synth",
    "finetune",
    "eval",
    *(f"finetune {name}" for name in ("preview", "ask", "merge", "export")),
    "rag",
    *(f"rag {name}" for name in ("index", "search", "chat", "serve")),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_documented_help_is_the_help(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True, env={**__import__("os").environ, "COLUMNS": "100"},
    )  # fmt: skip
    documented = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    if sys.version_info[:2] == (3, 11):  # argparse words its help differently from version to version
        assert done.stdout.strip() in documented, f"docs/cli.md is out of date for python -m {command}"
    assert f"python -m {command}" in documented


def test_a_key_that_may_be_left_out_is_not_required() -> None:
    from recipes.reference import reference

    assert "\n- `metadata` (dict[FieldName, str], not set): " in reference()


def test_every_key_of_a_recipe_is_documented() -> None:
    from recipes.reference import reference

    page = reference()
    assert (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8") == page, "run `make cli-docs`"
    assert re.findall(r"^- `.*: *$", page, re.M) == [], "a key without a meaning"
