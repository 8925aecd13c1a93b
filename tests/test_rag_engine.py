"""Many prompts at once: the answers are those of the student alone, and nobody spoils them for others."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import pytest
import tiny_llama

from finetune.answering import GenerativeStudent, Question
from finetune.decoding import UNREAD
from rag.engine import Engine, Job, Told
from recipes.errors import TrainingError, TutelageError
from recipes.students import Answering, CausalStudent

GREEDY = Answering(temperature=0, max_new_tokens=20)
LONG = Answering(temperature=0, max_new_tokens=150)
WARM = Answering(temperature=1.3, top_p=0.8, max_new_tokens=24)
HOT = Answering(temperature=1.8, max_new_tokens=12)
QUESTIONS = ["Is it quiet?", "A lamp " * 12 + "?", "What is it good for?", "Café 🎧🏽?", "1200 lumens", "bright " * 25]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> GenerativeStudent:
    """A student with its adapter on a base in NF4."""
    folder = tmp_path_factory.mktemp("engine")
    tokenizer = tiny_llama.make_tokenizer()
    model = tiny_llama.make_adapter(tiny_llama.load_nf4(tiny_llama.make_llama(folder / "base")), folder / "adapter")
    section = CausalStudent.model_validate({"kind": "causal", "base": "b", "format": "chat"})
    return GenerativeStudent(model, tokenizer, section)


@pytest.fixture
def endless(student: GenerativeStudent, monkeypatch: pytest.MonkeyPatch) -> GenerativeStudent:
    """The same, but it never ends an answer by itself."""
    monkeypatch.setattr(student, "stops", set())
    return student


@pytest.fixture
def engine(student: GenerativeStudent) -> Iterator[Engine]:
    with Engine(student, rows=4) as engine:
        yield engine


class Asked:
    """A prompt that was submitted, and what is told of it."""

    def __init__(self, engine: Engine, prompt: list[int], answering: Answering = GREEDY, seed: int = 0) -> None:
        self._told: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self.job = Job(prompt, answering, seed, self._told.put)
        engine.submit(self.job)

    def next(self) -> Told:
        return self._told.get(timeout=60)

    def all(self) -> tuple[list[int], str | TutelageError]:
        tokens = []
        while isinstance(said := self.next(), int):
            tokens.append(said)
        return tokens, said


def test_answers_are_those_of_the_student_alone(student: GenerativeStudent, engine: Engine) -> None:
    cases = [(text, answering, seed) for seed, text in enumerate(QUESTIONS) for answering in (GREEDY, WARM, HOT)]
    asked = [Asked(engine, student.renderer.encode_prompt(text), *rest) for text, *rest in cases]
    texts = []
    for one, (text, answering, seed) in zip(asked, cases, strict=True):
        alone = student.answer([Question(text)], answering, seed)[0]
        tokens, ending = one.all()
        assert student.renderer.decode(tokens) == alone.text
        assert ending == ("stop" if alone.stopped else "length")
        assert one.job.taken == alone.tokens
        texts.append(alone.text)
    assert len(set(texts)) > len(QUESTIONS)


def test_it_is_the_adapter_that_answers(endless: GenerativeStudent, engine: Engine) -> None:
    prompt = endless.renderer.encode_prompt("Is it quiet?")
    model: Any = endless._model
    tuned, _ = Asked(engine, prompt).all()
    with model.disable_adapter():
        bare, _ = Asked(engine, prompt).all()
    assert tuned != bare


def test_first_come_first_served(endless: GenerativeStudent) -> None:
    ended: list[int] = []
    with Engine(endless, rows=1) as engine:
        jobs = []
        for number in range(5):
            told: queue.SimpleQueue[Told] = queue.SimpleQueue()

            def tell(said: Told, number: int = number, told: queue.SimpleQueue[Told] = told) -> None:
                if not isinstance(said, int):
                    ended.append(number)
                    told.put(said)

            engine.submit(Job([1, 2 + number], Answering(temperature=0, max_new_tokens=9 - number), 0, tell))
            jobs.append(told)
        for told in jobs:
            told.get(timeout=60)
    assert ended == [0, 1, 2, 3, 4]


def test_who_leaves_frees_the_row_at_once(endless: GenerativeStudent) -> None:
    with Engine(endless, rows=1) as engine:
        prompt = [1, 2, 3]
        endless = Asked(engine, prompt, Answering(temperature=0, max_new_tokens=200_000))
        waits, other = Asked(engine, prompt), Asked(engine, prompt)
        assert isinstance(endless.next(), int)
        waits.job.gone = True
        endless.job.gone = True
        assert len(other.all()[0]) == 20
        assert endless.job.taken < 200
        assert waits.job.taken == 0


def test_an_error_with_one_prompt_is_its_own(endless: GenerativeStudent, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = endless.begin

    def fails(prompt: list[int], answering: Answering, seed: int) -> Any:
        if seed == 13:
            raise RuntimeError("boom\nat line 3")
        if seed == 14:
            raise RuntimeError("CUDA out of memory")
        return begin(prompt, answering, seed)

    monkeypatch.setattr(endless, "begin", fails)
    with Engine(endless, rows=3) as engine:
        good = Asked(engine, [1, 2, 3], LONG)
        good.next()
        _, bad = Asked(engine, [4, 5], seed=13).all()
        _, large = Asked(engine, [4, 5], seed=14).all()
        assert isinstance(bad, TrainingError)
        assert str(bad) == "the student failed while it answered: RuntimeError: boom"
        assert "lower assistant.concurrency" in str(large)
        assert good.all()[1] == "length"
        assert Asked(engine, [4, 5]).all()[1] == "length"


def test_an_error_in_a_step_ends_those_under_way_and_no_more(
    endless: GenerativeStudent, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = endless._model.get_base_model()
    forward, failing = model.forward, [False]

    def sometimes(*args: Any, **kwargs: Any) -> Any:
        if failing[0]:
            failing[0] = False
            raise RuntimeError("boom")
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", sometimes)
    with Engine(endless, rows=3) as engine:
        asked = [Asked(engine, [1, 2, number], LONG) for number in (3, 4)]
        for one in asked:
            one.next()
            one.next()
        failing[0] = True
        assert [str(one.all()[1]) for one in asked] == ["the student failed while it answered: RuntimeError: boom"] * 2
        assert Asked(engine, [1, 2, 3]).all()[0] == Asked(engine, [1, 2, 3], LONG).all()[0][:20]


def test_a_listener_that_is_gone_disturbs_nobody(endless: GenerativeStudent, engine: Engine) -> None:
    def closed(said: Told) -> None:
        raise RuntimeError("Event loop is closed")

    engine.submit(Job([1, 2, 3], GREEDY, 0, closed))
    assert len(Asked(engine, [1, 2, 3]).all()[0]) == 20


def test_what_is_not_answered_when_it_closes_is_cancelled(endless: GenerativeStudent) -> None:
    with Engine(endless, rows=1) as engine:
        asked = [Asked(engine, [1, 2, 3], Answering(temperature=0, max_new_tokens=200_000)) for _ in range(3)]
        asked[0].next()
    assert [one.all()[1] for one in asked] == ["cancelled"] * 3
    assert Asked(engine, [1, 2, 3]).all() == ([], "cancelled")


def test_a_long_prompt_does_not_hold_up_the_others(endless: GenerativeStudent) -> None:
    engine = Engine(endless, rows=2)
    engine._chunk = UNREAD
    told: list[tuple[str, Told]] = []
    done = queue.SimpleQueue[Told]()

    def listen(name: str) -> Any:
        def tell(said: Told) -> None:
            told.append((name, said))
            if not isinstance(said, int):
                done.put(said)

        return tell

    with engine:
        engine.submit(Job([1, 2, 3], LONG, 0, listen("short")))
        engine.submit(Job([5 + place % 80 for place in range(9 * UNREAD + 1)], GREEDY, 0, listen("long")))
        done.get(timeout=60), done.get(timeout=60)
    first = next(place for place, (name, _) in enumerate(told) if name == "long")
    assert 8 <= first <= 12  # a step of the other after each part that was read


def test_prompts_wait_where_there_is_no_memory_for_more(
    endless: GenerativeStudent, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = [0]
    monkeypatch.setattr(endless, "cache_tokens", lambda: 2 * (3 + 20))
    with Engine(endless, rows=8) as engine:
        step = engine._step

        def count() -> None:
            most[0] = max(most[0], len(engine._jobs))
            step()

        monkeypatch.setattr(engine, "_step", count)
        asked = [Asked(engine, [1, 2, 3]) for _ in range(5)]
        assert [len(one.all()[0]) for one in asked] == [20] * 5
        assert len(Asked(engine, [1, 2, 3], LONG).all()[0]) == 150  # more than there is for two: alone
    assert most[0] == 2


def test_models_whose_rows_cannot_join_answer_one_by_one(
    endless: GenerativeStudent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endless, "joins", False)
    with Engine(endless, rows=8) as engine:
        asked = [Asked(engine, [1, 2, number]) for number in range(3)]
        for number, one in enumerate(asked):
            decoding = endless.begin([1, 2, number], GREEDY, 0)
            assert one.all()[0] == [decoding.step()[0] for _ in range(20)]


def test_where_the_device_is_lost_nobody_waits_for_it(
    endless: GenerativeStudent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered\nwhere")

    with Engine(endless, rows=1) as engine:
        assert engine.alive
        under_way, waits = Asked(engine, [1, 2, 3], LONG), Asked(engine, [1, 2, 3])
        under_way.next()
        monkeypatch.setattr("rag.engine.free_memory", fails)
        monkeypatch.setattr(engine, "_step", fails)
        assert "device-side assert" in str(under_way.all()[1])
        assert str(waits.all()[1]) == (
            "the student cannot answer any more (RuntimeError: CUDA error: device-side assert triggered): "
            "start the server again"
        )
        engine._thread.join(60)
        assert not engine.alive
        assert "cannot answer any more" in str(Asked(engine, [1, 2, 3]).all()[1])
