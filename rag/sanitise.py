"""Text of others made harmless: as data in a prompt, and as characters that a reader sees.

escaped     somebody's words, in which no special token of any tokenizer and no markup of ours is left
data        the same on one line, as a passage stands in a prompt
Characters  what a model writes, without what nobody can see
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache

from rag.lexer import Lexer

_UNSEEN_CHARACTERS = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U0010ffff"
)
"""Controls, bidi overrides, invisible letters, tag characters and variation selectors (both carry hidden text), private
use, halves of surrogate pairs. U+FE0E and U+FE0F stay, which make emoji; joiners, where a script needs them."""
_JOINERS = "\u200c\u200d"
_BREAKS = "\r\x0b\x0c\x85\u2028\u2029"
_ODD = re.compile(f"[{_UNSEEN_CHARACTERS}{_JOINERS}{_BREAKS}]")
_UNSEEN = re.compile(f"[{_UNSEEN_CHARACTERS}]|(?:(?<=[\x00-\x7f])|^)[{_JOINERS}]+")
_LINE_END = re.compile(f"\r\n|[{_BREAKS}]")

_OPENING = re.compile(r"[<＜﹤](?=[^\s\d=]|0x)|[＜﹤]")
"""What may begin a tag or a token such as <|im_end|>, </s>, <think>, <0x0A>; `a < b`, `<3` and `<= 5` stay."""
_TAG = re.compile(r"‹([^<>‹›\n]{1,80})>")
_BRACKETS = str.maketrans("[]［］【】〔〕", "()()()()")
_HEADER = re.compile(r"#{2,}\s*(?=(?:instruction|input|response|question|system|user|assistant)\b)", re.IGNORECASE)

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ENTITY_BEGINS = re.compile(r"&[#\w]{0,33}\Z")
_BACKSLASHES = re.compile(r"\\{1,64}")
_PLAIN = re.compile(f"[^&\\\\{_UNSEEN_CHARACTERS}{_JOINERS}{_BREAKS}]+")


def visible(text: str) -> str:
    """`text` with characters that nobody sees left out, and every line end as a line feed."""
    if _ODD.search(text) is None:
        return text
    return _UNSEEN.sub("", _LINE_END.sub("\n", text))


def escaped(text: str) -> str:
    """Somebody's words that stay words: `<|im_end|>` becomes `‹|im_end|›`, `[INST]` and `[1]` get round brackets, and
    headers of alpaca and think lose their `##`. Where no `<` opens and no square bracket stands, nothing can be closed.
    """
    text = _OPENING.sub("‹", visible(text).translate(_BRACKETS))
    return _HEADER.sub("", _TAG.sub(r"‹\1›", text))


def data(text: str) -> str:
    """`escaped` on one line: no turn, header or delimiter can begin inside."""
    return escaped(" ".join(visible(text).split()))


def folded(text: str) -> str:
    """`text` with look-alikes in place of which ASCII would stand, character by character: `ｈттｐ：⁄⁄` is `http://`."""
    return text if text.isascii() else "".join(map(_folded, text))


_ALIKE = dict(
    zip(
        "。｡․‧∶꞉ː⁄∕⧸╱❘∣аеорсухһіјѕԁтԝνοτρω–—−‐‑‒～",
        "....:::////||aeopcyxhijsdtwvotpw------~",
        strict=True,
    )
)


@lru_cache(maxsize=4096)
def _folded(one: str) -> str:
    plain = unicodedata.normalize("NFKC", one)
    if len(plain) == 1 and plain.isascii() and plain.isprintable():
        return plain
    return _ALIKE.get(one.lower(), one)


class Characters(Lexer):
    """What a model writes, as `visible`, with entities decoded (`&#104;ttps`) and with no backslash before `:/.@[]`: a
    renderer would make an address of both.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last = ""

    def _next(self, text: str, at: int) -> tuple[str, int]:
        shown, end = self._token(text, at)
        self._last = shown[-1:] or self._last
        return shown, end

    def _token(self, text: str, at: int) -> tuple[str, int]:
        plain = _PLAIN.match(text, at)
        if plain is not None:
            return plain[0], plain.end()
        if text[at] == "&":
            return self._entity(text, at)
        if text[at] == "\\":
            return self._backslashes(text, at)
        if text[at] == "\r" and at + 1 == len(text):
            self._more()
        if text[at] in _JOINERS:
            scripts = not self._last.isascii() and unicodedata.category(self._last)[0] in "LMS"  # letters, marks, emoji
            return text[at] if scripts else "", at + 1
        end = at + 2 if text.startswith("\r\n", at) else at + 1
        return visible(text[at:end]), end

    def _entity(self, text: str, at: int) -> tuple[str, int]:
        if _ENTITY_BEGINS.match(text, at):
            self._more()
        entity = _ENTITY.match(text, at)
        if entity is None:
            return "&", at + 1
        return visible(html.unescape(entity[0])).replace("\\", " "), entity.end()

    def _backslashes(self, text: str, at: int) -> tuple[str, int]:
        run = _BACKSLASHES.match(text, at)
        assert run is not None
        if run.end() == len(text) and len(run[0]) < 64:
            self._more()
        live = len(run[0]) == 64 or text[run.end() : run.end() + 1] in tuple(":/.@[]")
        return "" if live else run[0], run.end()
