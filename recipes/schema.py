"""A recipe: which teacher writes which rows, which students learn them, and how all of them are scored.

One frozen model per section; unknown keys are refused. Hyperparameters have defaults, each with its source; models and
datasets never do. The kinds of students are in `students.py`. Checks that need a file (does it exist? does the prompt
fit?) live in `checks.py` and `source_checks.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from recipes.chat import Price
from recipes.section import Name, Section, beside
from recipes.students import CausalStudent, ClassifierStudent, Student

FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
"""Names of fields stand in prompts as {name}."""

TEACHERLESS: frozenset[str] = frozenset({"description", "chat"})
"""Tasks whose rows come from the source alone: no teacher is asked."""
BASELINES = ("majority", "vader", "tfidf", "tfidf_gold")


class Source(Section):
    """Where the examples come from: a Hub dataset, or local files (.jsonl, .csv, .parquet, also .gz)."""

    hub: str | None = None
    """Hub dataset id, e.g. mteb/tweet_sentiment_extraction."""
    config: str | None = None
    """Configuration of the Hub dataset."""
    revision: str | None = None
    """Commit, tag or branch of the Hub dataset; name a commit to be sure of the same rows later."""
    split: str = "train"
    """Hub split that train and validation come from."""
    test_split: str | None = None
    """Hub split to score on, e.g. test; without it test rows are drawn from `split`."""
    path: str | None = None
    """A file, relative to the recipe."""
    test_path: str | None = None
    """A file to score on; without it test rows are drawn from `path`."""
    text: str | None = None
    """Column with the text the student will see (task: classify)."""
    fields: dict[FieldName, str] | None = None
    """Field of a row -> its column, e.g. {title: title, description: content}: what prompts may name and answers are
    checked against (generative tasks)."""
    messages: str | None = None
    """Column with a conversation, a list of {role, content} (task: chat); its last assistant turn is the response."""
    label: str | None = None
    """Column with the human label, where there is one."""
    label_names: dict[str, str] | None = None
    """Value in the label column -> label of the recipe, e.g. {"0": negative}; values are matched as text."""
    id: str | None = None
    """Column with a stable id; without it the id is a hash of the text."""
    train: int | None = Field(default=None, ge=1)
    """How many rows to train and validate on; all where not given."""
    validation: float = Field(default=0.1, ge=0, lt=1)
    """Share of the train rows that is held out to choose the best epoch."""
    test: int | None = Field(default=None, ge=0)
    """How many rows to score on; all of test_path or test_split, or a fifth of a single file. 0: none at all."""
    seed: int = 42
    """Of the split."""
    near_duplicate: float = Field(default=0.8, gt=0, le=1)
    """Estimated Jaccard similarity of word 3-grams from which two texts must stay on one side of the split."""

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        if (self.hub is None) == (self.path is None):
            raise ValueError("name either hub (a dataset id) or path (a file), not both and not neither")
        if self.hub is None and (self.test_split or self.config or self.revision):
            raise ValueError("test_split, config and revision belong to a Hub dataset; this source is a file")
        if self.path is None and self.test_path:
            raise ValueError("test_path belongs to a file; for a Hub dataset name test_split")
        return self


PROVIDERS: dict[str, tuple[str | None, str | None]] = {
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "deepseek": ("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "fireworks": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "endpoint": (None, None),
    "recorded": (None, None),
    "none": (None, None),
}
"""provider -> (base URL, name of the environment variable that holds its key)."""


class Teacher(Section):
    """The model that writes the labels, or the reasoning and the answers."""

    provider: Literal["openai", "deepseek", "fireworks", "endpoint", "recorded", "none"]
    """fireworks goes through langchain-fireworks; endpoint is any OpenAI-compatible base_url (vLLM, Ollama, llama.cpp);
    recorded plays a reply journal with no network; none: nobody is asked (task: description or chat)."""
    model: str = Field(min_length=1)
    """The model's name at the provider."""
    base_url: str | None = None
    """Address of an endpoint, up to and with /v1; the other providers know theirs."""
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """NAME of the environment variable with the API key, never the key itself."""
    journal: str | None = None
    """The recorded replies to play, relative to the recipe (provider: recorded)."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    """0.7: the published DeepSeek-V3 run."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Nucleus sampling; not sent where not given."""
    max_tokens: int = Field(default=1024, ge=1)
    """Also what the budget reserves for a reply before it is sent."""
    seed: int | None = None
    """Sent to the provider, plus the number of the vote; not sent where not given."""
    price: Price | None = None
    """USD per million tokens: {input, cached_input, output}, from the provider's list. A paid teacher needs it."""
    concurrency: int = Field(default=64, ge=1, le=4096)
    """Most requests in flight; the engine goes lower while the provider answers 429."""
    rpm: int | None = Field(default=None, ge=1)
    """Requests per minute; read from the provider's headers where not given."""
    tpm: int | None = Field(default=None, ge=1)
    """Tokens per minute, likewise."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds one request may take."""
    retries: int = Field(default=6, ge=0, le=20)
    """Times one request is sent again after 429, 5xx, a reset or a time-out."""

    @model_validator(mode="after")
    def _address(self) -> Teacher:
        if self.provider == "endpoint" and not self.base_url:
            raise ValueError("an endpoint needs base_url, e.g. http://localhost:11434/v1")
        if (self.provider == "recorded") != (self.journal is not None):
            raise ValueError("journal goes with provider: recorded, and only with it")
        return self

    def address(self) -> str:
        """The base URL requests go to, without a slash at the end; `recorded` where nothing is sent."""
        return (self.base_url or PROVIDERS[self.provider][0] or "recorded").rstrip("/")

    def key_variable(self) -> str | None:
        """Name of the environment variable that holds the key."""
        return self.key_env or PROVIDERS[self.provider][1]

    def is_paid(self) -> bool:
        """Whether a call may cost money: a price is named, or the provider charges. Replies on record are free."""
        if self.provider in ("recorded", "none"):
            return False
        return self.price is not None or self.provider in ("openai", "deepseek", "fireworks")


