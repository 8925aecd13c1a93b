"""One text of a source as the teacher and the student will read it: mended, never mangled."""

from __future__ import annotations

import html
import re
import unicodedata
from html.entities import html5

from recipes.rows import storable

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
"""With its semicolon: without one, html.unescape would make `?a=1&region=eu` of a link `?a=1®ion=eu`."""
_CONTROL = dict.fromkeys([*range(9), *range(14, 28), *range(127, 160), 0xFEFF])
"""Control characters that are not white space, and the byte order mark."""
del _CONTROL[0x85]  # NEL: white space


def clean_text(text: str) -> str:
    """Entities decoded (twice at most: `&amp;lt;`), control characters dropped, NFC, white space collapsed.

    Accents, emoji, case, links and punctuation stay: they carry feeling. Lone surrogates become U+FFFD.
    """
    for _ in range(2):
        if "&" not in text:
            break
        text = _ENTITY.sub(_decoded, text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", storable(text).translate(_CONTROL))
    elif not text.isprintable():
        text = text.translate(_CONTROL)
    return " ".join(text.split())


def _decoded(entity: re.Match[str]) -> str:
    name = entity[0][1:]
    return html.unescape(entity[0]) if name.startswith("#") else html5.get(name, entity[0])
