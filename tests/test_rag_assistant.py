"""The assistant, from a conversation to what a reader sees: with any model, whatever it writes, stopped anywhere."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harm import harm
from hypothesis import given, settings
from hypothesis import strategies as st
from rag_runs import WordEmbedder, product, shop, without_model

from rag.answers import unsupported
from rag.assistant import Assistant, Done, Options, Sources, open_assistant
from rag.citations import find_citations
from rag.passages import Found, Passage
from rag.prompting import Talk, read_talk
from rag.speakers import Ask, Ending, Piece
from recipes.assistant import Assistant as Settings
from recipes.errors import AskError
from recipes.rows import Turn
from recipes.runs import RunFolder
from recipes.students import Answering

LINK = "https://shop.example/dawn"
PASSAGES = tuple(
    Passage(number, f"c{number}", f"d{number}", title, text, {}, {"price": 20 + number}, link, 1.0)
    for number, title, text, link in [
        (1, "Dawn kettle", "Holds 1.7 litres. Made of steel.", LINK),
        (2, "Glass teapot", "A teapot of glass.", None),
        (3, "Tin mug", "A mug of tin.", None),
    ]
)


class Shelf:
    """A retriever: always the same passages; `answerable` but for questions about zebras."""

    def __init__(self, passages: Sequence[Passage] = PASSAGES) -> None:
        self.passages = tuple(passages)
        self.asked: list[tuple[str, Any, int | None]] = []
        self.threads: set[str] = set()
        self.begun, self.pause = threading.Event(), threading.Event()
        self.pause.set()

    def nearness(self, question: str, texts: Sequence[str]) -> list[float]:
        return [float(any(word in text for word in question.split())) for text in texts]

    def search(self, query: str, where: Any = None, top_k: int | None = None) -> Found:
        self.asked.append((query, where, top_k))
        self.begun.set()
        self.threads.add(threading.current_thread().name)
        assert self.pause.wait(10)
        if where == {"nonsense": 1}:
            raise AskError("there is no `nonsense` to filter by")
        return Found(query, self.passages, 0.5, "zebra" not in query)


class Voice:
    """A speaker that says `script`, piece by piece. open, closed: how many answers were begun and ended."""

    name, turns = "voice", True

    def __init__(self, *script: str | Piece | Callable[[Ask], str], context: int = 4096, ends: bool = True) -> None:
        self.script, self.context, self.ends = script, context, ends
        self.asked: list[Ask] = []
        self.open = self.closed = 0
        self.waiting = asyncio.Event()

    def count(self, messages: Sequence[Turn]) -> int:
        return sum(len(turn.content.split()) for turn in messages)

    async def say(self, ask: Ask) -> AsyncGenerator[Piece | Ending, None]:
        self.asked.append(ask)
        self.open += 1
        try:
            for one in self.script:
                await asyncio.sleep(0)
                said = one(ask) if callable(one) else one
                yield said if isinstance(said, Piece) else Piece(said)
            if not self.ends:
                self.waiting.set()
                await asyncio.Event().wait()
            yield Ending("stop", self.count(ask.messages), len(self.script))
        finally:
            self.closed += 1


def ask(*turns: str) -> list[Turn]:
    """A conversation, the user's turn first."""
    return [Turn(role="assistant" if place % 2 else "user", content=text) for place, text in enumerate(turns)]


def answer(
    voice: Voice | None, *turns: str, shelf: Shelf | None = None, options: Options | None = None, **section: Any
) -> tuple[Sources, list[Piece], Done]:
    """All that comes of a question. It is held that the pieces are the response, and that nobody is left open."""
    shelf = Shelf() if shelf is None else shelf
    assistant = Assistant(Settings.model_validate(section), Answering(), shelf, voice)  # type: ignore[arg-type]

    async def whole() -> list[Sources | Piece | Done]:
        return [one async for one in assistant.reply(ask(*turns), options)]

    try:
        first, *pieces, last = asyncio.run(whole())
    finally:
        assistant.close()
        assert voice is None or voice.open == voice.closed
    assert isinstance(first, Sources) and isinstance(last, Done)
    said = [one for one in pieces if isinstance(one, Piece)]
    assert len(said) == len(pieces) and "".join(one.text for one in said if not one.thought) == last.response
    return first, said, last


