"""Text of others in Markdown."""

from __future__ import annotations


def plain(text: str) -> str:
    """Text that cannot break out of a Markdown line or table cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def code(text: str) -> str:
    """A name or a path as code: it cannot end the backticks around it."""
    return "`" + " ".join(text.split()).replace("`", "'") + "`"
