"""The chat page in headless Chromium, on a real server with a scripted assistant.

Every page of these tests is watched: a request to anywhere but 127.0.0.1, a breach of the Content-Security-Policy or
an error of a script fails its test.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from talking import PASSAGES, At, Talker, serving

from rag.assistant import Done, Sources
from rag.passages import Found
from rag.speakers import Piece

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
expect = playwright.expect
Page = playwright.Page

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
]
WATCH = (
    "addEventListener('securitypolicyviolation', (e) => console.error('CSP: ' + e.violatedDirective + e.blockedURI))"
)
CSS = Path(__file__).parent.parent / "rag" / "page" / "style.css"

HOSTILE = (
    "<img src=x onerror=alert(1)><script>alert(2)</script> [9] [here](javascript:alert(3)) "
    "[there](https://evil.example/a) ![p](https://evil.example/p.png) [shop](https://shop.example/kettle)"
)
MARKED = """Two **kettles [1]** and a *teapot*:

1. the first,
   of steel
2. `glass` [2]

- 2 * 3 * 4

# Care
one
two
```
<b>[1]
```
"""


class Shop(Talker):
    """Talker, which says what is asked for after `say:`; `say:none` is no answer."""

    async def _events(self, question: str) -> AsyncGenerator[Sources | Piece | Done, None]:
        if not question.startswith("say:"):
            async for event in super()._events(question):
                yield event
            return
        said = question.removeprefix("say:")
        first = replace(
            PASSAGES[0], title="<i>Kettle</i>", text="steel " * 100, metadata={"<b>": "<u>1</u>", "new": True}
        )
        yield Sources(Found("kettles of steel", (first, PASSAGES[1]), 0.9, True), question)
        for place in range(0, len(said), 5):
            yield Piece(said[place : place + 5])
        yield replace(self._done(question, said), ungrounded=(), abstained=said == "none")


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium, or set CHROMIUM to one")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def talker() -> Shop:
    return Shop()


@pytest.fixture
def at(talker: Shop, tmp_path: Path) -> Iterator[At]:
    with serving(talker, tmp_path) as running:
        yield running


@pytest.fixture
def opened(browser: playwright.Browser) -> Iterator[Callable[..., Page]]:
    """opened(url, **context) -> a page that is watched."""
    contexts, faults = [], []

    def note(message: playwright.ConsoleMessage) -> None:
        expected = message.text.startswith("Failed to load resource")  # an error's status, which the page has to show
        if message.type == "error" and not expected:
            faults.append(message.text)

    def requested(request: playwright.Request) -> None:
        if urlsplit(request.url).hostname != "127.0.0.1":
            faults.append(f"a request to {request.url}")

    def open_page(url: str, **settings: object) -> Page:
        context = browser.new_context(**settings)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(WATCH)
        page.on("console", note)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", requested)
        page.on("dialog", lambda dialog: faults.append(f"a dialog: {dialog.message}"))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def page(opened: Callable[..., Page], at: At) -> Page:
    return opened(at.url)


def ask(page: Page, question: str) -> playwright.Locator:
    """Type and send it; its exchange."""
    before = page.locator(".exchange").count()
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")
    mine = page.locator(".exchange").nth(before)
    expect(mine.locator(".question")).to_have_text(question)
    return mine


def asked(page: Page, question: str) -> playwright.Locator:
    """Its exchange, when the answer has ended."""
    mine = ask(page, question)
    expect(mine).to_have_attribute("aria-busy", "false")
    return mine


def rows(folder: Path, rating: str) -> list[dict[str, object]]:
    path = folder / "feedback" / f"{rating}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def said(talker: Talker, place: int = -1) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in talker.asked[place][0]]


KETTLE = "The kettle costs 20 pounds [1]. ☕"


class TestAConversation:
    def test_an_answer_has_thoughts_folded_away_and_its_sources_as_cards(self, page: Page) -> None:
        expect(page.locator("h1")).to_have_text("Product assistant")
        expect(page.locator("#welcome")).to_be_visible()
        answer = asked(page, "a kettle?")
        expect(page.locator("#welcome")).to_be_hidden()
        expect(answer.locator(".text")).to_have_text("The kettle costs 20 pounds 1. ☕")
        expect(answer.locator(".thought")).to_be_hidden()
        answer.get_by_text("Thoughts").click()
        expect(answer.locator(".thought")).to_have_text("a kettle? yes.")
        cards = answer.locator(".card")
        expect(cards).to_have_count(2)
        expect(cards.first.get_by_role("link", name="Kettle")).to_have_attribute("href", "https://shop.example/kettle")
        expect(cards.first.locator(".passage")).to_have_text("A kettle of steel, 20 pounds.")
        expect(cards.first.locator("dl")).to_have_text("price20")
        expect(cards.last.get_by_role("link")).to_have_count(0)
        expect(answer.get_by_text("2 sources, 1 cited")).to_be_visible()
        expect(answer.get_by_text("Check 1 sentence")).to_be_visible()
        expect(page.get_by_role("status")).to_have_text("The kettle costs 20 pounds. ☕")

    def test_a_citation_leads_to_its_card(self, page: Page) -> None:
        answer = asked(page, "a kettle?")
        answer.locator(".sources > summary").click()
        expect(answer.locator(".card").first).to_be_hidden()
        answer.get_by_role("button", name="Source 1: Kettle").click()
        expect(answer.locator(".card").first).to_be_focused()

    def test_what_has_the_focus_is_not_behind_the_frame(self, opened: Callable[..., Page], at: At) -> None:
        page = opened(at.url, viewport={"width": 360, "height": 400})
        answer = asked(page, "a kettle?")
        answer.get_by_role("button", name="Source 1: Kettle").click()
        card, composer = answer.locator(".card").first.bounding_box(), page.locator("#composer").bounding_box()
        assert card["y"] + card["height"] < composer["y"]

    def test_what_was_said_goes_along_with_the_next_question(self, page: Page, talker: Shop) -> None:
        asked(page, "a kettle?")
        asked(page, "and a teapot?")
        assert said(talker) == [("user", "a kettle?"), ("assistant", KETTLE), ("user", "and a teapot?")]

    def test_an_example_is_a_question(self, page: Page, talker: Shop) -> None:
        page.locator("#examples button").first.click()
        expect(page.locator(".exchange")).to_have_attribute("aria-busy", "false")
        assert said(talker) == [("user", page.locator(".question").inner_text())]

    def test_what_is_not_in_the_catalogue_and_what_was_cut_short_is_said(self, page: Page) -> None:
        expect(asked(page, "nothing").locator(".text")).to_have_text("I could not find that.")
        near = asked(page, "say:none")
        expect(near.get_by_text("Nearest in the catalogue: 2")).to_be_visible()
        expect(near.locator(".card").first).to_be_hidden()
        expect(asked(page, "cut").get_by_text("The answer ended at its length limit.")).to_be_visible()

    def test_a_search_in_other_words_is_shown(self, page: Page) -> None:
        expect(asked(page, "say: this").get_by_text("Searched for “kettles of steel”")).to_be_visible()


class TestStreaming:
    def test_text_is_shown_as_it_comes_and_escape_stops_it(self, page: Page, talker: Shop, at: At) -> None:
        answer = ask(page, "slow")
        expect(answer.locator(".text")).to_contain_text("and so on and so on")
        expect(answer).to_have_attribute("aria-busy", "true")
        page.keyboard.press("Escape")
        expect(answer.get_by_text("Stopped.")).to_be_visible()
        at.until(lambda: talker.under_way == 0)
        expect(answer.get_by_role("button", name="Good answer")).to_be_hidden()
        length = len(answer.locator(".text").inner_text())
        asked(page, "a kettle?")
        assert len(answer.locator(".text").inner_text()) == length
        assert [role for role, _ in said(talker)] == ["user", "assistant", "user"]

    def test_the_button_stops_and_answers_again(self, page: Page, talker: Shop, at: At) -> None:
        answer = ask(page, "slow")
        expect(answer.locator(".text")).to_contain_text("and so on")
        page.get_by_role("button", name="Stop").click()
        at.until(lambda: talker.under_way == 0)
        answer.get_by_role("button", name="Answer again").click()
        expect(answer.locator(".text")).to_contain_text("and so on")
        page.get_by_role("button", name="Stop").click()
        expect(answer.get_by_text("Stopped.")).to_be_visible()
        assert said(talker, 0) == said(talker, 1) == [("user", "slow")]
        assert talker.asked[0][1].seed is None and talker.asked[1][1].seed is not None
        expect(page.locator(".exchange")).to_have_count(1)

    def test_an_answer_without_end_is_ended(self, page: Page, talker: Shop, at: At) -> None:
        answer = asked(page, "flood")
        expect(answer.get_by_text("The answer did not come to an end.")).to_be_visible()
        at.until(lambda: talker.under_way == 0)

    def test_only_the_newest_is_answered_again(self, page: Page) -> None:
        first = asked(page, "a kettle?")
        expect(first.get_by_role("button", name="Answer again")).to_be_visible()
        asked(page, "another?")
        expect(page.get_by_role("button", name="Answer again")).to_have_count(1)


class TestRatings:
    def test_thumbs_and_a_comment_are_kept_and_taken_back(self, page: Page, tmp_path: Path) -> None:
        answer = asked(page, "a kettle?")
        up, down = (answer.get_by_role("button", name=f"{name} answer") for name in ("Good", "Bad"))
        up.click()
        expect(answer.get_by_text("Thank you.")).to_be_visible()
        assert [row["question"] for row in rows(tmp_path, "up")] == ["a kettle?"]
        down.click()
        expect(down).to_have_attribute("aria-pressed", "true")
        expect(up).to_have_attribute("aria-pressed", "false")
        answer.get_by_label("What was wrong?").fill("it is 25 pounds")
        answer.get_by_role("button", name="Send").click()
        expect(answer.get_by_text("your comment is kept")).to_be_visible()
        expect(answer.get_by_label("What was wrong?")).to_be_hidden()
        assert rows(tmp_path, "up") == []
        assert [row["comment"] for row in rows(tmp_path, "down")] == ["it is 25 pounds"]
        down.click()
        expect(answer.get_by_text("Taken back.")).to_be_visible()
        expect(down).to_have_attribute("aria-pressed", "false")
        assert rows(tmp_path, "down") == []

    def test_a_rating_that_is_not_kept_is_not_shown_as_kept(self, page: Page, at: At) -> None:
        answer = asked(page, "a kettle?")
        at.service.feedback._given.clear()
        answer.get_by_role("button", name="Good answer").click()
        expect(answer.get_by_text("This server knows no such answer")).to_be_visible()
        expect(answer.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "false")


class TestAReload:
    def test_a_conversation_outlives_it_and_goes_on(self, page: Page, talker: Shop, tmp_path: Path) -> None:
        asked(page, "a kettle?")
        page.reload()
        answer = page.locator(".exchange")
        expect(answer.locator(".text")).to_have_text("The kettle costs 20 pounds 1. ☕")
        expect(answer.locator(".card")).to_have_count(2)
        answer.get_by_role("button", name="Good answer").click()
        expect(answer.get_by_text("Thank you.")).to_be_visible()
        assert len(rows(tmp_path, "up")) == 1
        asked(page, "and a teapot?")
        assert len(said(talker)) == 3

    def test_an_answer_that_was_coming_is_a_stopped_one(self, page: Page, talker: Shop, at: At) -> None:
        expect(ask(page, "slow").locator(".text")).to_contain_text("and so on")
        page.reload()
        expect(page.locator(".exchange").get_by_text("Stopped.")).to_be_visible()
        expect(page.locator(".exchange .text")).to_contain_text("and so on")
        at.until(lambda: talker.under_way == 0)

    def test_a_page_that_is_put_away_in_the_middle_is_kept(self, page: Page) -> None:
        expect(ask(page, "slow").locator(".text")).to_contain_text("and so on")
        kept = page.evaluate("(dispatchEvent(new Event('pagehide')), sessionStorage.getItem('talk'))")
        assert "and so on" in kept

    def test_a_new_conversation_forgets_it_even_in_the_middle(self, page: Page, talker: Shop, at: At) -> None:
        asked(page, "a kettle?")
        expect(ask(page, "slow").locator(".text")).to_contain_text("and so on")
        page.get_by_role("button", name="New conversation").click()
        expect(page.locator(".exchange")).to_have_count(0)
        at.until(lambda: talker.under_way == 0)
        page.reload()
        expect(page.locator("#welcome")).to_be_visible()
        asked(page, "a teapot?")
        assert said(talker) == [("user", "a teapot?")]

    @pytest.mark.parametrize("kept", ["{", "5", "null", '{"a": 1}'])
    def test_what_cannot_be_read_is_no_conversation(self, page: Page, kept: str) -> None:
        page.evaluate("(kept) => sessionStorage.setItem('talk', kept)", kept)
        page.evaluate("addEventListener('pagehide', (e) => e.stopImmediatePropagation(), true)")
        page.reload()
        expect(page.locator("#welcome")).to_be_visible()
        asked(page, "a kettle?")

    def test_more_than_can_be_kept_loses_its_oldest(self, page: Page) -> None:
        asked(page, "a kettle?")
        page.evaluate(
            "(() => { const set = Storage.prototype.setItem; Storage.prototype.setItem = function (name, value) {"
            "if (value.length > 4000) throw new DOMException('full', 'QuotaExceededError');"
            "set.call(this, name, value); }; })()"
        )
        for number in range(6):
            asked(page, f"question {number}")
        page.reload()
        expect(page.locator(".question").last).to_have_text("question 5")
        assert 1 <= page.locator(".exchange").count() < 7


class TestTrouble:
    def test_a_failure_is_a_sentence_and_can_be_tried_again(self, page: Page, talker: Shop) -> None:
        answer = asked(page, "broken")
        expect(answer.locator(".problem p")).to_have_text("This server failed to answer; its log says why.")
        answer.get_by_role("button", name="Try again").click()
        expect(answer).to_have_attribute("aria-busy", "false")
        expect(answer.locator(".problem")).to_be_visible()
        assert len(talker.asked) == 2
        asked(page, "a kettle?")
        assert said(talker) == [("user", "a kettle?")]

    def test_what_came_before_a_failure_stays(self, page: Page) -> None:
        answer = asked(page, "late")
        expect(answer.locator(".text")).to_contain_text("The kettle costs 20 pounds")
        expect(answer.get_by_role("button", name="Try again")).to_be_visible()

    def test_a_question_that_is_refused_comes_back_to_be_changed(self, page: Page) -> None:
        answer = asked(page, "long")
        expect(answer.locator(".problem p")).to_have_text(re.compile("The question has 9,000 tokens"))
        answer.get_by_role("button", name="Change the question").click()
        expect(page.get_by_label("Your question")).to_have_value("long")
        expect(page.get_by_label("Your question")).to_be_focused()
        expect(page.locator(".exchange")).to_have_count(0)

    def test_a_server_that_is_gone_or_busy_is_a_sentence(self, page: Page) -> None:
        page.context.set_offline(True)
        answer = asked(page, "a kettle?")
        expect(answer.locator(".problem p")).to_have_text("The server cannot be reached.")
        page.context.set_offline(False)
        page.route("**/completions", lambda route: route.fulfill(status=429, headers={"retry-after": "3"}, body="{}"))
        answer.get_by_role("button", name="Try again").click()
        expect(answer.locator(".problem p")).to_have_text("The assistant is busy: try again in 3 seconds.")
        page.route("**/completions", lambda route: route.fulfill(content_type="text/event-stream", body="data: {"))
        answer.get_by_role("button", name="Try again").click()
        expect(answer.locator(".problem p")).to_have_text("The answer broke off before its end.")
        page.unroute("**/completions")
        answer.get_by_role("button", name="Try again").click()
        expect(answer.locator(".text")).to_contain_text("The kettle")
        expect(answer.locator(".problem")).to_be_hidden()

    def test_the_key_is_asked_for_and_kept_with_the_tab(self, opened: Callable[..., Page], talker: Shop) -> None:
        with serving(talker, key="a-key-of-sixteen-letters") as at:
            page = opened(at.url)
            dialog, key = page.get_by_role("dialog"), page.get_by_label("Key", exact=True)
            expect(dialog).to_be_visible()
            page.keyboard.press("Escape")
            expect(dialog).to_be_hidden()
            ask(page, "a kettle?")
            key.fill("a-key-that-is-not-right")
            page.keyboard.press("Enter")
            expect(dialog.get_by_text("That key was not accepted.")).to_be_visible()
            key.fill("a-key-of-sixteen-letters")
            page.keyboard.press("Enter")
            expect(page.locator(".exchange .text")).to_contain_text("The kettle")
            expect(page.locator("h1")).to_have_text("Product assistant")
            page.reload()
            expect(page.locator("h1")).to_have_text("Product assistant")
            asked(page, "a teapot?")
            expect(dialog).to_be_hidden()
            assert page.evaluate("JSON.stringify({...localStorage})") == "{}"

    def test_without_the_key_nothing_is_answered(self, opened: Callable[..., Page], talker: Shop) -> None:
        with serving(talker, key="a-key-of-sixteen-letters") as at:
            page = opened(at.url)
            page.get_by_role("button", name="Cancel").click()
            answer = ask(page, "a kettle?")
            page.get_by_role("button", name="Cancel").click()
            expect(answer.locator(".problem p")).to_have_text("The assistant answers only with a key.")
            assert talker.asked == []


class TestWhatOthersWrote:
    def test_it_is_text_and_leads_nowhere(self, page: Page) -> None:
        answer = asked(page, "say:" + HOSTILE)
        expect(answer.locator(".text")).to_contain_text("<img src=x onerror=alert(1)><script>alert(2)</script> [9]")
        assert answer.locator("img, script, i, u, b").count() == 0
        links = answer.locator("a").evaluate_all("(all) => all.map((one) => [one.href, one.rel, one.target])")
        assert links == [["https://shop.example/kettle", "noopener noreferrer", "_blank"]] * 2
        expect(answer.locator(".card h3").first).to_have_text("<i>Kettle</i>")
        expect(answer.locator(".card dl").first).to_have_text("<b><u>1</u>newyes")

    def test_a_little_markdown_is_shown(self, page: Page) -> None:
        answer = asked(page, "say:" + MARKED)
        html = answer.locator(".text").evaluate("(node) => node.innerHTML")
        assert re.sub(r'<button [^>]*data-number="(\d)"[^>]*>\1</button>', r"{\1}", html) == (
            "<p>Two <strong>kettles {1}</strong> and a <em>teapot</em>:</p>"
            '<ol start="1"><li>the first, of steel</li><li><code>glass</code> {2}</li></ol>'
            "<ul><li>2 * 3 * 4</li></ul><h3>Care</h3><p>one<br>two</p>"
            '<pre tabindex="0"><code>&lt;b&gt;[1]</code></pre>'
        )

    def test_a_long_passage_shows_its_beginning_until_asked(self, page: Page) -> None:
        card = asked(page, "say:this").locator(".card").first
        before = card.bounding_box()["height"]
        card.get_by_role("button", name="Show all").click()
        assert card.bounding_box()["height"] > before
        card.get_by_role("button", name="Show less").click()
        assert card.bounding_box()["height"] == before


class TestEveryBody:
    def test_a_keyboard_is_enough(self, page: Page, talker: Shop) -> None:
        box = page.get_by_label("Your question")
        expect(box).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.type("one")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("two")
        assert talker.asked == []
        page.keyboard.press("Enter")
        expect(page.locator(".exchange")).to_have_attribute("aria-busy", "false")
        assert said(talker) == [("user", "one\ntwo")]
        expect(box).to_be_focused()
        reached = set()
        for _ in range(20):
            page.keyboard.press("Shift+Tab")
            name, outline = page.evaluate(
                "(() => { const on = document.activeElement;"
                "return [on.getAttribute('aria-label') ?? on.textContent, getComputedStyle(on).outlineStyle]; })()"
            )
            reached.add(name)
            if name.startswith("Source 1"):
                assert outline == "solid"
        wanted = {"Source 1: Kettle", "Good answer", "Bad answer", "Answer again", "Thoughts", "New conversation"}
        assert wanted <= reached

    def test_every_control_has_a_name(self, page: Page) -> None:
        asked(page, "a kettle?").get_by_role("button", name="Bad answer").click()
        nameless = page.locator("button:visible, textarea:visible, input:visible").evaluate_all(
            "(all) => all.filter((one) =>"
            "!(one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.length))"
            ".map((one) => one.outerHTML)"
        )
        assert nameless == []

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_a_phone_shows_all_of_it(self, opened: Callable[..., Page], at: At, scheme: str) -> None:
        screen = {"width": 360, "height": 640}
        page = opened(at.url, viewport=screen, color_scheme=scheme, has_touch=True, is_mobile=True)
        for question in ("say:" + "a-word-without-an-end" * 20 + "\n```\n" + "x" * 400 + "\n```", "late", "a kettle?"):
            asked(page, question)
            assert page.evaluate("document.documentElement.scrollWidth") == 360
        page.locator(".exchange").last.get_by_role("button", name="Bad answer").click()
        small = page.locator("button:visible:not(.cite):not(.more)").evaluate_all(
            "(all) => all.map((one) => one.getBoundingClientRect())"
            ".filter((box) => box.height < 40 || box.width < 40).length"
        )
        assert small == 0
        dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (int(re.findall(r"\d+", dark)[0]) < 64) == (scheme == "dark")

    def test_nothing_moves_for_those_who_do_not_want_it(self, opened: Callable[..., Page], at: At) -> None:
        page = opened(at.url, reduced_motion="reduce")
        moving = "getComputedStyle(document.querySelector('.waiting'), '::after').animationName"
        asked(page, "a kettle?")
        assert page.evaluate(moving) == "none"
        page.emulate_media(reduced_motion="no-preference")
        assert page.evaluate(moving) == "breathe"


def test_text_stands_out_from_what_is_behind_it() -> None:
    """WCAG 2: 4.5 to 1 for text, 3 to 1 for the edges of controls."""

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    pairs = [(text, back, 4.5) for text in ("ink", "soft") for back in ("paper", "raised", "sunk")]
    pairs += [("ink", "tint", 4.5), ("accent", "tint", 4.5), ("accent", "paper", 4.5), ("accent", "raised", 4.5)]
    pairs += [("on-accent", "accent", 4.5), ("warn", "warn-tint", 4.5), ("ink", "warn-tint", 4.5)]
    pairs += [("edge", "raised", 3), ("edge", "paper", 3)]
    day, night = (dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in CSS.read_text().split("@media", 2)[:2])
    assert day.keys() == night.keys()
    for colours in (day, night):
        for text, back, least in pairs:
            bright, dim = sorted((light(colours[text]), light(colours[back])), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= least, (text, back, colours[text])
