"""What a judge is told: a prompt file that shows a question, facts and two answers, and asks for a, b or tie."""

from __future__ import annotations

from pathlib import Path

from recipes.errors import RecipeError
from recipes.evaluation import Judge
from recipes.prompts import SHIPPED, Prompt, is_prompt_file, read_prompt
from recipes.section import beside

VERDICTS = ("a", "b", "tie")
FIELDS = ("question", "facts", "answer_a", "answer_b")
"""What the prompt may name; all but the facts must be named."""


def judge_prompt_path(judge: Judge, folder: Path) -> Path:
    """The file of the judge's prompt; `folder` is the recipe's."""
    return beside(folder, judge.prompt) if is_prompt_file(judge.prompt) else SHIPPED / f"{judge.prompt}.yaml"


def read_judge_prompt(path: Path) -> Prompt:
    """The judge's prompt. Raises RecipeError where it does not show the question and both answers."""
    prompt = read_prompt(path, "judge", VERDICTS, FIELDS)
    unseen = [f"{{{name}}}" for name in FIELDS if name != "facts" and name not in prompt.placeholders]
    if unseen:
        raise RecipeError([f"{path}: user: {', '.join(unseen)} is missing: the judge would never see it"])
    return prompt