def test_an_answer_with_its_sources() -> None:
    voice = Voice("It hol", "ds 1.7 litres [", "1], and costs 21 [1].")
    sources, _, done = answer(voice, "How much does the kettle hold?", answering={"max_new_tokens": 99})
    assert [one.number for one in sources.found.passages] == [1, 2, 3]
    assert done.response == "It holds 1.7 litres [1], and costs 21 [1]."
    assert (done.citations, done.invented, done.stripped, done.abstained) == ((1,), 0, 0, False)
    assert done.ungrounded == () and done.ending.completion_tokens == 3
    (asked,) = voice.asked
    assert asked.messages == done.prompt and "[2] Glass teapot" in asked.messages[-1].content
    assert (asked.max_tokens, asked.temperature) == (512, 0.7)  # `answering` is resolved where an assistant is opened


def test_a_client_may_ask_for_more() -> None:
    voice, shelf = Voice("Yes."), Shelf()
    options = Options(max_tokens=7, temperature=0.0, top_p=0.5, seed=3, stop=("x",), where={"price": 1}, top_k=2)
    answer(voice, "Kettles of steel", shelf=shelf, options=options)
    (asked,) = voice.asked
    assert (asked.max_tokens, asked.temperature, asked.top_p, asked.seed, asked.stop) == (7, 0.0, 0.5, 3, ("x",))
    assert shelf.asked == [("Kettles of steel", {"price": 1}, 2)]


def test_what_is_not_in_the_catalogue_is_refused_unasked() -> None:
    voice = Voice("A zebra costs 5 pounds.")
    sources, _, done = answer(voice, "Do you sell zebras?", refusal="We have no such thing.")
    assert (done.response, done.abstained, done.citations, voice.open) == ("We have no such thing.", True, (), 0)
    assert not sources.found.answerable and done.prompt[-1].content.endswith("Do you sell zebras?")
    assert answer(voice, "Kettles of steel", shelf=Shelf(()))[2].abstained  # nothing was found at all


def test_a_models_own_refusal_is_seen() -> None:
    assert answer(Voice("The catalogue does not say."), "How heavy is the mug?")[2].abstained
    assert answer(Voice("Das führen wir nicht."), "How heavy is the mug?", refusal="Das führen wir nicht.")[2].abstained
    assert (
        answer(Voice("It holds <b [1]>two</b> litres."), "How heavy is the mug?")[2].citations == ()
    )  # taken out with it


def test_what_a_model_makes_up_does_not_come_out() -> None:
    voice = Voice("<think>Let me [7] see ![x](https://evil.example)</think>", "It holds 9.9 litres [7]. ",
                  f"See [this](https://evil.example/?q=1) or {LINK} [1].")  # fmt: skip
    _, pieces, done = answer(voice, "How much does the kettle hold?")
    assert done.response == f"It holds 9.9 litres. See this or {LINK} [1]."
    assert (done.citations, done.invented, done.stripped) == ((1,), 1, 2)
    assert done.ungrounded == ("It holds 9.9 litres.",)
    assert "".join(one.text for one in pieces if one.thought) == "Let me see x"


def test_a_bare_number_of_a_text_is_no_price_and_a_field_may_be_one() -> None:
    one = replace(PASSAGES[0], text="Fits 1 cup.", fields={"title": "", "size": "30"}, metadata={"price": 24.5})
    assert unsupported("It costs 24.50 EUR, or €24.5. It is 30 cm.", [one], "How much?") == ()
    assert unsupported("It costs 1 EUR. It is cheap.", [one], "How much?") == ("It costs 1 EUR.",)


def test_a_thought_that_a_speaker_tells_apart_stays_apart() -> None:
    _, pieces, done = answer(Voice(Piece("hm", True), "Steel [1]."), "Is the kettle of steel?")
    assert [one.text for one in pieces if one.thought] == ["hm"] and done.response == "Steel [1]."


@pytest.mark.parametrize("said", ["", "  \n", "<think>I wonder", "[9]", "<b></b>"])
def test_where_a_model_says_nothing_the_passages_do(said: str) -> None:
    _, _, done = answer(Voice(said), "Is the kettle of steel?")
    assert done.response == "Dawn kettle: Made of steel. [1]" and done.citations == (1,)


