"""A recipe: which teacher writes which rows, which students learn them, and how all of them are scored.

One frozen model per section; unknown keys are refused. Hyperparameters have defaults, each with its source; models and
datasets never do. The texts are in `source.py`, teachers in `teachers.py`, the kinds of students in `students.py`, what
is scored in `evaluation.py`. Checks that need a file (does it exist? does the prompt fit?) live in `checks.py` and its
kin.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator

from recipes.assistant import Assistant as Assistant
from recipes.evaluation import Evaluation as Evaluation
from recipes.evaluation import Judge as Judge
from recipes.local_teacher import LocalTeacher as LocalTeacher
from recipes.retrieval import Retrieval as Retrieval
from recipes.section import Name, Section, absolute
from recipes.seq2seq_student import Seq2seqStudent
from recipes.source import NO_SOURCE
from recipes.source import Source as Source
from recipes.students import CausalStudent, ClassifierStudent, Student
from recipes.teachers import PROVIDERS as PROVIDERS
from recipes.teachers import Teacher as Teacher

TEACHERLESS: frozenset[str] = frozenset({"description", "chat", "atsa", "acsa", "sentiment"})
"""Tasks whose rows come from the source alone: no teacher is asked."""
GENERATIVE: frozenset[str] = frozenset({"reasoning", "description", "chat"})
"""Tasks whose rows are questions and responses, which the section filters is about."""
REVIEWS: frozenset[str] = frozenset({"understanding", "atsa", "acsa", "sentiment"})
"""Tasks about the opinions in a text."""
SENTIMENTS = ("negative", "neutral", "positive")
"""Labels of task: sentiment."""
ROW_SECTIONS = ("task", "labels", "source", "teacher", "synthesis", "filters", "students")
"""What makes rows and students: an assistant alone has none of them."""
BASELINES = ("majority", "vader", "tfidf", "tfidf_gold")


class Synthesis(Section):
    """How the teacher is asked."""

    prompt: str | None = Field(default=None, min_length=1)
    """A shipped prompt's name (recipes/prompts), or a file relative to the recipe; needed where a teacher is asked."""
    rewrite_prompt: str | None = Field(default=None, min_length=1)
    """Likewise, of the second time that a teacher reads a review: the rewrite (task: understanding)."""
    votes: int = Field(default=1, ge=1, le=99)
    """Replies per text; the label is their strict majority (self-consistency, arXiv 2203.11171)."""
    soft_labels: Literal["votes", "logprobs"] = "votes"
    """Soft labels are the shares of the votes, or what the teacher's logprobs say of each label."""
    output: Literal["json_schema", "json_object", "text"] | None = None
    """What the endpoint is asked to keep to; by default json_object for JSON prompts and text for others."""
    reask: int = Field(default=2, ge=0, le=10)
    """Times a reply that cannot be parsed is asked for again with the error shown."""
    budget_usd: float | None = Field(default=None, gt=0)
    """All that this run folder may ever cost."""
    min_rationale_chars: int = Field(default=0, ge=0)
    """Rows with a shorter reason are rejected."""
    max_text_chars: int = Field(default=20_000, ge=1)
    """Longer texts are rejected before they are asked about."""


class Filters(Section):
    """Why a row of a generative task is rejected; every rejected row says which it was."""

    meta_talk: bool = True
    """Reject answers that speak of what nobody showed the reader: "the context mentions" (English). Of a chat only
    what a model says of itself counts: "as an AI"."""
    grounded: bool = True
    """Reject answers with numbers, quotations, codes or names that the row's fields do not have (task: reasoning)."""
    min_reasoning_chars: int = Field(default=80, ge=0)
    """Shorter reasoning is rejected (task: reasoning)."""
    min_response_chars: int | None = Field(default=None, ge=1)
    """Shorter responses are rejected; 20 where not given, and 1 for task: chat."""
    max_response_chars: int = Field(default=8_000, ge=1)
    """Longer responses are rejected."""
    language: str | None = Field(default=None, pattern=r"^[a-z]{2}$")
    """Two letters (ISO 639-1): rows whose response is plainly of another language are rejected."""
    near_duplicate: float | None = Field(default=0.9, gt=0, le=1)
    """Estimated Jaccard similarity of word 3-grams from which a response is a duplicate of an earlier one (a chat
    only where its question is near as well); null keeps all."""

    def shortest(self, task: str) -> int:
        """Characters that a response of `task` needs: "Paris." is the whole of a chat's answer."""
        if self.min_response_chars is not None:
            return self.min_response_chars
        return 1 if task == "chat" else 20


AnyTeacher = Annotated[Teacher | LocalTeacher, Field(discriminator="provider")]
"""A teacher, by its provider: behind an API (or on record), or a model on this machine."""


