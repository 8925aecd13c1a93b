"""The plan of a run as plain text: rows, calls, tokens, dollars, stages, training steps, judging."""

from __future__ import annotations

from dataclasses import dataclass, field

from recipes.alone import is_alone
from recipes.costs import Cost, cost_line
from recipes.estimate import CallSize
from recipes.index_plan import IndexPlan, answers_line
from recipes.judge_plan import JudgePlan
from recipes.local_teacher import LocalTeacher
from recipes.pending import StagePlan, TrainingPlan
from recipes.rows import Split
from recipes.schema import Recipe

KEY = "budget_usd"


@dataclass(frozen=True, slots=True)
class RunPlan:
    """All of it.

    rows: per split, before duplicates are dropped; None for a Hub data set whose size is not known yet.
    calls: replies the rows need, one a vote. answered: those of them in the journal, of this teacher. left: still to be
    asked (re-asks not counted). size: None where nobody is asked, or a model on this machine. kept: rows of the dataset
    on disk, if that is up to date. index: None where nothing is retrieved.
    """

    recipe: Recipe
    rows: dict[Split, int] | None
    stages: list[StagePlan]
    training: list[TrainingPlan]
    judge: JudgePlan | None
    kept: int | None = None
    calls: int | None = 0
    answered: int = 0
    left: int | None = 0
    size: CallSize | None = None
    cost: Cost = field(default_factory=Cost)
    index: IndexPlan | None = None
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The plan in plain text, aligned."""
        recipe = self.recipe
        shown = [("recipe", f"{recipe.name}: an assistant alone")] if is_alone(recipe) else self._rows_lines()
        shown += [("" if place else "stages", stage.line()) for place, stage in enumerate(self.stages)]
        shown += [("" if place else "training", one.line()) for place, one in enumerate(self.training)]
        shown += [("judge", self.judge.line())] if self.judge is not None else []
        shown += [("index", self.index.line())] if self.index is not None else []
        shown += [("assistant", answers_line(recipe, recipe.assistant))] if recipe.assistant is not None else []
        shown += [("note", note) for note in self.notes]
        return [f"{name:<9} {text}".rstrip() for name, text in shown]

    def _rows_lines(self) -> list[tuple[str, str]]:
        recipe, teacher = self.recipe, self.recipe.teacher
        return [
            ("recipe", f"{recipe.name}: {', '.join((recipe.task, *recipe.labels))}"),
            ("teacher", "none: nobody is asked" if self._asks_nobody else f"{teacher.model} ({teacher.where()})"),
            ("rows", self._rows_line()),
            ("calls", self._calls_line()),
            ("tokens", self._tokens_line()),
            ("cost", self._cost_line()),
        ]

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
        votes, twice = self.recipe.synthesis.votes, self.recipe.task == "understanding"
        if self._asks_nobody:
            return "none: the rows come from the source alone"
        if isinstance(self.recipe.teacher, LocalTeacher):
            return self._labelling_line()
        if self.recipe.teacher.provider == "recorded":
            return "none: the replies are recorded"
        each = f"{votes} votes a row" if votes > 1 else "two a row, analysis and rewrite" if twice else "one a row"
        if self.kept is not None:
            return f"none to ask: the rows are there ({each}, {self.answered:,} answered)"
        if self.calls is None:
            return f"{each}: {self.answered:,} answered"
        return f"{self.calls:,}, {each}: {self.answered:,} answered, {self.left:,} to ask"

    @property
    def _asks_nobody(self) -> bool:
        return self.size is None and not isinstance(self.recipe.teacher, LocalTeacher)

    def _labelling_line(self) -> str:
        """What a local teacher will do: a pair of each text and each label, or a vector of each text."""
        done, labels = f"{self.answered:,} are on record", len(self.recipe.labels)
        if self.kept is not None:
            return f"none to label: the rows are there ({done})"
        if self.calls is None:
            return f"one a row: {done}"
        pairs = f", {self.left * labels:,} pairs" if self.left and self.recipe.teacher.provider == "zero_shot" else ""
        return f"{self.calls:,} texts by {labels} labels: {done}, {self.left:,} to label{pairs}"

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
        teacher = self.recipe.teacher
        if isinstance(teacher, LocalTeacher):
            return "nothing: the teacher runs on this machine"
        if teacher.provider in ("recorded", "none"):
            return "nothing"
        if not teacher.is_paid():
            return "no price is named for this teacher"
        return cost_line(self.cost, self.recipe.synthesis.budget_usd, KEY, self.left)
