"""Scores of a local teacher -> probabilities and rows: by hand, and as properties."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.chat import ChatRequest, Reply
from recipes.rows import Example, LabelRow, Reject
from recipes.schema import Recipe
from synth.journal import Failure
from synth.local_card import applied_line, local_lines
from synth.tasks.scores import Scores, ScoreTask, probabilities, read_scores

LABELS = ("bad", "fair", "good")
NUMBERS = st.floats(-50, 50)


def make_task(**teacher: Any) -> ScoreTask:
    said = {"provider": "zero_shot", "model": "a/b", "hypothesis": "It is {}."} | teacher
    students = {"s": {"kind": "classifier", "base": "minilm"}}
    source = {"path": "rows.jsonl", "text": "text"}
    sections = {"name": "r", "task": "classify", "labels": LABELS, "source": source, "students": students}
    return ScoreTask(Recipe.model_validate({**sections, "teacher": said}))


def example(name: str, split: str = "train") -> Example:
    return Example.model_validate(
        {"id": name, "fields": {"text": f"text {name}"}, "split": split, "group": name, "slices": {"language": "en"}}
    )


def logits(entailment: list[float], contradiction: list[float] | None = None, cut: bool = False) -> Reply:
    named = {"entailment": entailment} | ({"contradiction": contradiction} if contradiction else {})
    figures = {kind: dict(zip(LABELS, values, strict=True)) for kind, values in named.items()}
    return Reply(Scores(figures, cut).write())


def test_softmax_over_labels_by_hand() -> None:
    #  e^2 = 7.389, e^1 = 2.718, e^0 = 1: sum 11.107
    assert probabilities([2, 1, 0], [0, 0, 0], 1, apart=False) == pytest.approx((0.66524, 0.24473, 0.09003), abs=1e-5)
    #  at temperature 2: e^1, e^0.5 = 1.64872, e^0: sum 5.36700
    assert probabilities([2, 1, 0], [0, 0, 0], 2, apart=False) == pytest.approx((0.50648, 0.30720, 0.18632), abs=1e-5)
    #  less 1 for the first: 1, 1, 0: e / (2e + 1)
    assert probabilities([2, 1, 0], [1, 0, 0], 1, apart=False) == pytest.approx((0.42232, 0.42232, 0.15536), abs=1e-5)


def test_several_labels_are_weighed_apart_by_hand() -> None:
    row = make_task(multi_label=True, temperature=2).settle(example("a"), lambda _: logits([3, 0, -2], [1, 0, 2]))
    assert isinstance(row, LabelRow)
    #  (3 - 1) / 2 = 1: 1 / (1 + e^-1); 0; (-2 - 2) / 2 = -2: 1 / (1 + e^2)
    assert row.soft == pytest.approx((0.731059, 0.5, 0.119203), abs=1e-6)
    assert (row.label, row.votes, row.rationale, row.outcome) == ("bad", ("bad",), None, "clean")
    assert row.slices == {"language": "en"}


def test_calibration_by_hand() -> None:
    task = make_task(calibrate=True)
    replies = {"a": logits([4, 1, 1]), "b": logits([2, 3, 1]), "t": logits([9, 9, 0], cut=True)}

    def lookup(request: ChatRequest) -> Reply:
        return replies[request.messages[1].content.removeprefix("text ")]

    task.calibrate([example("a"), example("t", "test"), example("b")], lookup)
    assert task.means == {"bad": 3.0, "fair": 2.0, "good": 1.0}  # of the train rows alone
    assert task.offsets == [1.0, 0.0, -1.0]
    row = task.settle(example("t", "test"), lookup)
    assert isinstance(row, LabelRow)
    assert row.soft == pytest.approx(probabilities([8, 9, 1], [0, 0, 0], 1, apart=False))
    assert row.label == "fair"
    assert task.facts() == {
        "hypotheses": {"bad": "It is bad.", "fair": "It is fair.", "good": "It is good."},
        "mean_scores": {"bad": 3.0, "fair": 2.0, "good": 1.0},
        "cut": 1,
        "most": None,
    }


def test_the_tokens_that_were_read_are_those_of_the_model() -> None:
    task, figures = make_task(max_length=512), {"entailment": dict.fromkeys(LABELS, 0.0)}
    task.settle(example("a"), lambda request: Reply(Scores(figures, True, 64).write()))
    task.settle(example("b"), lambda request: Reply(Scores(figures).write()))
    facts = task.facts()
    assert (facts["cut"], facts["most"]) == (1, 64)
    assert "It read up to 64 tokens; 1 text was" in local_lines(task.teacher, facts)[0]
    assert "It read up to 512 tokens" in local_lines(task.teacher, facts | {"most": None})[0]


def test_several_labels_are_counted_each() -> None:
    task = make_task(multi_label=True)
    replies = [logits([3, 2, 0], [0, 0, 1]), logits([2, 0, 0], [0, 1, 1]), logits([0, 0, 0], [1, 1, 1])]
    for place, reply in enumerate(replies):
        task.settle(example(str(place)), lambda request, reply=reply: reply)  # type: ignore[misc]
    told = applied_line(task.facts())
    assert told.endswith("texts have: bad 2, fair 1, good 0; none at all 1.")


def test_defaults_of_the_two_kinds() -> None:
    cosines = Reply(Scores({"cosine": {"bad": 0.30, "fair": 0.20, "good": 0.25}}).write())
    task = make_task(provider="embedding")
    row = task.settle(example("a"), lambda _: cosines)
    assert isinstance(row, LabelRow)
    #  differences over 0.05: 2, 0, 1
    assert row.soft == pytest.approx((0.66524, 0.09003, 0.24473), abs=1e-5)
    task.calibrate([example("a")], lambda _: cosines)
    assert task.means == {"bad": 0.3, "fair": 0.2, "good": 0.25}
    task = make_task()
    task.calibrate([example("a")], lambda _: logits([1, 2, 3]))
    assert task.means is None
    assert task.facts()["mean_scores"] is None


def test_a_request_says_what_decides_the_scores_and_nothing_else() -> None:
    def key(**teacher: Any) -> str:
        return make_task(**teacher).request(example("a")).key()

    for applied in ({"temperature": 3}, {"calibrate": True}, {"multi_label": True}, {"batch_size": 1}):
        assert key() == key(**applied)
    assert key() == key(precision="fp32")
    for deciding in ({"model": "a/c"}, {"revision": "v2"}, {"hypothesis": "{}"}, {"max_length": 64},
                     {"descriptions": {"bad": "awful"}}, {"provider": "embedding"}):  # fmt: skip
        assert key() != key(**deciding)
    assert key(provider="embedding") != key(provider="embedding", model="minilm")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "not_recorded"),
        (Failure("timeout", "x"), "teacher_failed"),
        (Reply("{"), "malformed"),
        (Reply("[]"), "malformed"),
        (Reply('{"entailment": {"bad": 1, "fair": 2}, "cut": false}'), "malformed"),
        (Reply('{"entailment": {"bad": 1, "fair": 2, "good": null}, "cut": false}'), "malformed"),
        (Reply('{"cosine": {"bad": 1, "fair": 2, "good": 3}, "cut": false}'), "malformed"),
        (Reply('{"cut": false}'), "malformed"),
    ],
)
def test_no_scores_no_row(found: Reply | Failure | None, reason: str) -> None:
    row = make_task().settle(example("a"), lambda _: found)
    assert isinstance(row, Reject)
    assert row.reason == reason


@given(st.dictionaries(st.sampled_from(["entailment", "contradiction", "neutral", "cosine"]),
                       st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1), st.booleans())  # fmt: skip
def test_scores_are_read_as_written(given_scores: dict[str, tuple[float, ...]], cut: bool) -> None:
    figures = {kind: dict(zip(LABELS, values, strict=True)) for kind, values in given_scores.items()}
    read = read_scores(Scores(figures, cut).write(), LABELS)
    assert read is not None
    assert read.cut == cut
    for kind, values in figures.items():
        assert read.figures[kind] == pytest.approx(values, abs=1e-6)


@given(st.lists(NUMBERS, min_size=2, max_size=6), st.floats(0.01, 10), NUMBERS)
def test_probabilities_are_some(scores: list[float], divisor: float, shift: float) -> None:
    none = [0.0] * len(scores)
    together = probabilities(scores, none, divisor, apart=False)
    assert math.isclose(sum(together), 1, abs_tol=1e-9)
    # what is taken off all labels alike changes nothing where they exclude each other
    assert probabilities(scores, [shift] * len(scores), divisor, apart=False) == pytest.approx(together, abs=1e-6)
    apart = probabilities(scores, none, divisor, apart=True)
    assert all(0 <= one <= 1 for one in (*together, *apart))
    assert max(range(len(scores)), key=apart.__getitem__) in [
        place for place, score in enumerate(scores) if apart[place] == max(apart)
    ]


def test_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    before = make_task(model=str(tmp_path)).request(example("a")).key()
    (tmp_path / "config.json").write_text('{"a": 1}', encoding="utf-8")
    assert make_task(model=str(tmp_path)).request(example("a")).key() != before
