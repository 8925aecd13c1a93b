"""The last step before a reader: nothing that is left can load, be clicked, or pass for a citation.

Whatever the steps before let through, and whatever came together where they took something out, no output has `<`
before a name or an address, `![`, `](`, `]:`, an entity, or an [n] that nobody checked. This is held character by
character, by what was written last, so that no way of nesting one thing in another gets around it.
"""

from __future__ import annotations

from rag.citations import is_citation
from rag.lexer import CITE, CITED, CODE, CODED, LINK, LINKED

_TAIL = frozenset(".,;:!?)'\"*_~>]}”’»。，、")
"""After an address these are punctuation to every renderer; anything else would be read as more of it."""
_OPENS, _CLOSES = frozenset("[［【〔"), frozenset("]］】〕")


class Seal:
    """Writes checked citations and addresses out, and breaks, with a space, whatever else a renderer would act on.

    White space at both ends is dropped.
    """

    def __init__(self) -> None:
        self._space = self._last = self._closes = ""
        self._checked = self._after_link = self._angle = False
        self._since: str | None = None  # what was written since a bracket opened that no step has checked
        self._entity = 0  # characters since an ampersand

    def feed(self, text: str) -> str:
        return "".join(map(self._take, text))

    def close(self) -> str:
        return ""

    def _take(self, one: str) -> str:
        if one.isspace():
            self._space += one if self._last and len(self._space) < 64 else ""
            return ""
        if one == LINKED:
            self._checked, self._after_link = False, True
            return ""
        space, self._space = self._space, ""
        if one in (CITE, CODE, LINK):
            gap = " " if not space and (self._last in ("!", "<") or self._after_link) else ""
            self._checked, self._after_link, self._since, self._entity = True, False, None, 0
            index = one == CODE and not gap + space and (self._last.isalnum() or self._last in "_)]")
            opens, self._closes = ("[", "]") if index or one == CITE else ("(", ")")  # an index that has lost its name
            shown = "" if one == LINK else opens
            self._last = shown or space[-1:] or gap or self._last
            return space + gap + shown
        if one in (CITED, CODED):
            self._checked, self._last = False, self._closes
            return self._closes
        if self._checked:
            self._last = one
            return space + one
        return self._guarded(one, space)

    def _guarded(self, one: str, space: str) -> str:
        gap = " " if not space and self._acts(one) else ""
        self._after_link = self._after_link and not space and one in _TAIL
        if one == "&" or not (one.isalnum() or one == "#") or space:
            self._entity = int(one == "&")
        elif self._entity:
            self._entity += 1
        if one in _OPENS:
            self._since = one
        elif self._since is not None:
            self._since += space + gap + one
            if one in _CLOSES and is_citation(self._since):
                self._since = None
                return space
            if one in _CLOSES or len(self._since) > 200:
                self._since = None
        self._angle = one == "<" or (self._angle and not space + gap and one != ">")
        self._last = one
        return space + gap + one

    def _acts(self, one: str) -> bool:
        """Whether a renderer would act on `one` right after what was last written."""
        if self._after_link and one not in _TAIL:
            return True
        if self._last == "<":
            return one.isascii() and one not in "0123456789=-<"
        if self._angle and one in "@:":
            return True
        if self._last == "]":
            return one in "(:"
        return (self._last == "!" and one == "[") or (one == ";" and 1 < self._entity < 40)