class Synthesis(Section):
    """How the teacher is asked."""

    prompt: str | None = Field(default=None, min_length=1)
    """A shipped prompt's name (recipes/prompts), or a file relative to the recipe; needed where a teacher is asked."""
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
    """Reject answers that speak of what nobody showed the reader: "the context mentions"."""
    grounded: bool = True
    """Reject answers with numbers or quotations that the row's fields do not have (task: reasoning)."""
    min_reasoning_chars: int = Field(default=80, ge=0)
    """Shorter reasoning is rejected (task: reasoning)."""
    min_response_chars: int = Field(default=20, ge=1)
    """Shorter responses are rejected."""
    max_response_chars: int = Field(default=8_000, ge=1)
    """Longer responses are rejected."""
    language: str | None = Field(default=None, pattern=r"^[a-z]{2}$")
    """Two letters (ISO 639-1): rows whose response is plainly of another language are rejected."""
    near_duplicate: float = Field(default=0.9, gt=0, le=1)
    """Estimated Jaccard similarity of word 3-grams from which a second response is a duplicate."""


class Evaluation(Section):
    """Who is compared on the test rows, and what is shown."""

    models: tuple[str, ...] | None = None
    """teacher, names of students, baselines (majority, vader, tfidf, tfidf_gold); all that apply where not given."""
    metrics: tuple[
        Literal["accuracy", "macro_f1", "agreement", "kappa", "coverage", "calibration", "cost", "speed"], ...
    ] = ("accuracy", "macro_f1", "agreement", "kappa", "coverage", "calibration", "cost", "speed")
    """Columns of the tables; report.json always holds all."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals and tests."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap draws for the intervals."""
    seed: int = 42
    """Of those draws."""
    machine_usd_per_hour: float | None = Field(default=None, ge=0)
    """What the machine that runs the student costs, for cost per 1,000; no figure is made up where it is not given."""


class Recipe(Section):
    """A whole distillation."""

    name: Name
    """Lower-case letters, digits, - and _; the run folder is runs/<name>."""
    about: str = ""
    """One line for lists, cards and reports."""
    task: Literal["classify", "reasoning", "description", "chat"]
    """What kind of rows: classify (a label and why), reasoning (Question, Complex_CoT, Response by a teacher),
    description (title -> description, no teacher), chat (conversations of your own)."""
    labels: tuple[str, ...] = ()
    """Two or more, in the order of the student's outputs (task: classify)."""
    source: Source
    """Where the texts come from."""
    teacher: Teacher = Teacher(provider="none", model="none")
    """Who labels them or answers; not named for a task that asks nobody."""
    synthesis: Synthesis = Synthesis()
    """How the teacher is asked, and what it may cost."""
    filters: Filters = Filters()
    """Which generative rows are kept."""
    students: dict[Name, Student] = Field(min_length=1)
    """Name -> student."""
    evaluation: Evaluation = Evaluation()
    """How they are compared."""

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
        return beside(self._folder, path).resolve()

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

    def base_student(self, name: str) -> str | None:
        """The student of this recipe that `name` starts from, or None."""
        base = self.students[name].base
        return base.removeprefix("students.") if base.startswith("students.") else None
