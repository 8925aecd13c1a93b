"""Links, images and markup in an answer: what is not in the passages is stripped, while the text streams.

No image passes, wherever its address is from, and no markup. A link that stands in a passage, to the letter, is shown
as its address; `[words](address)` becomes `words (address)`, so that nobody clicks on words that say something else.
Of any other link the words stay and the address goes; how many went is counted. What is written here is for the reader;
that nothing can load or be clicked whatever comes of it is `Seal`'s part.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from rag.lexer import CITED, LINK, LINKED, Lexer
from rag.sanitise import folded

_MOST_WORD, _MOST_TAG, _MOST_ADDRESS, _MOST_LABEL, _MOST_WORDS = 2000, 1000, 2000, 100, 300
_MOST_SPACE = 64
_DEEPEST = 16

_STOPS = '<>"`\\[\\]{}|^!\ue000-\ue005“”„«»‘’…。，、；：！？（）「」『』《》'
_WORD = re.compile(rf"[^\s{_STOPS}]{{1,{_MOST_WORD}}}")
_SPACE = re.compile(r"\s+")
_HINT = re.compile(r"[:.@/]|[^\x00-\x7f]")
_CLOSERS = ".,;:?)'*_~"
_WORDLIKE = "info|io|app|dev|ai|example|test|invalid|ru|cn|uk|de|fr|eu"
_TOP = f"com|net|org|biz|gov|edu|xyz|onion|(?-i:{_WORDLIKE}|{_WORDLIKE.upper()})"
"""Ends of names that stand for an address with no path too; `steel.De luxe` only lacks a space."""
_FILE = "(?:jsx?|tsx?|py|md|txt|pdf|exe|zip|mp[34]|wav|jpe?g|png)"
_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]{1,40}:[/\\]|data:[^\s]*[,;/]|"
    r"(?:https?|ftp|wss?|javascript|vbscript|blob|mailto|tel|sms|file|intent|magnet):(?=\S)|"
    r"/(?=/[\w\[])|www\d{0,3}\.(?=[\w-])|[\w.+-]{1,64}@[\w-]+\.[\w-]|"
    rf"(?:[\w-]{{1,63}}\.){{1,8}}(?:{_TOP})(?![\w-]|\.\w)|"
    rf"(?:[\w-]{{1,63}}\.){{1,8}}(?!{_FILE}[^\w])(?-i:[a-z]{{2,24}}|[A-Z]{{2,24}})(?:/\w|:\d+/|\?\w+=)|"
    r"\d{1,3}(?:\.\d{1,3}){3}(?=[/:]\S)",
    re.IGNORECASE,
)
"""Where an address begins in a run without spaces. `node.js`, `1.5/2.0` and `U.S./U.K.` are none."""
_JOINED = re.compile(r"[A-Za-z0-9.%+_-]+\Z")
"""Before an address this is a part of it: left alone, `evil.com` of `evil.comhttps://x` would become one."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?!\d)")
_NO_ADDRESS = frozenset({"asp.net", "vb.net", "ado.net"})
_WORDS = re.compile(rf"[^\[\]]{{0,{_MOST_WORDS}}}")
_LABEL = re.compile(rf"\[[^\[\]\n]{{0,{_MOST_LABEL}}}")
_MIDDLE, _BEFORE, _AFTER = ":/.@", "(*\"'“‘«", ",;!)*\"'”’»"
"""Before and after these nothing joins into an address, but for what would stand in the middle of one."""
_PARENTHESIS = re.compile(r"[()]|\n\s*\n")
_DESTINATION = re.compile(r"\( ?(?:<([^<>]*)>|([^ <]*))(?: (?:\"[^\"]*\"|'[^']*'|\([^()]*\)))? ?\)")
_LOOKS_LIKE_ADDRESS = re.compile(r"[/\\:#?&=%@]|\.\w")
_PAIRS = frozenset(("()", "**", "''", "__", "~~"))
_TAG = re.compile(rf"<[^<>]{{1,{_MOST_TAG}}}")
_BREAKING = re.compile(r"</?(?:br|p|div|li|ul|ol|tr|table|h[1-6])\b", re.IGNORECASE)
_BARE_TAG = re.compile(r"</.*|<[a-z][a-z0-9]*\s*/?>", re.IGNORECASE | re.DOTALL)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


