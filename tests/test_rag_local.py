"""A student that answers in pieces, to many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import tiny_llama

from finetune.answering import GenerativeStudent, Question
from rag.engine import Engine
from rag.local import LocalSpeaker
from rag.speakers import Ask, Ending, Piece, open_speaker
from recipes.errors import AskError, TrainingError
from recipes.rows import Turn
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.students import Answering, CausalStudent


def user(text: str) -> Turn:
    return Turn(role="user", content=text)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> GenerativeStudent:
    folder = tmp_path_factory.mktemp("speakers")
    model = tiny_llama.load_plain(tiny_llama.make_llama(folder / "base"))
    section = CausalStudent.model_validate({"kind": "causal", "base": "b", "format": "think"})
    return GenerativeStudent(model, tiny_llama.make_tokenizer(), section)


@pytest.fixture
def engine(student: GenerativeStudent) -> Iterator[Engine]:
    with Engine(student, rows=12) as engine:
        yield engine


def scripted(student: GenerativeStudent, engine: Engine, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it say this text, over and over."""
    ids = tiny_llama.make_tokenizer()(text, add_special_tokens=False)["input_ids"]

    def tell(job: Any, _: int) -> bool:
        if job.taken < len(ids):
            job.tell(ids[job.taken])
            job.taken += 1
            return not job.gone
        job.tell("stop")
        return False

    monkeypatch.setattr(engine, "_goes_on", tell)


def run(
    student: GenerativeStudent,
    engine: Engine,
    test: Callable[[LocalSpeaker], Coroutine[Any, Any, Any]],
    context: int = 4096,
) -> Any:
    async def inside() -> Any:
        return await test(LocalSpeaker("students.s", student, engine, context))

    return asyncio.run(inside())


async def heard(speaker: LocalSpeaker, ask: Ask) -> list[Piece | Ending]:
    return [one async for one in speaker.say(ask)]


def joined(said: list[Piece | Ending], thought: bool) -> str:
    return "".join(one.text for one in said if isinstance(one, Piece) and one.thought is thought)


def test_twelve_are_answered_at_once_as_each_would_be_alone(student: GenerativeStudent, engine: Engine) -> None:
    asks = [Ask((user("Is it quiet? " * number),), 30, 1.2, 0.9, seed=number) for number in range(1, 13)]

    async def test(speaker: LocalSpeaker) -> list[list[Piece | Ending]]:
        return await asyncio.gather(*(heard(speaker, ask) for ask in asks))

    for ask, said in zip(asks, run(student, engine, test), strict=True):
        alone = student.answer(
            [Question(ask.messages[0].content)], Answering(temperature=1.2, top_p=0.9, max_new_tokens=30), ask.seed or 0
        )[0]
        assert joined(said, thought=True).strip() == alone.text.strip()  # it was never taught to close the tag
        prompt = len(student.renderer.encode_prompt(ask.messages[0].content))
        assert said[-1] == Ending("stop" if alone.stopped else "length", prompt, alone.tokens)


