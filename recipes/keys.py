"""API keys: read from the environment or a `.env` file, held in memory, and taken out of any text that is shown.

A key is never put into `os.environ` (child processes and crash reports would have it) and never written to disk.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from recipes.errors import TeacherError

_folders: list[Path] = []
_seen: set[str] = set()

_LOOKS_LIKE_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|xai|gsk|fw|fpk|hf|r8|nvapi|pplx|csk|tgp|key)[-_](?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}"
    r"|AIza[A-Za-z0-9_-]{30,}|AKIA[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{30,}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_.-]{10,})"
)
"""How the providers' keys begin: OpenAI, DeepSeek, Anthropic, Fireworks, Hugging Face, Groq, Google, JWTs ..."""
_LONG_TOKEN = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_\-.]{28,}")


def look_in(folder: Path) -> None:
    """Read `folder/.env` too (the recipe's folder) when a key is asked for."""
    if folder not in _folders:
        _folders.append(folder)


def read_key(variable: str | None) -> str | None:
    """The key in the environment variable `variable`, else in `.env` of the working directory or the recipe's folder.

    None where there is no such variable or it is empty. Raises TeacherError for a key that no header can carry.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    for folder in [] if key else [Path.cwd(), *_folders]:
        key = key or _dotenv(folder / ".env").get(variable, "")
    if not key:
        return None
    _seen.add(key)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise TeacherError(
            f"{variable} does not hold one API key: it has a space, a line break or a letter beyond ASCII"
        )
    return key


def _dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        values = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise TeacherError(f"{path} cannot be read: {reason}") from None
    return {name: value.strip() for name, value in values.items() if value}


def redact(text: str) -> str:
    """`text` with every key that was ever read, and whatever looks like a provider's key, replaced by `[key]`."""
    for key in sorted(_seen, key=len, reverse=True):
        text = text.replace(key, "[key]")
    return _LOOKS_LIKE_KEY.sub("[key]", text)


def looks_like_key(text: str) -> bool:
    """Whether `text` holds something that begins like a provider's key."""
    return _LOOKS_LIKE_KEY.search(text) is not None


def is_long_token(text: str) -> bool:
    """Whether all of `text` looks like a random token: long, letters and digits, no spaces."""
    return _LONG_TOKEN.fullmatch(text) is not None
