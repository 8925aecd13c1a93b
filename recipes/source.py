"""The section source: where the texts come from, and which columns say what."""

from __future__ import annotations

from pydantic import Field, model_validator

from recipes.section import FieldName, Section, Seed


class Source(Section):
    """Where the examples come from: a Hub dataset, or local files (.jsonl, .csv, .parquet, also .gz)."""

    hub: str | None = None
    """Hub dataset id, e.g. mteb/tweet_sentiment_extraction."""
    config: str | None = None
    """Configuration of the Hub dataset."""
    file: str | None = None
    """One file of the Hub dataset, e.g. trn.json, where its files do not make one table together."""
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
    """Column with a conversation, a list of {role, content} (task: chat). The last turn of the assistant is the
    response, the user's before it the question, all earlier turns are history: read, not learnt. Turns after the last
    answer are left out, and counted. To have every answer learnt, store a row for each; the rows of one conversation
    stay on one side of the split."""
    aspects: str | None = None
    """Column with the gold tuples, a list of {target, category, polarity, start, end} (tasks atsa and acsa), [] where a
    text has none; a row with an empty cell, or without the key, is rejected. polarity is positive, negative, neutral or
    conflict; implicit: true says that no word of the text is an opinion of the target. Scores are told apart by `mixed`
    (whether a text has tuples of more than one polarity) and, where the source says it, by `implicit` (whether one of
    its tuples is). A SemEval file (.xml) names no columns at all."""
    analysis: str | None = None
    """Column with analyses that a teacher wrote before (task: understanding): no teacher is asked then."""
    rewrite: str | None = None
    """Column with rewrites that a teacher wrote before, likewise."""
    label: str | None = None
    """Column with the human label, where there is one. One label a row: beside a teacher with multi_label, accuracy,
    F1 and kappa are of the likeliest label alone, and lists of labels cannot be scored against."""
    slices: tuple[str, ...] = ()
    """Columns by whose values scores are told apart, e.g. [language]; no student reads them."""
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
    seed: Seed = 42
    """Of the split."""
    near_duplicate: float = Field(default=0.8, gt=0, le=1)
    """Estimated Jaccard similarity of word 3-grams from which two texts must stay on one side of the split; the rows
    of one conversation always do."""

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        if (self.hub is None) == (self.path is None):
            raise ValueError("name either hub (a dataset id) or path (a file), not both and not neither")
        if self.hub is None and (self.test_split or self.config or self.file or self.revision):
            raise ValueError("test_split, config, file and revision belong to a Hub dataset; this source is a file")
        if self.file is not None and self.test_split is not None:
            raise ValueError("one file of a Hub dataset has one split, train: leave test_split out")
        if self.path is None and self.test_path:
            raise ValueError("test_path belongs to a file; for a Hub dataset name test_split")
        return self

    def is_read(self) -> bool:
        """Whether what a teacher made of the texts stands in the source already."""
        return self.analysis is not None or self.rewrite is not None

    def columns(self) -> list[tuple[str, str]]:
        """(setting, column) of every column that is named, e.g. ("fields.title", "title")."""
        named = [("text", self.text), ("messages", self.messages), ("label", self.label), ("id", self.id)]
        named += [("aspects", self.aspects), ("analysis", self.analysis), ("rewrite", self.rewrite)]
        named += [(f"fields.{field}", column) for field, column in (self.fields or {}).items()]
        named += [("slices", column) for column in self.slices]
        return [(setting, column) for setting, column in named if column is not None]


NO_SOURCE = Source.model_construct()
"""Of an assistant alone."""