def test_thought_and_answer_are_told_apart_and_letters_are_whole(
    student: GenerativeStudent, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(student, engine, "It's 日本.\n</think>\n\nCafé 🎧🏽! END of it", monkeypatch)

    async def test(speaker: LocalSpeaker) -> None:
        said = await heard(speaker, Ask((user("q"),), 99, 0))
        assert (joined(said, True), joined(said, False)) == ("It's 日本.", "Café 🎧🏽! END of it")
        assert not any("\ufffd" in one.text for one in said if isinstance(one, Piece))
        assert len(said) > 8
        said = await heard(speaker, Ask((user("q"),), 99, 0, stop=("END",)))
        assert joined(said, False) == "Café 🎧🏽! "
        assert isinstance(said[-1], Ending)
        assert said[-1].reason == "stop"

    run(student, engine, test)


def test_a_draw_has_a_seed_or_is_another_each_time(student: GenerativeStudent, engine: Engine) -> None:
    async def test(speaker: LocalSpeaker) -> None:
        def ask(seed: int | None) -> Ask:
            return Ask((user("q"),), 12, 2.0, seed=seed)

        first, same, other, drawn, again = [await heard(speaker, ask(seed)) for seed in (1, 1, -5, None, None)]
        assert first == same
        assert len({str(one) for one in (first, other, drawn, again)}) == 4
        greedy, nucleus = [await heard(speaker, Ask((user("q"),), 12, t, top_p=p)) for t, p in ((0, 1.0), (2.0, 0.0))]
        assert greedy == nucleus

    run(student, engine, test)


def test_what_does_not_fit(student: GenerativeStudent, engine: Engine) -> None:
    async def test(speaker: LocalSpeaker) -> None:
        assert speaker.context == 200
        room = 200 - speaker.count([user("q")])
        said = await heard(speaker, Ask((user("q"),), 4000, 0))
        assert said[-1] == Ending("length", 200 - room, room)
        with pytest.raises(AskError, match=r"have \d{3} tokens and students.s takes 199: ask a shorter one"):
            await heard(speaker, Ask((user("lamp " * 150),), 10, 0))

    run(student, engine, test, context=200)

    async def whole(speaker: LocalSpeaker) -> None:
        assert speaker.context == 256  # the model's own

    run(student, engine, whole)


def test_who_stops_listening_is_out_of_the_batch(student: GenerativeStudent, engine: Engine) -> None:
    async def test(speaker: LocalSpeaker) -> None:
        async with aclosing(speaker.say(Ask((user("q"),), 150, 0))) as said:
            async for _ in said:
                break
        waiting = asyncio.ensure_future(heard(speaker, Ask((user("q"),), 150, 0)))
        await asyncio.sleep(0.02)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await heard(speaker, Ask((user("q"),), 5, 0)))[-1] != []
        assert [job.gone for job in engine._jobs] == [True] * len(engine._jobs)

    run(student, engine, test)


def test_errors_and_the_end_of_the_engine(
    student: GenerativeStudent, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(speaker: LocalSpeaker) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(student, "begin", lambda *_: 1 / 0)
            with pytest.raises(TrainingError, match="ZeroDivisionError"):
                await heard(speaker, Ask((user("q"),), 5, 0))
        said = speaker.say(Ask((user("q"),), 150, 0))
        await anext(said)
        await asyncio.to_thread(engine.__exit__)
        rest = [one async for one in said]
        assert isinstance(rest[-1], Ending)
        assert rest[-1].reason == "cancelled"
        assert await heard(speaker, Ask((user("q"),), 5, 0)) == [Ending("cancelled", speaker.count([user("q")]), 0)]

    run(student, engine, test)


def test_the_student_that_the_recipe_names_is_opened(
    student: GenerativeStudent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[Any] = []

    def open_student(run: RunFolder, name: str) -> GenerativeStudent:
        opened.append((run, name))
        return student

    monkeypatch.setattr("rag.local.open_student", open_student)
    recipe = Recipe.model_validate(
        {
            "name": "shop", "task": "description",
            "source": {"path": "products.jsonl", "fields": {"title": "title", "description": "text"}},
            "students": {"s": {"kind": "causal", "base": "scratch", "format": "think", "lora": None,
                               "quantization": "none"}},
            "assistant": {"model": "students.s", "context_tokens": 100, "concurrency": 3},
        }
    )  # fmt: skip
    folder = RunFolder(tmp_path)

    async def inside() -> None:
        async with open_speaker(recipe, folder) as speaker:
            assert (speaker.name, speaker.context, speaker.turns) == ("students.s", 100, False)
            assert [one async for one in speaker.say(Ask((user("q"),), 3, 0))]

    asyncio.run(inside())
    assert opened == [(folder, "s")]
