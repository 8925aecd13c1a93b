"""What was typed at a prompt in earlier sessions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recipes.console import say


@contextmanager
def typed_before(path: Path) -> Iterator[None]:
    """Have it under the arrow keys, where there is readline (not on Windows), and keep what is typed now.

    path: a file that its owner alone can read.
    """
    try:
        import readline
    except ImportError:
        yield
        return
    readline.set_history_length(500)
    try:
        readline.read_history_file(path)
    except OSError:
        pass  # the first session
    try:
        yield
    finally:
        try:
            path.touch(mode=0o600)
            readline.write_history_file(path)
        except OSError as error:
            say(f"what was typed could not be kept: {error}")