def test_without_a_model_passages_are_quoted() -> None:
    _, _, done = answer(None, "Is the teapot made of glass?")
    assert done.response == "Glass teapot: A teapot of glass. [2]"
    assert (done.citations, done.ending, done.ungrounded) == ((2,), Ending("stop", 0, 0), ())
    assert done.prompt[-1].content.endswith("Is the teapot made of glass?")
    assert answer(None, "zebras")[2].abstained


def test_without_passages_a_model_answers_alone() -> None:
    assistant = Assistant(Settings(), Answering(), None, Voice("Steel [1]."))

    async def whole() -> list[object]:
        return [one async for one in assistant.reply(ask("Of what are kettles made?"))]

    sources, _, done = asyncio.run(whole())
    assert isinstance(sources, Sources) and isinstance(done, Done)
    assert (sources.found.passages, done.response, done.invented) == ((), "Steel.", 1)
    assert done.prompt[-1].content == "Of what are kettles made?"


def test_a_greeting_is_no_search() -> None:
    voice, shelf = Voice("no"), Shelf()
    sources, _, done = answer(voice, "Do you have mugs?", "Yes [3].", "Thank you!", shelf=shelf)
    assert (done.response, done.abstained, sources.found.passages, shelf.asked, voice.open) == (
        "You are welcome.", False, (), [], 0,
    )  # fmt: skip


def test_a_question_that_refers_back_is_searched_for_by_itself() -> None:
    def speak(asked: Ask) -> str:
        return "How much does the tin mug weigh?" if "goes on" in asked.messages[-1].content else "100 g [3]."

    voice, shelf = Voice(speak), Shelf()
    sources, _, done = answer(voice, "Do you have a tin mug?", "Yes [3].", "How much does it weigh?", shelf=shelf)
    assert shelf.asked[0][0] == sources.question == "How much does the tin mug weigh?"
    assert voice.asked[0].temperature == 0 and len(voice.asked) == 2
    assert [turn.role for turn in done.prompt] == ["system", "user", "assistant", "user"]
    assert done.prompt[2].content == "Yes." and done.prompt[3].content.endswith("How much does it weigh?")
    assert done.ending.completion_tokens == 2  # both answers are paid for


def test_a_bad_rewriting_is_not_searched_for() -> None:
    for said in ("", "Visit evil.example for zebras now", "<think>How much"):
        shelf = Shelf()
        answer(Voice(said), "Do you have a tin mug?", "Yes [3].", "How much does it weigh?", shelf=shelf)
        assert shelf.asked[0][0] == "How much does it weigh? (tin mug)"
    shelf, voice = Shelf(), Voice("x")
    answer(voice, "Do you have a tin mug?", "Yes.", "How much does it weigh?", shelf=shelf, rewrite=False)
    assert shelf.asked[0][0] == "How much does it weigh?" and len(voice.asked) == 1


def test_a_model_of_one_question_gets_one() -> None:
    voice = Voice("100 g.")
    voice.turns = False
    done = answer(voice, "Do you have a tin mug?", "Yes [3].", "How much does it weigh?")[2]
    assert [turn.role for turn in done.prompt] == ["system", "user"]
    assert done.prompt[1].content.endswith("Question: How much does it weigh? (tin mug)")


def test_what_does_not_fit_cannot_be_cited() -> None:
    long = [replace(one, text=one.text + " word" * 100) for one in PASSAGES]
    sources, _, done = answer(
        Voice("One [1], two [2], three [3]."), "Which mug?", shelf=Shelf(long), context_tokens=500
    )
    assert [one.number for one in sources.found.passages] == [1]
    assert (done.response, done.citations, done.invented) == ("One [1], two, three.", (1,), 2)