def web_addresses(texts: Iterable[str]) -> frozenset[str]:
    """The addresses of web pages and of mail that stand in `texts`, as they are written."""
    found = (_address(word) for text in texts for word in _WORD.findall(text))
    return frozenset(address for _, address, _ in filter(None, found) if is_web(address))


def is_web(address: str) -> bool:
    """Whether an address has no scheme, or one that only leads to a page or to a mail."""
    scheme = _SCHEME.match(address)
    return scheme is None or scheme[1].lower() in ("http", "https", "mailto")


class Links(Lexer):
    """Strips addresses that are not in `allowed`, all images and all markup.

    stripped: how many; tags without attributes, which load nothing, are not counted.
    """

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__()
        self.stripped = 0
        self._allowed = frozenset(allowed)
        self._hosts = frozenset(address.lower() for address in allowed if not set("/:?#") & set(address))
        self._last = self._said = ""

    def _next(self, text: str, at: int) -> tuple[str, int]:
        shown, end = self._token(text, at)
        self._last, self._said = text[end - 1], shown[-1:] or self._said
        return shown, end

    def _token(self, text: str, at: int) -> tuple[str, int]:
        one = text[at]
        if one in "![" and (link := self._link(text, at)):
            return link
        if one == "<":
            return self._tag(text, at)
        if one == "(" and self._last in ("]", CITED):
            address, end = self._destination(text, at)
            if _LOOKS_LIKE_ADDRESS.search(address):
                return self._shown(address, "", " ({})"), end
        word = _WORD.match(text, at)
        if word is not None:
            if word.end() == len(text) and len(word[0]) < _MOST_WORD:
                self._more()
            return self._word(word[0]), word.end()
        space = _SPACE.match(text, at)
        return self._space(space[0], text, space.end()) if space else (one, at + 1)

    def _space(self, space: str, text: str, end: int) -> tuple[str, int]:
        """White space, left out where nothing would be shown of the word after it but its punctuation."""
        if len(space) > _MOST_SPACE:
            return space, end
        if end == len(text):
            self._more()
        word = _WORD.match(text, end)
        if word is None:
            return space, end
        if word.end() == len(text) and len(word[0]) < _MOST_WORD:
            self._more()
        found = _address(word[0])
        goes = found is not None and not self._stays(found[1]) and not _around(*found)[0]
        return ("" if goes and "\n" not in space else space), end

    def _word(self, word: str) -> str:
        """A run without spaces; a very long one gets a space: what goes on after it is looked at anew."""
        cut = " " if len(word) == _MOST_WORD else ""
        found = _address(word)
        if found is None:
            return word + cut
        before, address, after = found
        shown = self._shown(address, "")
        if not shown:
            before, after = _around(before, address, after)
        return before + shown + after + cut

    def _link(self, text: str, at: int) -> tuple[str, int] | None:
        """`[words](address)`, `[words][label]`, and the same with `!` before it."""
        image = text[at] == "!"
        start = at + image
        if start == len(text):
            self._more()
        if text[start : start + 1] != "[":
            return None
        words = _WORDS.match(text, start + 1)
        assert words is not None
        after, blank = words.end() + 1, _BLANK_LINE.search(words[0])
        if after > len(text) and not blank:
            self._more()
        if text[words.end() : after] != "]" or blank:
            return None
        if after == len(text):
            self._more()
        address, end = self._destination(text, after)
        if end == after and (label := self._label(text, after)):
            end = label
        elif end == after or not (image or _LOOKS_LIKE_ADDRESS.search(address)):
            return None
        self._wait_beyond(text, end)
        inside = Links(self._allowed)
        said = inside.whole(words[0])
        self.stripped += inside.stripped
        return self._apart(said + self._shown("" if image else address, "", " ({})"), text, end), end

    def _destination(self, text: str, at: int) -> tuple[str, int]:
        """The address in `(address "title")` and where that ends; `at` where there is none."""
        if text[at : at + 1] != "(":
            return "", at
        depth = 0
        for found in _PARENTHESIS.finditer(text, at, at + _MOST_ADDRESS):
            depth += {"(": 1, ")": -1}.get(found[0], _DEEPEST)
            if depth >= _DEEPEST:
                return "", at
            if depth == 0:
                inside = _DESTINATION.fullmatch(" ".join(text[at : found.end()].split()))
                return ("", at) if inside is None else (inside[1] or inside[2] or "", found.end())
        if len(text) < at + _MOST_ADDRESS:
            self._more()
        return "", at

    def _label(self, text: str, at: int) -> int:
        """Where a label `[...]` at `at` ends; 0 where there is none."""
        label = _LABEL.match(text, at)
        if label is None:
            return 0
        if label.end() == len(text):
            self._more()
        return label.end() + 1 if text[label.end() : label.end() + 1] == "]" else 0

    def _tag(self, text: str, at: int) -> tuple[str, int]:
        """Markup is left out; `<` alone stays."""
        if at + 1 == len(text):
            self._more()
        first = text[at + 1 : at + 2]
        tag = _TAG.match(text, at)
        if tag is None or not (first in "/!?|" or (first.isascii() and first.isalpha())):
            return "<", at + 1
        blank = _BLANK_LINE.search(tag[0])
        if tag.end() == len(text) and not blank:
            self._more()
        if text[tag.end() : tag.end() + 1] != ">" or blank:
            return "<", at + 1
        end = tag.end() + 1
        self._wait_beyond(text, end)
        inside = tag[0][1:].strip()
        if _ADDRESS.match(folded(inside)) and not re.search(r"\s", inside):
            shown = self._apart(self._shown(inside, ""), text, end)
            return shown, end + (not shown and self._said.isspace() and text[end : end + 1] == " ")
        self.stripped += not _BARE_TAG.fullmatch(tag[0] + ">")
        if _BREAKING.match(tag[0]):
            return "\n" if self._said != "\n" else "", end
        return self._apart("", text, end), end + (self._said.isspace() and text[end : end + 1] == " ")

    def _stays(self, address: str) -> bool:
        plain = re.sub(r"^(?:https?://|mailto:)", "", address)
        return address in self._allowed or plain in self._allowed or address.lower() in self._hosts

    def _shown(self, address: str, instead: str, form: str = "{}") -> str:
        """An address that stays, in its form; `instead` of any other, which is counted."""
        if self._stays(address):
            return form.format(f"{LINK}{address}{LINKED}")
        self.stripped += 1
        return instead

    def _wait_beyond(self, text: str, end: int) -> None:
        """Wait for what `_apart` looks at."""
        if end == len(text) or (end + 1 == len(text) and _joins(text[end])):
            self._more()

    def _apart(self, shown: str, text: str, end: int) -> str:
        """What stands where something was left out, with spaces where the words around it would else join."""
        after = text[end : end + 1]
        if not shown:
            joins = self._said not in _BEFORE and (after not in _AFTER or folded(self._said) in _MIDDLE)
            return " " if joins and self._said.strip() and after.strip() else ""
        begin = " " if self._said.strip() and self._said not in _BEFORE else ""
        goes_on = _joins(after) and text[end + 1 : end + 2].isalnum()
        joins = goes_on or after.isalnum() or bool(after.strip() and folded(shown[-1]) in _MIDDLE)
        return begin + shown + (" " if joins else "")


def _address(word: str) -> tuple[str, str, str] | None:
    """What stands before the address in a run without spaces, the address, and the punctuation that follows."""
    if not _HINT.search(word):
        return None
    begin = _ADDRESS.search(folded(word))
    if begin is None:
        return None
    before = _JOINED.sub("", word[: begin.start()])
    address = word[len(before) :].rstrip(_CLOSERS)
    if address.lower() in _NO_ADDRESS or not address:
        return None
    return before, address, word[len(before) + len(address) :]


def _joins(letter: str) -> bool:
    """Whether a letter stands in the middle of addresses."""
    return bool(letter) and folded(letter) in (*_MIDDLE, "-")


def _around(before: str, address: str, after: str) -> tuple[str, str]:
    """What stands around an address that goes, without the marks that held nothing else."""
    after = after.replace(")", "", max(0, address.count("(") - address.count(")")))
    while before and after and before[-1] + after[0] in _PAIRS:
        before, after = before[:-1], after[1:]
    return before, after
