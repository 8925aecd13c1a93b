"""How models are compared: on which rows, by which figures, and by which judge."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from recipes.section import Section, Seed
from recipes.teachers import Teacher

CLASSIFY_METRICS = ("accuracy", "macro_f1", "agreement", "kappa", "coverage", "calibration", "cost", "speed")
GENERATIVE_METRICS = (
    "rouge_l", "chrf", "bits_per_char", "perplexity", "answered", "stopped", "valid", "grounded", "meta_talk",
    "repeats", "words", "cost", "speed",
)  # fmt: skip
TUPLE_METRICS = (
    "f1", "precision", "recall", "f1_strict", "invalid", "accuracy", "macro_f1", "parsed", "opinions", "rouge_l",
    "chrf", "truncated", "cost", "speed",
)  # fmt: skip
"""Of seq2seq students."""
TUPLE_TASKS = ("understanding", "atsa", "acsa")
"""Tasks whose students are encoders with a decoder."""
TUPLE_BASELINES = {"atsa": ("lexicon",), "acsa": ("one_vs_rest",), "sentiment": ("majority", "vader")}
"""Task of a dataset -> the baselines that stand beside the students there."""
TUPLE_BASELINE_NAMES = tuple(name for names in TUPLE_BASELINES.values() for name in names)


class Judge(Teacher):
    """A model that compares two answers to the same question (generative tasks). Its keys are those of teacher, with
    these."""

    temperature: float = Field(default=0.0, ge=0, le=2)
    """0: the same verdict every time, as far as the provider keeps to it."""
    max_tokens: int = Field(default=512, ge=1)
    """Also what the budget reserves for a verdict before it is asked for."""
    prompt: str = Field(default="judge-pairwise", min_length=1)
    """A shipped prompt's name (recipes/prompts), or a file relative to the recipe."""
    against: tuple[Literal["teacher", "base"], ...] = Field(default=("teacher", "base"), min_length=1)
    """Whose answers a student's are compared with, each pair in both orders."""
    reask: int = Field(default=2, ge=0, le=10)
    """Times a verdict that cannot be read is asked for again with the error shown."""
    budget_usd: float | None = Field(default=None, gt=0)
    """All that judging may ever cost in this run folder; what an earlier judge was paid counts at this one's price."""

    @field_validator("provider")
    @classmethod
    def _somebody(cls, provider: str) -> str:
        if provider == "none":
            raise ValueError("a judge must be somebody: take the section out where nobody judges")
        return provider


class RetrievalEvaluation(Section):
    """On which questions retrieval and the assistant are scored (recipes with a section retrieval)."""

    path: str | None = None
    """A query set of your own, relative to the recipe: JSON lines such as {"query": "kettle for two", "relevant":
    ["B01", "B07"]}. relevant holds ids of documents, or a grade for each ({"B01": 2, "B07": 1}); an empty one says
    that the catalogue does not answer. Where no file is named questions are made from the catalogue's own words."""
    query: str = "query"
    """Key of the question in that file."""
    relevant: str = "relevant"
    """Key of the documents that answer it."""
    kind: str = "kind"
    """Key of a word by which scores are grouped; lines may do without."""
    questions: int = Field(default=200, ge=1)
    """Questions that are made where no file is named, with a fifth as many that no catalogue answers."""
    answers: int = Field(default=40, ge=0)
    """Questions that the assistant answers, a seeded draw: with retrieval and, where a model answers, without. 0: none.
    """
    budget_usd: float | None = Field(default=None, gt=0)
    """All that these answers may ever cost in this run folder, at the price of the endpoint or the teacher."""


class Evaluation(Section):
    """Who is compared on the test rows, and what is shown."""

    models: tuple[str, ...] | None = None
    """teacher, names of students, and for task: classify baselines (majority, vader, tfidf, tfidf_gold), for tuples
    baselines too (lexicon, one_vs_rest, majority, vader), for generative tasks `base of <student>`: the student's base
    before it was trained; all that apply where not given."""
    metrics: (
        tuple[
            Literal[
                "accuracy", "macro_f1", "agreement", "kappa", "coverage", "calibration",
                "rouge_l", "chrf", "bits_per_char", "perplexity", "answered", "stopped", "valid", "grounded",
                "meta_talk", "repeats", "words", "f1", "precision", "recall", "f1_strict", "invalid", "parsed",
                "opinions", "truncated", "cost", "speed",
            ],
            ...,
        ]
        | None
    ) = None  # fmt: skip
    """Columns of the tables, all that apply where not given: from accuracy to calibration for task: classify, from
    rouge_l to words for generative tasks, of seq2seq students f1 to truncated with accuracy, macro_f1, rouge_l and
    chrf, cost and speed for all. report.json always holds all."""
    questions: int = Field(default=200, ge=1)
    """Most test rows that answers are generated for, a seeded draw (generative tasks)."""
    judge: Judge | None = None
    """A model that compares the students' answers with the teacher's (generative tasks)."""
    retrieval: RetrievalEvaluation = RetrievalEvaluation()
    """On which questions retrieval and the assistant are scored (recipes with a section retrieval)."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals and tests."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap draws for the intervals."""
    seed: Seed = 42
    """Of those draws, and of the questions drawn or made; a student's sampled answers take the seed it was trained
    with."""
    machine_usd_per_hour: float | None = Field(default=None, ge=0)
    """What the machine that runs the student costs, for cost per 1,000; no figure is made up where it is not given."""