class Dataset(Section):
    """A further source, with gold answers of its own: what some of the students learn or are scored on."""

    task: Literal["atsa", "acsa", "sentiment"]
    """atsa: terms of the text and the polarity of each; acsa: categories and the polarity of each; sentiment: one label
    of negative, neutral and positive, which no student learns: it is read off the opinions that a student of
    understanding writes."""
    source: Source
    """Where it comes from."""


class Recipe(Section):
    """A whole distillation."""

    name: Name
    """Lower-case letters, digits, - and _; the run folder is runs/<name>."""
    about: str = ""
    """One line for lists, cards and reports."""
    task: Literal[
        "classify", "reasoning", "description", "chat", "understanding", "atsa", "acsa", "sentiment", "none"
    ] = "none"
    """What kind of rows: classify (a label and why), reasoning (Question, Complex_CoT, Response by a teacher),
    description (title -> description, no teacher), chat (conversations of your own), understanding (a review's opinions
    and a rewrite of it, by a teacher), atsa and acsa (gold tuples of terms or categories and their polarity, no
    teacher). A recipe with a section retrieval may do without task, source and students: an assistant alone."""
    labels: tuple[str, ...] = ()
    """Two or more, in the order of the student's outputs (task: classify)."""
    source: Source = NO_SOURCE
    """Where the texts come from."""
    teacher: AnyTeacher = Teacher(provider="none")
    """Who labels them or answers; not named for a task that asks nobody."""
    synthesis: Synthesis = Synthesis()
    """How the teacher is asked, and what it may cost."""
    filters: Filters = Filters()
    """Which generative rows are kept."""
    students: dict[Name, Student] = Field(default={}, min_length=1)
    """Name -> student."""
    datasets: dict[Name, Dataset] = Field(default={})
    """Name -> a further source: a student learns it with `data: <name>`."""
    evaluation: Evaluation = Evaluation()
    """How they are compared."""
    retrieval: Retrieval | None = None
    """A catalogue to answer from, and how it is searched."""
    assistant: Assistant | None = None
    """Who answers from it, in a terminal, in a browser and behind an API."""

    _folder: Path = PrivateAttr(default=Path())

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        folded = [label.strip().casefold() for label in labels]
        if "" in folded or len(set(folded)) < len(folded):
            raise ValueError("labels must be distinct (upper and lower case count as the same) and not empty")
        return labels

    def resolve(self, path: str) -> Path:
        """A path of the recipe, relative to the recipe file."""
        return absolute(self._folder, path)

    def classifier(self, name: str) -> ClassifierStudent:
        """The student `name`, which is a classifier."""
        student = self.students[name]
        assert isinstance(student, ClassifierStudent)
        return student

    def causal(self, name: str) -> CausalStudent:
        """The student `name`, which is generative."""
        student = self.students[name]
        assert isinstance(student, CausalStudent)
        return student

    def seq2seq(self, name: str) -> Seq2seqStudent:
        """The student `name`, which is an encoder with a decoder."""
        student = self.students[name]
        assert isinstance(student, Seq2seqStudent)
        return student

    def asks(self) -> bool:
        """Whether the rows want a teacher; else they come from the source alone."""
        return self.task not in TEACHERLESS and not (self.task == "understanding" and self.source.is_read())

    def calls(self) -> int:
        """Replies that a row needs."""
        return 2 if self.task == "understanding" else self.synthesis.votes

    def chat_teacher(self) -> Teacher:
        """The teacher, which is asked in messages (or plays replies to them)."""
        assert isinstance(self.teacher, Teacher)
        return self.teacher

    def multi_label(self) -> bool:
        """Whether a text may have several labels: each has a probability of its own, learnt apart from the others."""
        return isinstance(self.teacher, LocalTeacher) and self.teacher.multi_label

    def of_dataset(self, name: str) -> Recipe:
        """This recipe as one of the dataset `name` alone: its task and source, and no teacher."""
        dataset = self.datasets[name]
        changed: dict[str, object] = {
            "name": f"{self.name}-{name}",
            "task": dataset.task,
            "labels": SENTIMENTS if dataset.task == "sentiment" else (),
            "source": dataset.source,
            "teacher": Teacher(provider="none"),
            "synthesis": Synthesis(max_text_chars=self.synthesis.max_text_chars),
            "datasets": {},
        }
        recipe = self.model_copy(update=changed)
        recipe._folder = self._folder
        return recipe

    def local_teacher(self) -> LocalTeacher:
        """The teacher, which is a model on this machine."""
        assert isinstance(self.teacher, LocalTeacher)
        return self.teacher

    def base_student(self, name: str) -> str | None:
        """The student of this recipe that `name` starts from, or None."""
        base = self.students[name].base
        return base.removeprefix("students.") if base.startswith("students.") else None
