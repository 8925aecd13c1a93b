"""The chat page in headless Chromium, on a real server with a scripted assistant: a conversation and its troubles."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import Page, ask, asked, expect, said
from browsing import at_home as at_home
from browsing import launched as launched
from browsing import served as served
from browsing import shop as shop
from browsing import watched as watched
from talking import EXAMPLES, At, Shop, serving

KETTLE = "The kettle costs 20 pounds [1]. ☕"


def rows(folder: Path, rating: str) -> list[dict[str, object]]:
    path = folder / "feedback" / f"{rating}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


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
        expect(page.locator("#examples button")).to_have_text(list(EXAMPLES))
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

    def test_that_no_model_wrote_it_is_said(self, page: Page) -> None:
        expect(asked(page, "say:quoted").get_by_text("The model gave no answer")).to_be_visible()

    def test_an_index_in_code_is_no_citation(self, page: Page) -> None:
        answer = asked(page, "say:take `a[1]`: glass [2]")
        expect(answer.get_by_text("2 sources, 1 cited")).to_be_visible()
        expect(answer.locator(".card.cited")).to_have_attribute("data-number", "2")


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

    def test_a_rating_that_comes_late_is_not_of_the_next_answer(self, page: Page) -> None:
        answer, held = asked(page, "a kettle?"), []
        page.route("**/feedback", lambda route: held.append(route))
        with page.expect_request("**/feedback"):
            answer.get_by_role("button", name="Good answer").click()
        answer.get_by_role("button", name="Answer again").click()
        expect(answer.locator(".text")).to_contain_text("The kettle costs 20 pounds")
        expect(answer).to_have_attribute("aria-busy", "false")
        with page.expect_response("**/feedback"):
            held[0].continue_()
        page.evaluate("new Promise((done) => setTimeout(done, 50))")
        expect(answer.locator(".receipt")).to_have_text("")
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