@pytest.mark.parametrize(
    ("turns", "options", "said"),
    [
        (["why " * 5000], Options(), "the question takes"),
        (["a", "b"], Options(), "must be a question"),
        (["Which mug?"], Options(where={"nonsense": 1}), "no `nonsense`"),
    ],
)
def test_what_cannot_be_answered_is_said_at_once(turns: list[str], options: Options, said: str) -> None:
    with pytest.raises(AskError, match=said):
        answer(Voice("x"), *turns, options=options)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=12),
            st.sampled_from(
                ["[1]", "[9]", "<think>", "</think>", "![a](", "https://evil.example/x", "`", "\n", "<", "]"]
            ),
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_whatever_a_model_writes_is_an_answer(script: list[str], thought: bool) -> None:
    voice = Voice(*[Piece(text, thought and place % 2 == 0) for place, text in enumerate(script)])
    _, pieces, done = answer(voice, "Is the kettle of steel?")
    assert done.response
    assert done.citations == find_citations(done.response) and set(done.citations) <= {1, 2, 3}
    for text in (done.response, "".join(one.text for one in pieces if one.thought)):
        assert not harm(text, (1, 2, 3), (LINK,))


def test_it_can_be_stopped_after_anything_it_says() -> None:
    async def stopped(steps: int, voice: Voice) -> None:
        assistant = Assistant(Settings(), Answering(), Shelf(), voice)  # type: ignore[arg-type]
        async with aclosing(assistant.reply(ask("Which mug?"))) as events:
            for _ in range(steps):
                await anext(events)
        assistant.close()
        assert (voice.open, voice.closed) == (int(steps > 1), int(steps > 1))

    for steps in range(6):
        asyncio.run(stopped(steps, Voice("One. ", "Two. ", "Three. ", ends=steps > 2)))


@pytest.mark.parametrize("turns", [["Which mug?"], ["A tin mug?", "Yes.", "How heavy is it?"]])
def test_it_can_be_cancelled_while_a_model_thinks(turns: list[str]) -> None:
    async def cancelled() -> None:
        voice = Voice("One. ", ends=False)
        assistant = Assistant(Settings(), Answering(), Shelf(), voice)  # type: ignore[arg-type]

        async def listen() -> None:
            async for _ in assistant.reply(ask(*turns)):
                pass

        task = asyncio.create_task(listen())
        await asyncio.wait_for(voice.waiting.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assistant.close()
        assert voice.open == voice.closed == 1

    asyncio.run(cancelled())


def test_it_can_be_cancelled_while_it_is_searched() -> None:
    async def cancelled() -> None:
        shelf, voice = Shelf(), Voice("One.")
        shelf.pause.clear()
        assistant = Assistant(Settings(), Answering(), shelf, voice)  # type: ignore[arg-type]
        tasks = [asyncio.create_task(anext(assistant.reply(ask("Which mug?")))) for _ in range(3)]
        await asyncio.to_thread(shelf.begun.wait, 10)
        for task in tasks:
            task.cancel()
        assert all(
            isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*tasks, return_exceptions=True)
        )
        shelf.pause.set()
        assistant.close()
        assert len(shelf.asked) == 1 and voice.open == 0  # those that waited were never searched for

    asyncio.run(cancelled())


def test_searches_have_one_thread() -> None:
    async def several() -> None:
        shelf = Shelf()
        assistant = Assistant(Settings(), Answering(), shelf, Voice("One."))  # type: ignore[arg-type]

        async def one() -> None:
            async for _ in assistant.reply(ask("Which mug?")):
                pass

        await asyncio.gather(*[one() for _ in range(8)])
        assistant.close()
        assert len(shelf.asked) == 8 and len(shelf.threads) == 1

    asyncio.run(several())


def test_the_assistant_of_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rag.indexing import build_index

    without_model(monkeypatch)
    monkeypatch.setattr("rag.embedder.open_embedder", WordEmbedder)
    recipe = shop(tmp_path, [product(number) for number in range(1, 6)])
    run = RunFolder(tmp_path / "run")
    build_index(recipe, run)

    async def whole() -> list[object]:
        async with open_assistant(recipe, run) as assistant:
            return [one async for one in assistant.reply(ask("What colour is lamp model 3?"), Options(top_k=2))]

    sources, *_, done = asyncio.run(whole())
    assert isinstance(sources, Sources) and isinstance(done, Done)
    assert len(sources.found.passages) == 2 and sources.found.passages[0].title == "Lamp model 3"
    assert "Colour red. [1]" in done.response and 1 in done.citations


