"""Headless Chromium for tests of the chat page, on a real server with a scripted assistant.

Every page is watched: a request to anywhere but 127.0.0.1, a breach of the Content-Security-Policy or an error of a
script fails its test.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from talking import At, Shop, Talker, serving

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


@pytest.fixture(name="browser", scope="module")
def launched() -> Iterator[playwright.Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium, or set CHROMIUM to one")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(name="talker")
def shop() -> Shop:
    return Shop()


@pytest.fixture(name="at")
def served(talker: Shop, tmp_path: Path) -> Iterator[At]:
    with serving(talker, tmp_path) as running:
        yield running


@pytest.fixture(name="opened")
def watched(browser: playwright.Browser) -> Iterator[Callable[..., Page]]:
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


@pytest.fixture(name="page")
def at_home(at: At, opened: Callable[..., Page]) -> Page:
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


def said(talker: Talker, place: int = -1) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in talker.asked[place][0]]
