"""What a run will do and cost, said before it does: rows, calls, tokens, dollars, stages, training steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from recipes import keys
from recipes.console import is_terminal, may_spend, say
from recipes.errors import TeacherError
from recipes.estimate import CallSize, Cost, call_size, cost_of, count_asked
from recipes.pending import StagePlan, TrainingPlan, stage_plans, training_plans
from recipes.prompts import Prompt, load_prompt
from recipes.rows import Split
from recipes.runs import RunFolder
from recipes.schema import TEACHERLESS, Recipe
from recipes.spent import Spent, read_spent
from recipes.stages import rows_inputs


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it.

    rows: per split, before duplicates are dropped; None for a Hub data set whose size is not known yet.
    calls: replies the rows need. replies: those in the journal, of this teacher. left: still to be asked (re-asks not
    counted). size: None where nobody is asked.
    """

    recipe: Recipe
    rows: dict[Split, int] | None
    calls: int | None
    replies: int
    left: int | None
    size: CallSize | None
    cost: Cost
    stages: list[StagePlan]
    training: list[TrainingPlan]
    kept: int | None = None
    """Rows of the dataset on disk, if that is up to date."""
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The plan in plain text, aligned."""
        recipe, teacher = self.recipe, self.recipe.teacher
        where = teacher.address() if teacher.provider == "endpoint" else teacher.provider
        shown = [
            ("recipe", f"{recipe.name}: {', '.join((recipe.task, *recipe.labels))}"),
            ("teacher", f"{teacher.model} ({where})" if self.size is not None else "none: nobody is asked"),
            ("rows", self._rows_line()),
            ("calls", self._calls_line()),
            ("tokens", self._tokens_line()),
            ("cost", self._cost_line()),
        ]
        shown += [("" if place else "stages", stage.line()) for place, stage in enumerate(self.stages)]
        shown += [("" if place else "training", one.line()) for place, one in enumerate(self.training)]
        shown += [("note", note) for note in self.notes]
        return [f"{name:<9} {text}".rstrip() for name, text in shown]

    def _rows_line(self) -> str:
        where = self.recipe.source.hub or self.recipe.source.path
        if self.rows is None and self.kept is not None:
            return f"{self.kept:,} on disk, from {where}"
        if self.rows is None:
            return f"not known until {where} is here (source.train and source.test would say)"
        parts = ", ".join(f"{count:,} {split}" for split, count in self.rows.items() if count)
        if self.kept is not None:
            return f"{self.kept:,} on disk, of {sum(self.rows.values()):,} ({parts}) from {where}"
        return f"up to {sum(self.rows.values()):,} ({parts}) from {where}"

    def _calls_line(self) -> str:
        votes = self.recipe.synthesis.votes
        if self.size is None:
            return "none: the rows come from the source alone"
        if self.recipe.teacher.provider == "recorded":
            return "none: the replies are recorded"
        each = f" ({votes} votes a row)" if votes > 1 else ""
        if self.calls is None:
            return f"one for every row{each}, {self.replies:,} replies on disk"
        return f"{self.calls:,}{each}, {self.replies:,} replies on disk, {self.left:,} to ask"

    def _tokens_line(self) -> str:
        size = self.size
        if size is None or self.recipe.teacher.provider == "recorded":
            return "none"
        how = "measured in this run folder" if size.measured else "estimated at 4 bytes a token"
        each = f"{size.prompt:,.0f} in (of them {size.shared:,.0f} the same in every call), {size.completion:,.0f} out"
        if not self.left:
            return f"a call {each}; {how}"
        usage = size.usage(self.left, cached=False)
        return f"about {usage.prompt:,} in, {usage.completion:,} out; a call {each}; {how}"

    def _cost_line(self) -> str:
        teacher, budget = self.recipe.teacher, self.recipe.synthesis.budget_usd
        if teacher.provider in ("recorded", "none"):
            return "nothing"
        if not teacher.is_paid():
            return "no price is named for this teacher"
        cap = _cap(budget)
        if self.cost.expected is None or self.cost.at_most is None:
            return f"not known before the data set is here; {cap}"
        worst = f", {self.cost.at_most:.2f} at most" if budget is None or self.cost.at_most < budget else ""
        spent = f"{self.cost.spent:.2f} USD spent; " if self.cost.spent else ""
        return f"{spent}about {self.cost.expected:.2f} USD{worst}; {cap}"


def make_plan(recipe: Recipe, run: RunFolder) -> Plan:
    """Look at the recipe, its source and its run folder; nothing is asked, downloaded or written.

    Raises SourceError where the source cannot be read, RecipeError where the prompt cannot.
    """
    stages = stage_plans(recipe, run)
    rows = count_asked(recipe)
    rows_done = not stages[0].reasons
    training = training_plans(recipe, run, None if rows is None else rows["train"], rows_done)
    manifest = run.manifest("rows") if rows_done else None
    kept = None if manifest is None else manifest.facts.get("kept")
    if recipe.task in TEACHERLESS:
        return Plan(recipe, rows, 0, 0, 0, None, Cost(0.0, 0.0, 0.0), stages, training, kept)
    prompt = load_prompt(recipe)
    spent = read_spent(run.journal, recipe.teacher.model)
    useful = spent if _same_requests(recipe, run) else Spent()
    calls = None if rows is None else sum(rows.values()) * recipe.synthesis.votes
    nothing_left = rows_done or recipe.teacher.provider == "recorded"
    left = 0 if nothing_left else None if calls is None else max(calls - useful.replies, 0)
    size = call_size(recipe, prompt, useful)
    cost = cost_of(recipe, size, spent, left)
    plan = Plan(recipe, rows, calls, useful.replies, left, size, cost, stages, training, kept)
    plan.notes.extend(_notes(plan, prompt))
    if useful is not spent and spent.replies and left:
        plan.notes.append(f"{spent.replies:,} replies on disk are to another prompt or setting and do not count")
    return plan


def _same_requests(recipe: Recipe, run: RunFolder) -> bool:
    """Whether the replies on disk answer what would be asked now, as far as the last finished rows stage shows."""
    manifest, inputs = run.manifest("rows"), rows_inputs(recipe)
    return manifest is None or all(manifest.inputs.get(name) == inputs[name] for name in ("prompt file", "teacher"))


def _notes(plan: Plan, prompt: Prompt) -> list[str]:
    """What the user may want to know before it costs something."""
    recipe, budget = plan.recipe, plan.recipe.synthesis.budget_usd
    notes = []
    told = " ".join([*(message.content for message in prompt.static), *prompt.pieces]).casefold()
    unnamed = [label for label in recipe.labels if label.casefold() not in told]
    if unnamed:
        notes.append(f"the prompt never names {', '.join(unnamed)}: a teacher may not use a label it was not told of")
    if recipe.task == "reasoning":
        notes += _reasoning_notes(recipe, prompt, told)
    if budget is not None and plan.cost.expected and plan.cost.expected > budget - plan.cost.spent:
        share = max(budget - plan.cost.spent, 0) / plan.cost.expected
        notes.append(f"budget_usd ends after about {share:.0%} of the calls left: raise it, or lower source.train")
    variable = recipe.teacher.key_variable()
    if plan.left != 0 and variable is not None and keys.read_key(variable) is None:
        notes.append(f"{variable} is not set: put it into the environment or a .env file")
    return notes


def _reasoning_notes(recipe: Recipe, prompt: Prompt, told: str) -> Iterator[str]:
    keys_untold = [key for key in prompt.answer.key_names() if key.casefold() not in told]
    if keys_untold:
        yield f"the prompt never names the key {', '.join(keys_untold)}: a teacher may not know what to write"
    unseen = [name for name in recipe.source.fields or () if name not in prompt.placeholders]
    if unseen:
        yield f"the prompt never shows {', '.join(unseen)}: its answers are checked against it all the same"


def _cap(budget: float | None) -> str:
    if budget is None:
        return "there is no cap (budget_usd is not named)"
    return f"never above {budget:{'.2f' if budget >= 0.01 else 'g'}} USD in this run folder (budget_usd)"


def confirm_spend(recipe: Recipe, run: RunFolder, yes: bool) -> None:
    """Before the first paid call of a run folder: show the plan, and in a terminal ask once.

    Raises TeacherError where the answer is no. Without a terminal, or with `yes`, it goes on within budget_usd.
    """
    teacher = recipe.teacher
    if teacher.provider == "recorded" or not teacher.is_paid():
        return
    cap = _cap(recipe.synthesis.budget_usd)
    if yes or read_spent(run.journal, teacher.model).replies:
        say(f"teacher: {teacher.model} is paid; {cap}")
        return
    for line in make_plan(recipe, run).lines():
        say(line)
    if not is_terminal():
        say(f"teacher: no terminal to ask in, so it goes on; {cap}")
        return
    if not may_spend():
        raise TeacherError("stopped before the first call: nothing was asked or paid (--yes leaves the question out)")
