"""What a reader of an answer could be harmed by, found by other means than those that take it out: the answer is
rendered as Markdown (markdown-it, raw HTML on) and as HTML, and what comes of it is looked at tag by tag.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from html.parser import HTMLParser

from markdown_it import MarkdownIt

_HARMLESS = re.compile("p|pre|code|ul|ol|li|blockquote|em|strong|br|hr|h[1-6]|s|table|thead|tbody|tr|td|th")
_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_LINKIFIED = re.compile(r"(?:https?://|ftp://|www\.)\w[^\s<]*", re.IGNORECASE)
"""What GitHub's Markdown makes a link of by itself."""
_CITED = re.compile(r"[\[［【〔]\s*(\d+)\s*[\]］】〕]")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not _HARMLESS.fullmatch(tag) or any(name not in ("class", "start") for name, _ in attrs):
            self.found.append(f"<{tag} {attrs}>")

    def handle_comment(self, data: str) -> None:
        self.found.append(f"comment {data}")


def tags(answer: str) -> list[str]:
    """Tags and comments that come of an answer, those of plain formatting aside."""
    found = []
    for page in (answer, _MARKDOWN.render(answer)):
        reader = _Tags()
        reader.feed(page)
        reader.close()
        found += reader.found
    return found


def addresses_in(answer: str) -> list[str]:
    """Addresses that a renderer would make links of."""
    return [found[0].rstrip("?!.,:*_~'\")]}>»”’;。，、") for found in _LINKIFIED.finditer(answer)]


def harm(answer: str, numbers: Collection[int] = (), links: Collection[str] = ()) -> list[str]:
    """All of it: tags, addresses that are not among `links`, citations that are not among `numbers`."""
    found = tags(answer) + [one for one in addresses_in(answer) if one not in links]
    plain = re.sub(r"`[^`\n]*`", "", answer) if "```" not in answer and "~~~" not in answer else ""
    return found + [one[0] for one in _CITED.finditer(plain) if int(one[1]) not in numbers]
