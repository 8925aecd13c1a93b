"""Ratings: which are taken, what is kept of them, and that they are rows for the next dataset."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rag.feedback import Feedback, Given, Vote, read_vote
from rag.openai_errors import ApiError
from recipes.load import load_recipe
from recipes.rows import ResponseRow, Turn, read_rows
from recipes.runs import RunFolder
from synth.build import build_dataset


def given(
    identity: str = "a", question: str = "Which kettle is of steel?", response: str = "The Classic is [1]."
) -> Given:
    prompt = (
        Turn(role="system", content="You help customers."),
        Turn(role="user", content=f"[1] Classic: a kettle of steel.\n\n{question}"),
    )
    return Given(identity, "shop", question, question, ("doc-1",), prompt, response, "A kettle is asked for.")


def lines(folder: Path, rating: str) -> list[dict[str, Any]]:
    path = folder / f"{rating}.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def test_a_rating_is_one_line_with_all_that_the_model_was_shown(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path)
    feedback.remember(given())
    feedback.rate(Vote("a", "up", "good \ud800 ☕\nthanks"))
    (row,) = lines(tmp_path, "up")
    assert row["comment"] == "good \ufffd ☕\nthanks" and row["documents"] == ["doc-1"]
    assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]
    assert "a kettle of steel" in row["messages"][1]["content"]
    assert row["messages"][2] == {
        "role": "assistant", "content": "The Classic is [1].", "reasoning_content": "A kettle is asked for.",
    }  # fmt: skip


def test_only_answers_of_this_server_can_be_rated(tmp_path: Path) -> None:
    with pytest.raises(ApiError) as caught:
        Feedback(tmp_path).rate(Vote("chatcmpl-made-up", "up", ""))
    assert caught.value.status == 404
    assert not list(tmp_path.iterdir())


def test_a_changed_mind_replaces_and_null_takes_back(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path)
    for identity in "ab":
        feedback.remember(given(identity))
        feedback.rate(Vote(identity, "up", ""))
    feedback.rate(Vote("a", "down", "wrong"))
    assert [row["id"] for row in lines(tmp_path, "up")] == ["b"]
    assert [row["comment"] for row in lines(tmp_path, "down")] == ["wrong"]
    feedback.rate(Vote("a", "down", "still wrong"))
    assert [row["comment"] for row in lines(tmp_path, "down")] == ["still wrong"]
    feedback.rate(Vote("a", None, ""))
    feedback.rate(Vote("a", None, ""))
    assert lines(tmp_path, "down") == []
    assert [row["id"] for row in lines(tmp_path, "up")] == ["b"]


def test_old_answers_are_forgotten_by_number_and_by_size(tmp_path: Path) -> None:
    few, small = Feedback(tmp_path, most=2), Feedback(tmp_path, most_chars=given().size() * 2)
    for feedback in (few, small):
        for identity in "abc":
            feedback.remember(given(identity))
        with pytest.raises(ApiError):
            feedback.rate(Vote("a", "up", ""))
        feedback.rate(Vote("b", "up", ""))


def test_a_line_that_a_crash_cut_is_dropped(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path)
    for identity in "ab":
        feedback.remember(given(identity))
    feedback.rate(Vote("a", "up", ""))
    with (tmp_path / "up.jsonl").open("ab") as torn:
        torn.write(b'{"id": "torn", "mess')
    feedback.rate(Vote("b", "up", ""))
    assert [row["id"] for row in lines(tmp_path, "up")] == ["a", "b"]


def test_many_at_once_are_all_kept(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path)
    identities = [f"id-{number}" for number in range(40)]
    for identity in identities:
        feedback.remember(given(identity))

    def rate(identity: str) -> None:
        feedback.rate(Vote(identity, "up", ""))
        feedback.rate(Vote(identity, "down", ""))

    threads = [threading.Thread(target=rate, args=(identity,)) for identity in identities]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(row["id"] for row in lines(tmp_path, "down")) == Counter(identities)
    assert lines(tmp_path, "up") == []


@pytest.mark.parametrize(
    "body",
    ["[]", '{"rating": "up"}', '{"id": 7, "rating": "up"}', '{"id": "a"}', '{"id": "a", "rating": "great"}',
     '{"id": "a", "rating": []}',
     '{"id": "a", "rating": "up", "comment": 7}', '{"id": "a", "rating": "up", "messages": []}',
     json.dumps({"id": "a", "rating": "up", "comment": "x" * 2001})],
)  # fmt: skip
def test_a_body_that_is_no_rating_is_refused(body: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_vote(body.encode())
    assert caught.value.status == 400


def test_a_rating_is_read() -> None:
    assert read_vote(b'{"id": "a", "rating": null}') == Vote("a", None, "")
    assert read_vote(b'{"id": "a", "rating": "up", "comment": "x"}') == Vote("a", "up", "x")


RECIPE = """\
name: liked
task: chat
source: {path: feedback/up.jsonl, messages: messages, id: id}
students:
  tiny: {kind: causal, base: scratch, format: chat, lora: null, quantization: none}
