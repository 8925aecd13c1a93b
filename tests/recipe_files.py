"""A small good recipe on disk, to be spoilt by tests."""

from __future__ import annotations

from pathlib import Path

GOOD = """\
name: small
task: classify
labels: [negative, neutral, positive]
source:
  path: texts.jsonl
  text: text
  label: label
teacher:
  provider: fireworks
  model: m
  price: {input: 1, output: 2}
synthesis:
  prompt: sentiment-word
  budget_usd: 5
students:
  tiny:
    kind: classifier
    base: minilm
"""
ROWS = "".join(f'{{"text": "text {n}", "label": "{("negative", "neutral", "positive")[n % 3]}"}}\n' for n in range(30))


def write_recipe(folder: Path, *changes: tuple[str, str], text: str = GOOD) -> Path:
    """The good recipe with each (old, new) replaced, and its source, in `folder`."""
    for old, new in changes:
        assert old in text, f"{old!r} is not in the recipe"
        text = text.replace(old, new)
    (folder / "texts.jsonl").write_text(ROWS, encoding="utf-8")
    path = folder / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return path
