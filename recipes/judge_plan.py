"""What a recipe's judge will be asked and cost: every pair of answers to every question, in both orders."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from recipes.costs import Cost, Terms, asked_before, cost_line, cost_of
from recipes.estimate import SAMPLED, UNKNOWN_TEXT, call_size, first_rows
from recipes.evaluation import Judge
from recipes.evaluation_checks import BASE_OF, has_base, reference_name
from recipes.judge_prompt import judge_prompt_path, read_judge_prompt
from recipes.pending import Stages
from recipes.rows import ResponseRow, count_rows, read_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.spent import read_spent
from recipes.students import CausalStudent

KEY = "evaluation.judge.budget_usd"
ORDERS = 2
"""Each pair is shown twice, with the answers in either order."""
_NO_FACTS = "(none are given)"
_UNKNOWN_ANSWER = "x" * 600
"""Stands for an answer that nobody has written yet: a hundred words."""


@dataclass(frozen=True, slots=True)
class JudgePlan:
    """pairs: of models whose answers are compared. questions: None while the number of test rows is not known.

    left: verdicts to be asked for (re-asks not counted). before: what is to be said of judges asked before this one.
    """

    judge: Judge
    pairs: int
    questions: int | None
    left: int | None
    cost: Cost
    before: list[str]

    def line(self) -> str:
        judge = self.judge
        asked = f"{judge.model} ({judge.where()}): "
        pairs = f"{self.pairs:,} pair{'s' if self.pairs > 1 else ''}"
        if self.questions is None:
            asked += f"{pairs} x {ORDERS} orders for every question"
        else:
            verdicts = self.pairs * self.questions * ORDERS
            asked += f"{pairs} x {self.questions:,} questions x {ORDERS} orders = {verdicts:,} verdicts"
            asked += f", {self.left:,} to ask" if judge.provider != "recorded" else ""
        if judge.provider == "recorded":
            return f"{asked}, as recorded"
        return f"{asked}; {cost_line(self.cost, judge.budget_usd, KEY, self.left)}" if judge.is_paid() else asked


def plan_judge(recipe: Recipe, run: RunFolder, expected: int | None, stages: Stages) -> JudgePlan | None:
    """What judging will take; None where nobody judges or nobody can be compared. Answers are taken to be as long as
    those of the rows.

    expected: test rows, None while they are not known.
    """
    judge, pairs = recipe.evaluation.judge, _pairs(recipe)
    test = count_rows(run.rows / "test.jsonl") if stages.rows_done else expected
    if judge is None or not pairs or test == 0:
        return None
    questions = None if test is None else min(test, recipe.evaluation.questions)
    spent = read_spent(run.path / "judge" / "journal.jsonl", judge.model)
    left = None if questions is None else pairs * questions * ORDERS
    if stages.reported or judge.provider == "recorded":
        left = 0
    elif stages.trained and left is not None:  # the answers are those that the verdicts on record are of
        left = max(left - spent.replies, 0)
    prompt = read_judge_prompt(judge_prompt_path(judge, recipe.resolve("")))
    size = call_size(prompt, _shown(recipe, run, stages.rows_done), spent, judge.max_tokens)
    terms = Terms(judge.price, judge.max_tokens, judge.reask, judge.budget_usd)
    before = asked_before(spent, judge.model, judge.budget_usd, KEY)
    return JudgePlan(judge, pairs, questions, left, cost_of(terms, size, spent, left), before)


def _pairs(recipe: Recipe) -> int:
    """Pairs of models that the judge compares: each student with the teacher, and with its base."""
    judge, named = recipe.evaluation.judge, recipe.evaluation.models
    if judge is None:
        return 0

    def there(model: str) -> bool:
        return named is None or model in named

    def others(name: str, student: CausalStudent) -> list[bool]:
        teacher = "teacher" in judge.against and there(reference_name(recipe.task))
        base = "base" in judge.against and has_base(student) and there(f"{BASE_OF}{name}")
        return [teacher, base]

    students = [(name, student) for name, student in recipe.students.items() if isinstance(student, CausalStudent)]
    same = [(name, student) for name, student in students if recipe.task == "description" or student.rows == "task"]
    return sum(sum(others(name, student)) for name, student in same if there(name))


def _shown(recipe: Recipe, run: RunFolder, on_disk: bool) -> list[dict[str, str]]:
    """What the judge's prompt will hold: of the rows on disk or else of the source, as far as either is known."""
    if on_disk:
        rows = islice(read_rows(run.rows / "test.jsonl", ResponseRow), SAMPLED)
        return [_prompted(recipe, row.question, row.fields, row.response) for row in rows]
    asked, said = {"description": ("title", "description"), "chat": ("question", "response")}.get(recipe.task, ("", ""))
    return [
        _prompted(recipe, fields.get(asked) or UNKNOWN_TEXT, fields, fields.get(said) or _UNKNOWN_ANSWER)
        for fields in [*first_rows(recipe)] or [{}]
    ]


def _prompted(recipe: Recipe, question: str, fields: dict[str, str], answer: str) -> dict[str, str]:
    facts = "\n".join(f"{name}: {value}" for name, value in fields.items()) if recipe.task == "reasoning" else _NO_FACTS
    return {"question": question, "facts": facts, "answer_a": answer, "answer_b": answer}