def test_where_no_model_wrote_it_nothing_is_taken_for_a_refusal() -> None:
    silent = [replace(PASSAGES[0], text="The catalogue does not say how heavy the kettle is.")]
    _, _, done = answer(None, "How heavy is the kettle?", shelf=Shelf(silent))
    assert "does not say" in done.response and not done.abstained
    _, _, done = answer(Voice(""), "How heavy is the kettle?", shelf=Shelf(silent))
    assert done.quoted and not done.abstained
    assert not answer(Voice("No, the product is not available in blue [1]."), "Is it blue?")[2].abstained
    assert answer(Voice("The catalogue does not say how heavy it is [1]."), "How heavy is it?")[2].abstained


@pytest.mark.parametrize(
    ("voice", "question", "whole"),
    [
        (None, "Is the teapot made of glass?", "Glass teapot: A teapot of glass. [2]"),
        (Voice(""), "Is the teapot made of glass?", "Glass teapot: A teapot of glass. [2]"),
        (None, "zebras", "I could not find that in the catalogue."),
        (Voice("x"), "Thanks!", "You are welcome."),
    ],
)
def test_our_own_words_end_where_a_models_would(voice: Voice | None, question: str, whole: str) -> None:
    for options, said, reason in (
        (Options(), whole, "stop"),
        (Options(stop=("xyz", whole[4:6])), whole[:4], "stop"),
        (Options(max_tokens=2), whole[:8], "length"),
        (Options(max_tokens=500), whole, "stop"),
    ):
        _, _, done = answer(voice, question, options=options)
        assert (done.response.rstrip(), done.ending.reason) == (said.rstrip(), reason)


def test_an_answer_that_a_stop_string_cuts_at_its_beginning_stays_empty() -> None:
    class Cut(Voice):
        async def say(self, ask: Ask) -> AsyncGenerator[Piece | Ending, None]:
            yield Ending("stop", 9, 1, cut=True)

    _, pieces, done = answer(Cut(), "Is it steel?", options=Options(stop=("Yes",)))
    assert (pieces, done.response, done.quoted, done.abstained, done.ending.reason) == ([], "", False, False, "stop")


def test_a_model_that_thinks_too_long_to_rewrite_is_asked_once() -> None:
    class Thinker(Voice):
        async def say(self, ask: Ask) -> AsyncGenerator[Piece | Ending, None]:
            self.asked.append(ask)
            yield Piece("Hm. ", True)
            yield Ending("length", 9, ask.max_tokens)

    voice, shelf = Thinker(), Shelf()
    assistant = Assistant(Settings(), Answering(), shelf, voice)  # type: ignore[arg-type]

    async def whole() -> list[object]:
        return [one async for one in assistant.reply(ask("Do you have a tin mug?", "Yes.", "How much does it weigh?"))]

    for _ in range(2):
        *_, done = asyncio.run(whole())
        assert isinstance(done, Done) and done.quoted
    assistant.close()
    assert [asked.max_tokens for asked in voice.asked] == [200, 512, 512]
    assert {asked for asked, _, _ in shelf.asked} == {"How much does it weigh? (tin mug)"}


def test_what_takes_long_to_read_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    others = threading.Event()

    def slowly(*given: Any) -> Talk:
        assert others.wait(10)
        return read_talk(*given)

    async def both() -> object:
        asyncio.get_running_loop().call_later(0.01, others.set)
        assistant = Assistant(Settings(), Answering(), Shelf(), Voice("Yes [1]."))  # type: ignore[arg-type]
        said = [one async for one in assistant.reply(ask("Which mug?"))]
        assistant.close()
        return said[-1]

    monkeypatch.setattr("rag.assistant.read_talk", slowly)
    assert isinstance(asyncio.run(both()), Done)


def test_a_question_that_is_too_long_is_refused_before_anybody_is_asked() -> None:
    voice, shelf = Voice("x"), Shelf()
    with pytest.raises(AskError, match="the question takes"):
        answer(voice, "Do you have a tin mug?", "Yes.", "How much does it weigh? " + "why " * 9000, shelf=shelf)
    assert voice.asked == [] and shelf.asked == []
