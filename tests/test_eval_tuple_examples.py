"""The texts that a report of seq2seq students shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from eval.tuple_examples import examples
from eval.tuple_rows import ScoredSet
from eval.tuple_scores import Marked
from recipes.runs import RunFolder


def test_a_text_whose_analysis_is_missing_is_no_example() -> None:
    gold = ((("soup", "positive"),), None)
    scored = ScoredSet("own rows", "understanding", RunFolder(Path("run")), ("1", "2"), ("A soup.", "A tea."), 1, gold)
    model = Marked("reader", "student", scored, (1,), (), said=((), (("tea", "positive"),)), invalid=(0, 0))
    assert [one.id for one in examples([model], 1)] == ["1"]
    assert [one.id for one in examples([model, replace(model, name="other", said=((), ()))], 1)] == []
