"""python -m finetune preview and ask, on a recipe that needs no teacher: from its source file to answers."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_trained
from rich.console import Console

from finetune.__main__ import main
from finetune.answering import Generated, GenerativeStudent, Question
from finetune.preview import preview_student
from finetune.student import Floats, open_student
from recipes.errors import TrainingError
from recipes.load import load_recipe
from recipes.runs import RunFolder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_trained.write_recipe(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="module")
def trained(recipe: Path) -> list[str]:
    return tiny_trained.train(recipe)


def previewed(recipe: Path, run: Path, name: str, count: int, *settings: str, colour: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=colour, color_system="standard" if colour else None)
    preview_student(load_recipe(recipe, list(settings)), name, RunFolder(run), count, console)
    return out.getvalue()


def test_preview_makes_rows_and_trains_nothing(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preview", str(recipe), "--run", str(tmp_path), "--rows", "1"]) == 0
    shown = capsys.readouterr().out
    assert "student plain: 47 training rows, format alpaca, base scratch" in shown
    assert "student thinker: 47 training rows, format think, base students.plain" in shown
    assert "max_length 256: no row is longer" in shown
    assert shown.count("\nrow ") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "manifests", "rows"]
    for count in ("-1", "few"):
        with pytest.raises(SystemExit):
            main(["preview", str(recipe), "--rows", count])
        assert f"argument --rows: {count!r} is no number, 0 or more" in capsys.readouterr().err
    with pytest.raises(TrainingError, match="has no student 'other'; it has plain, thinker"):
        main(["preview", str(recipe), "--run", str(tmp_path), "--student", "other"])


def test_preview_tells_prompt_and_completion_apart(recipe: Path, trained: list[str]) -> None:
    shown = previewed(recipe, Path(trained[2]), "plain", 1)
    first = json.loads((Path(trained[2]) / "rows" / "train.jsonl").read_text(encoding="utf-8").splitlines()[0])
    head, _, rest = shown.partition("--- prompt, not under the loss: ")
    prompt, _, response = rest.partition("\n--- response and end: ")
    assert f"row {first['id']}: " in head
    assert prompt.endswith(f"### Input:\n{first['question']}\n\n### Response:\n")
    assert "<|begin|>Below is" in prompt
    assert response.rstrip().endswith(f"\n{first['response']}<|end|>")
    counts = [int(part.split()[0]) for part in (prompt, response)]
    assert f"{sum(counts)} tokens, {counts[1]} under the loss" in head


def test_preview_shows_special_tokens_only_where_they_are(recipe: Path, trained: list[str]) -> None:
    shown = previewed(recipe, Path(trained[2]), "plain", 1, colour=True)
    assert shown.count("<|end|>") == 2  # one is spelt in the title
    assert shown.count("\x1b[1;35m<|end|>") == 1
    assert shown.count("\x1b[1;35m<|begin|>") == 1


def test_preview_shows_where_max_length_cuts(recipe: Path, trained: list[str]) -> None:
    shown = previewed(recipe, Path(trained[2]), "plain", 0, "students.plain.max_length=20")
    assert "max_length 20: 47 rows are longer, and are rejected from training: " in shown
    assert "and 42 more" in shown
    shown = previewed(recipe, Path(trained[2]), "plain", 1, "students.plain.max_length=20")
    assert shown.count("[max_length 20 ends here]") == 2  # the first row, and the longest
    assert "rejected: over max_length 20" in shown


def test_open_student_opens_generative_students(recipe: Path, trained: list[str]) -> None:
    run = RunFolder(Path(trained[2]))
    student = open_student(run, "thinker")
    assert isinstance(student, GenerativeStudent)
    assert student.renderer.opened
    assert student.answering.max_new_tokens == 20
    with pytest.raises(TrainingError, match="has no seed 1; it was trained with 3407"):
        open_student(run, "plain", 1)


def test_ask_streams_an_answer(trained: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["ask", trained[0], "red kettle", "--student", "plain", *trained[1:]])
    printed = capsys.readouterr()
    student = open_student(RunFolder(Path(trained[2])), "plain")
    assert isinstance(student, GenerativeStudent)
    answer = student.answer([Question("red kettle")])[0]
    assert code == (0 if answer.valid else 1)
    assert printed.out.strip() == answer.text.strip()
    assert ("raise students.plain.answering.max_new_tokens" in printed.err) == (not answer.stopped)


def test_ask_hides_thoughts_and_reads_lines(
    trained: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Let me see.\n</think>\n\nA kettle."

    def stream(self: GenerativeStudent, *asked: object) -> object:
        yield from (said[start : start + 3] for start in range(0, len(said), 3))
        parsed = self.renderer.parse(said)
        return Generated(said, parsed.reasoning, parsed.response, True, True, 9)

    monkeypatch.setattr(GenerativeStudent, "stream", stream)
    assert main(["ask", trained[0], "q", "--thinking", *trained[1:]]) == 0
    assert capsys.readouterr().out == "Let me see.\n\nA kettle.\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("\ufeffone\n\n two \n"))
    assert main(["ask", *trained]) == 0
    assert capsys.readouterr().out == "> one\nA kettle.\n\n> two\nA kettle.\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\n"))
    assert main(["ask", *trained]) == 0
    assert capsys.readouterr().out == "A kettle.\n", "one answer alone is for another program"


@pytest.mark.parametrize("stopped", [True, False])
def test_a_text_without_an_answer_is_shown_marked(
    stopped: bool, trained: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "A kettle\n\nor \x1ba lamp"

    def stream(self: GenerativeStudent, *asked: object) -> object:
        yield said
        parsed = self.renderer.parse(said)
        return Generated(said, parsed.reasoning, parsed.response, parsed.valid, stopped, 9)

    monkeypatch.setattr(GenerativeStudent, "stream", stream)
    assert main(["ask", trained[0], "q", *trained[1:]]) == 1
    printed = capsys.readouterr()
    assert printed.out.strip() == "", "another program reads no thoughts as an answer"
    assert printed.err.endswith(
        "no answer in the form of the student's format (think); it said:\n  | A kettle\n  | \n  | or \ufffda lamp\n"
    )
    assert ("max_new_tokens" in printed.err) == (not stopped)
    assert main(["ask", trained[0], "q", "--thinking", *trained[1:]]) == 1
    printed = capsys.readouterr()
    assert printed.out == "A kettle\n\nor \ufffda lamp\n"
    assert printed.err.endswith("(think); all of it stands above\n") and "--thinking" not in printed.err
    said = ""
    assert main(["ask", trained[0], "q", *trained[1:]]) == 1
    assert "no answer: the student said nothing" in capsys.readouterr().err


def test_questions_that_are_typed_stand_where_they_were_typed(
    trained: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def stream(self: GenerativeStudent, *asked: object) -> object:
        yield "</think>\n\nYes."
        return Generated("", None, "Yes.", True, True, 9)

    monkeypatch.setattr(GenerativeStudent, "stream", stream)
    monkeypatch.setattr(sys, "stdin", Terminal("one\n\ntwo\n"))
    assert main(["ask", *trained]) == 0
    assert capsys.readouterr().out == "> one\nYes.\n\n> two\nYes.\n", "the answers go to a file"
    monkeypatch.setattr(sys, "stdin", Terminal("one\n\ntwo\n"))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["ask", *trained]) == 0
    assert capsys.readouterr().out == "Yes.\nYes.\n"


def test_a_question_that_cannot_be_answered_holds_up_no_other(
    trained: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "kettle " * 3000
    with pytest.raises(TrainingError, match=r"the question has [\d,]+ tokens and the model takes 2,048"):
        main(["ask", trained[0], long, *trained[1:]])
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{long}\nred kettle\n"))
    assert main(["ask", *trained, "--student", "plain"]) == 1
    printed = capsys.readouterr()
    assert "question 1: the question has " in printed.err and "question 2" not in printed.err
    student = open_student(RunFolder(Path(trained[2])), "plain")
    assert isinstance(student, GenerativeStudent)
    assert printed.out.endswith(f"> red kettle\n{student.answer([Question('red kettle')])[0].text.strip()}\n")


def test_a_classifier_says_a_line_of_each_text(
    trained: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Classifier:
        labels = ("no", "yes")

        def predict(self, texts: list[str]) -> Floats:
            return np.array([[0.25, 0.75] if texts == ["good"] else [1.0, 0.0]], dtype=np.float32)

    monkeypatch.setattr("finetune.ask.open_student", lambda *_: Classifier())
    monkeypatch.setattr(sys, "stdin", io.StringIO("good\nbad\n"))
    assert main(["ask", *trained]) == 0
    assert capsys.readouterr().out == "yes 0.75, no 0.25\nno 1.00, yes 0.00\n"


@pytest.mark.parametrize("typed", ["", "\n \n"])
def test_no_question_is_said_before_a_model_is_opened(
    typed: str, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    monkeypatch.setattr("finetune.student.open_student", None)
    with pytest.raises(TrainingError, match="there is no question: name one in quotation marks, or give one a line"):
        main(["ask", *trained])


def test_asking_an_untrained_student(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the student thinker is not trained yet"):
        main(["ask", str(recipe), "q", "--run", str(tmp_path)])
