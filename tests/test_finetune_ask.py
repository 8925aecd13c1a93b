"""What is said of the answers of a student that writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import tuple_runs

from finetune.ask import Asking
from finetune.questions import one_question
from finetune.seq2seq_writer import Seq2seqWriter, Written
from recipes.runs import RunFolder


class Weak(Seq2seqWriter):
    """Writes what is no tuple."""

    def __init__(self, answer: str) -> None:
        self.targets, self.answer = ("atsa",), answer

    def write(self, texts: object, target: object) -> list[Written]:
        return [Written(self.answer, False)]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("was was", "1 piece of what it wrote is no tuple of this text"),
        ("moon | positive ; the ;", "3 pieces of what it wrote are no tuple of this text"),
        ("soup | positive", ""),
    ],
)
def test_what_cannot_be_read_is_said(
    answer: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("finetune.ask.open_student", lambda run, name, seed: Weak(answer))
    Asking(tuple_runs.recipe_of(), RunFolder(tmp_path), "plain", None, False, 0).ask_all(one_question("A great soup."))
    shown = capsys.readouterr()
    assert shown.out.strip() == answer
    assert (said in shown.err) if said else ("wrote" not in shown.err)
