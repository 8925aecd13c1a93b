"""`[n]` in an answer: read, checked against the passages that were supplied, and taken out where it was invented.

Read are [1], [1, 3], [1][2], [1-3], [[1]], [^1], [#1], [passage 1], 【1】, 【1†source】, digits of any script; what
comes out is [n] alone. In a code span or a fenced block an index that follows a name, as in `a[1]` or `f(x)[0][1]`, is
code and is left alone; any other [n] is a citation there too, since backticks cost a document that forges one nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from rag.lexer import CITE, CITED, CODE, CODED, Lexer

MOST_CHARS = 160
"""Of one group of citations."""
_MOST_CODE, _MOST_LINE = 200, 400
_OPEN, _CLOSE = r"[\[［【〔]", r"[\]］】〕]"
_NUMBER = r"[\d⁰¹²³⁴-⁹₀-₉]{1,20}"
_DASHES, _COMMAS = r"[-–—−‐‑‒~～]", r"[,;，；、&/+]"
_WORDS = r"(?:passage|source|document|doc|ref|citation|item)s?\b"
_SOURCE = rf"(?:{_WORDS}[.:]?\s{{0,3}})?[#^]?"
_ITEM = rf"{_SOURCE}({_NUMBER})(?:\s{{0,3}}(?:{_DASHES}|to\b|through\b)\s{{0,3}}{_SOURCE}({_NUMBER}))?"
_AND = rf"(?:{_COMMAS}(?:\s{{0,3}}(?:and|or)\b)?|(?:and|or)\b)"
_INSIDE = rf"\s{{0,3}}{_ITEM}(?:\s{{0,3}}{_AND}\s{{0,3}}{_ITEM})*\s{{0,3}}(?:†[^\]］】〕\n]{{0,40}})?"
_GROUP = re.compile(rf"{_OPEN}{{2}}{_INSIDE}{_CLOSE}{{2}}|{_OPEN}{_INSIDE}{_CLOSE}", re.IGNORECASE)
"""No two of its repetitions can take the same characters, or a long text that is no group would take for ever."""
_ITEMS = re.compile(_ITEM, re.IGNORECASE)
_MAY_BE = re.compile(
    rf"{_OPEN}{{1,2}}(?:[\s#^.:\d⁰¹²³⁴-⁹₀-₉]|{_DASHES}|{_COMMAS}|{_WORDS}|(?:to|through|and|or)\b)*"
    rf"(?:[a-z]{{0,9}}|(?:†[^\]］】〕\n]*)?{_CLOSE}?)\Z",
    re.IGNORECASE,
)
"""The beginning of a group, or something like it."""
_SPACES = re.compile(r" {1,8}")
_PLAIN = re.compile(r"[^ \n`~\[［【〔]+")
_MAY_FENCE = re.compile(r" {0,3}(?:`{0,64}|~{0,64})\Z")
_FENCE = re.compile(r" {0,3}(`{3,64}|~{3,64})([^\n]{0,100})(\n?)")
_INDEX = re.compile(r"\[[^\[\]]+\]")
_TICKS = re.compile(r"`{1,64}")
_ENDS = frozenset(" \n\t.,;:!?)…。，、")
"""What needs no space before it."""


class Citations(Lexer):
    """Takes invented citations out. numbers: those of the supplied passages; None takes any.

    cited: what was cited, in order, each once. invented: how many were taken out; a range counts as one.
    """

    def __init__(self, numbers: Collection[int] | None) -> None:
        super().__init__()
        self.cited: dict[int, None] = {}
        self.invented = 0
        self._numbers = None if numbers is None else frozenset(numbers)
        self._last = "\n"
        self._fence = ""
        self._gap: str | None = None  # what stood before citations that were taken out, until it is known what follows

    def _next(self, text: str, at: int) -> tuple[str, int]:
        shown, end = self._token(text, at)
        self._last = text[end - 1]
        if shown and self._gap is not None:
            joins = self._gap == "" and shown[0].isalnum()
            shown = ("" if shown[0] in _ENDS else " " if joins else self._gap) + shown
            self._gap = None
        return shown, end

    def _token(self, text: str, at: int) -> tuple[str, int]:
        if self._fence:
            return self._line(text, at)
        if self._last == "\n" and text[at] in " `~" and (fence := self._opened(text, at)):
            return fence
        if text[at] == "`":
            return self._span(text, at)
        spaces = _SPACES.match(text, at)
        start = spaces.end() if spaces else at
        if start == len(text):
            self._more()
        group = self._group(text, start)
        if group is not None:
            return self._cited(group, text[at:start]), group.end()
        if spaces is not None:
            return spaces[0], start
        plain = _PLAIN.match(text, at)
        if plain is not None:
            return plain[0], plain.end()
        long = _MAY_BE.match(text, at, at + MOST_CHARS) is not None and len(text) >= at + MOST_CHARS
        return "(" if long else text[at], at + 1

    def _group(self, text: str, at: int) -> re.Match[str] | None:
        group = _GROUP.match(text, at, at + MOST_CHARS)
        if group is None and len(text) < at + MOST_CHARS and _MAY_BE.match(text, at):
            self._more()
        return group

    def _cited(self, group: re.Match[str], before: str) -> str:
        """A group with the spaces before it; where all of it is invented these wait for what follows."""
        shown = self._checked(group)
        if shown:
            return before + shown
        if self._gap is None:
            self._gap = before or ("" if self._last.isalnum() else None)
        return ""

    def _checked(self, group: re.Match[str]) -> str:
        """The citations of a group that are real."""
        items = _ITEMS.finditer(group[0].partition("†")[0])
        return "".join(f"{CITE}{number}{CITED}" for item in items for number in self._kept(item))

    def _kept(self, item: re.Match[str]) -> list[int]:
        first = _number(item[1])
        last = first if item[2] is None else max(first, _number(item[2]))
        if self._numbers is None:
            kept = list(range(first, min(last, first + 99) + 1))
        else:
            kept = [number for number in sorted(self._numbers) if first <= number <= last]
        self.invented += len(kept) <= last - first and self._numbers is not None
        self.cited.update(dict.fromkeys(kept))
        return kept

    def _opened(self, text: str, at: int) -> tuple[str, int] | None:
        """The line that opens a fenced block, where this is one: its info may have no backtick, or it is a span."""
        if _MAY_FENCE.match(text, at):
            self._more()
        fence = _FENCE.match(text, at)
        if fence is None or "`" in fence[2]:
            return None
        if not fence[3]:
            if fence.end() < len(text):
                return None
            self._more()
        self._fence = fence[1]
        return self._code(fence[0]), fence.end()

    def _line(self, text: str, at: int) -> tuple[str, int]:
        """A line of a fenced block, or as much of it as is looked at together."""
        end = text.find("\n", at, at + _MOST_LINE) + 1 or at + _MOST_LINE
        if end > len(text):
            self._more()
        line = text[at:end]
        closing = line.strip(" \n")
        if self._last == "\n" and len(closing) >= len(self._fence) and set(closing) == {self._fence[0]}:
            self._fence = ""
        return self._code(line), at + len(line)

    def _span(self, text: str, at: int) -> tuple[str, int]:
        """A code span, or the backticks alone where no span begins with them."""
        ticks = _TICKS.match(text, at)
        assert ticks is not None
        window = text[ticks.end() : at + _MOST_CODE].partition("\n")
        for close in _TICKS.finditer(window[0]):
            end = ticks.end() + close.end()
            if len(close[0]) == len(ticks[0]):
                if end == len(text):
                    self._more()
                return ticks[0] + self._code(window[0][: close.end()]), end
        if not window[1] and len(text) < at + _MOST_CODE:
            self._more()
        return ticks[0], ticks.end()

    def _code(self, code: str) -> str:
        """Code, in which an index that follows a name (or another index) is no citation."""
        parts, at, index = [], 0, False
        for group in _GROUP.finditer(code):
            before = code[group.start() - 1 : group.start()]
            follows = before.isalnum() or before in ("_", ")") or (before == "]" and (index or group.start() > at))
            index = follows and _INDEX.fullmatch(group[0]) is not None
            parts.append(code[at : group.start()])
            parts.append(f"{CODE}{group[0][1:-1]}{CODED}" if index else self._checked(group))
            at = group.end()
        return "".join(parts) + code[at:]


def find_citations(text: str) -> tuple[int, ...]:
    """The numbers that an answer cites, in order, each once; an index in code is none."""
    reader = Citations(None)
    reader.whole(text)
    return tuple(reader.cited)


def without_citations(text: str) -> str:
    """An answer without its citations: in a later turn the same numbers are other passages."""
    return Citations(()).whole(text).replace(CODE, "[").replace(CODED, "]")


def is_citation(text: str) -> bool:
    """Whether `text` is one group of citations."""
    return _GROUP.fullmatch(text) is not None


def _number(digits: str) -> int:
    return int("".join(str(unicodedata.digit(one)) for one in digits))
