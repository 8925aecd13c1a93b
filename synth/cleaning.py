"""A text of a source as the teacher and the student will read it: mended, never mangled.

clean_text    a text without markup, such as a tweet
clean_markup  a text of the web, such as a product's description: tags go, their words stay
clean_blocks  the same in lines, as a page shows it
clean_layout  a text whose lines mean something, such as a chat answer with code
"""

from __future__ import annotations

import html
import re
import unicodedata
from html.entities import html5

from recipes.rows import storable

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
"""With its semicolon: without one, html.unescape would make `?a=1&region=eu` of a link `?a=1®ion=eu`."""
_CONTROL = re.compile("[\\x00-\\x08\\x0e-\\x1b\\x7f-\\x84\\x86-\\x9f\\ufeff]")
"""Control characters that are not white space (x85, NEL, is), and the byte order mark."""

_BLOCKS = (
    "address|article|aside|blockquote|body|br|caption|center|dd|details|div|dl|dt|embed|fieldset|figcaption|figure|"
    "footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|img|input|legend|li|link|main|map|meta|nav|noscript|"
    "object|ol|optgroup|option|p|param|pre|section|select|source|summary|table|tbody|td|textarea|tfoot|th|thead|title|"
    "tr|ul|video"
)
_INLINE = (
    "a|abbr|acronym|b|basefont|bdi|bdo|big|button|cite|code|del|dfn|em|font|i|ins|kbd|label|mark|nobr|q|s|samp|small|"
    "span|strike|strong|sub|sup|time|tt|u|var|wbr"
)
# Only attributes as HTML writes them make it a tag: in `a<b and c>d` nothing is markup.
_ATTRIBUTES = (
    r"(?:\s+(?:[\w:-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>=]+)|nowrap|noshade|compact|hidden))*\s*(?:/\s*)?>"
)
_TAG = re.compile(rf"</?(?:(?P<block>{_BLOCKS})|(?:{_INLINE})){_ATTRIBUTES}", re.IGNORECASE)
_WITHIN = re.compile(r"(?:td|th|img|input|embed|param|source|map|option)\Z", re.IGNORECASE)
"""Of these tags those within a line."""
_BULLET = re.compile(r"(?:[-*•·▪●◦‣–—]|\d{1,2}[.)])\s")
_BULLETS = re.compile(r"\s(?=[•▪●◦‣]\s)")
_UNSEEN = [
    (re.compile("<!--"), re.compile("-->")),
    (re.compile("<(?=!doctype)", re.IGNORECASE), re.compile(">")),
    (re.compile(r"<script\b", re.IGNORECASE), re.compile(r"</script\s*>", re.IGNORECASE)),
    (re.compile(r"<style\b", re.IGNORECASE), re.compile(r"</style\s*>", re.IGNORECASE)),
]
"""Where that begins and ends which no reader of a page sees."""


def clean_text(text: str) -> str:
    """Entities decoded (twice at most: `&amp;lt;`), control characters dropped, NFC, white space collapsed.

    Accents, emoji, case, links and punctuation stay: they carry feeling. Lone surrogates become U+FFFD.
    """
    return " ".join(_mended(_decoded(text)).split())


def clean_markup(text: str) -> str:
    """The same without HTML tags: a block's tag (`<br/>`, `<li>`) leaves a space, one inside a line (`<b>`) nothing.

    What is no tag of HTML stays: `a < b`, `<3`, `<stdio.h>`. Comments, scripts and style sheets go with their content.
    """
    return " ".join(_mended(_untagged(text, " ")).split())


def clean_blocks(text: str) -> str:
    """The same with what a page shows as blocks on lines of their own: paragraphs, items of lists, rows of tables.
    Other line ends are spaces, but before a bullet and after an empty line.
    """
    text = _mended(_untagged(text, "\n\n"))
    if text.isascii() and text.isprintable():  # one line, as most texts are
        return " ".join(text.split())
    lines: list[list[str]] = []
    goes_on = False
    for line in _BULLETS.sub("\n", text).splitlines():
        words = line.split()
        if words and goes_on and not _BULLET.match(line.lstrip()):
            lines[-1] += words
        elif words:
            lines.append(words)
        goes_on = bool(words)
    return "\n".join(map(" ".join, lines))


def _untagged(text: str, between: str) -> str:
    """Entities decoded, and no tags. between: what stands where a block begins or ends."""
    text = _decoded(text)
    if "<" in text:
        for opening, closing in _UNSEEN:
            text = _without(text, opening, closing)
        text = _TAG.sub(lambda tag: "" if not tag["block"] else " " if _WITHIN.match(tag["block"]) else between, text)
    return text


def clean_layout(text: str) -> str:
    """Control characters dropped, NFC, line ends as `\\n`, white space cut at both ends; all else as it is."""
    return _mended(text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def _without(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> str:
    """A space in place of each part from `opening` to `closing`."""
    parts, at = [], 0
    while (begin := opening.search(text, at)) and (end := closing.search(text, begin.end())):
        parts.append(text[at : begin.start()])
        at = end.end()
    return " ".join([*parts, text[at:]])


def _decoded(text: str) -> str:
    for _ in range(2):
        if "&" not in text:
            break
        text = _ENTITY.sub(_character, text)
    return text


def _mended(text: str) -> str:
    if not text.isascii():
        return unicodedata.normalize("NFC", _CONTROL.sub("", storable(text)))
    return text if text.isprintable() else _CONTROL.sub("", text)


def _character(entity: re.Match[str]) -> str:
    name = entity[0][1:]
    return html.unescape(entity[0]) if name.startswith("#") else html5.get(name, entity[0])
