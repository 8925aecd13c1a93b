"""The chat page in headless Chromium: what others wrote is harmless there, and everybody can use it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import Page, asked, expect, said
from browsing import at_home as at_home
from browsing import launched as launched
from browsing import served as served
from browsing import shop as shop
from browsing import watched as watched
from talking import At, Shop, serving

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

    def test_what_is_heard_are_words(self, page: Page) -> None:
        heard = page.get_by_role("status")
        asked(page, "say:" + MARKED)
        expect(heard).to_have_text("Two kettles and a teapot: the first, of steel glass 2 * 3 * 4 Care one two <b>[1]")
        asked(page, "say:quoted")
        expect(heard).to_have_text("quoted The model gave no answer: these are sentences of the sources.")

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


class TestForShoppers:
    def test_thoughts_that_are_hidden_leave_no_fold(self, opened: Callable[..., Page], talker: Shop) -> None:
        with serving(talker, thoughts="hide") as at:
            answer = asked(opened(at.url), "a kettle?")
            expect(answer.locator(".text")).to_contain_text("The kettle costs 20 pounds")
            expect(answer.locator(".thoughts")).to_be_hidden()
            expect(answer.locator(".thought")).to_have_text("")

    def test_what_stands_near_a_refusal_is_no_source_of_it(self, page: Page) -> None:
        answer = asked(page, "say:none")
        answer.get_by_text("Nearest in the catalogue: 2").click()
        assert [card.get_attribute("aria-label") for card in answer.locator(".card").all()] == ["Entry 1", "Entry 2"]
        expect(answer.get_by_text("2 sources")).to_have_count(0)

    def test_what_the_operator_is_to_know_they_are_not_told(self, page: Page, talker: Shop) -> None:
        fetched: list[str] = []
        page.on("request", lambda request: fetched.append(request.url))
        talker.index = "old"
        asked(page, "a kettle?")
        assert not any("health" in url for url in fetched)
        assert "catalogue has changed" not in page.content()


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