"""


def test_a_recipe_makes_rows_of_them(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path / "feedback")
    things = ["kettle", "teapot", "lamp", "chair", "desk", "carpet", "mirror", "clock", "basket", "curtain", "drill"]
    for thing in things:
        feedback.remember(given(thing, f"Which {thing} do you have in green?", f"The {thing} Verde is green [1]."))
        feedback.rate(Vote(thing, "up", ""))
    (tmp_path / "liked.yaml").write_text(RECIPE, encoding="utf-8")
    recipe = load_recipe(tmp_path / "liked.yaml")
    run = RunFolder(tmp_path / "run")
    build_dataset(recipe, run, True)
    kept = [
        row for split in ("train", "validation", "test") for row in read_rows(run.rows / f"{split}.jsonl", ResponseRow)
    ]
    assert {row.id for row in kept} == set(things)
    row = next(row for row in kept if row.id == "lamp")
    assert row.response == "The lamp Verde is green [1]." and row.reasoning == "A kettle is asked for."
    assert "a kettle of steel" in row.question and row.history[0].role == "system"


def test_what_a_client_made_up_is_set_aside(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path)
    first, made_up = Turn(role="user", content="A kettle?"), Turn(role="assistant", content="Buy elsewhere.")
    ours, system = Turn(role="assistant", content="The Classic is [1].\n"), Turn(role="system", content="Say x.")
    feedback.remember(given("a"))
    for identity, before in (("b", [first, ours]), ("c", [first, made_up]), ("d", [system]), ("e", [first, made_up])):
        feedback.remember(given(identity), before)
    for identity, rating in zip("abcde", ("up", "up", "up", "up", "down"), strict=True):
        feedback.rate(Vote(identity, rating, ""))  # type: ignore[arg-type]
    assert [row["id"] for row in lines(tmp_path, "up")] == ["a", "b"]
    assert [(row["id"], row["rating"]) for row in lines(tmp_path, "aside")] == [("c", "up"), ("d", "up")]
    assert "not this server's" in lines(tmp_path, "aside")[0]["aside"] and "aside" not in lines(tmp_path, "up")[0]
    assert [row["id"] for row in lines(tmp_path, "down")] == ["e"]
    feedback.rate(Vote("c", None, ""))
    assert [row["id"] for row in lines(tmp_path, "aside")] == ["d"]


def test_answers_that_are_forgotten_vouch_for_nothing(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path, most=2)
    for identity in "abc":
        feedback.remember(given(identity, response=f"It is {identity}."))
    for identity, said in (("d", "It is a."), ("e", "It is b.")):
        feedback.remember(given(identity), [Turn(role="assistant", content=said)])
        feedback.rate(Vote(identity, "up", ""))
    assert [row["id"] for row in lines(tmp_path, "aside")] == ["d", "e"]
    feedback.remember(given("f"), [Turn(role="assistant", content=given().response)])
    feedback.rate(Vote("f", "up", ""))
    assert [row["id"] for row in lines(tmp_path, "up")] == ["f"]


def test_a_vote_can_change_after_its_file_was_taken_away(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path)
    feedback.remember(given())
    feedback.rate(Vote("a", "up", ""))
    (tmp_path / "up.jsonl").rename(tmp_path / "to-learn-from.jsonl")
    feedback.rate(Vote("a", "down", ""))
    assert [row["id"] for row in lines(tmp_path, "down")] == ["a"] and lines(tmp_path, "up") == []


def test_a_full_disk_doubles_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feedback = Feedback(tmp_path)
    feedback.remember(given())
    feedback.rate(Vote("a", "up", ""))

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr("rag.feedback.os.fsync", full)
        feedback.rate(Vote("a", "up", "better"))
    feedback.rate(Vote("a", "up", "best"))
    assert [row["comment"] for row in lines(tmp_path, "up")] == ["best"]


def test_an_answer_is_remembered_while_a_disk_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feedback, syncing, synced = Feedback(tmp_path), threading.Event(), threading.Event()
    feedback.remember(given())

    def slow(file: int) -> None:
        syncing.set()
        assert synced.wait(20)

    monkeypatch.setattr("rag.feedback.os.fsync", slow)
    rating = threading.Thread(target=feedback.rate, args=(Vote("a", "up", ""),))
    rating.start()
    assert syncing.wait(20)
    remembering = threading.Thread(target=feedback.remember, args=(given("b"),), daemon=True)
    remembering.start()
    remembering.join(5)
    assert not remembering.is_alive()
    synced.set()
    rating.join(20)
