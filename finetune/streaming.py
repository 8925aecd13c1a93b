"""A text that grows token by token, shown as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from finetune.rendering import CLOSE, OPEN

BROKEN = "\ufffd"
"""What a decoder shows for bytes that are no whole letter yet."""


def text_pieces(tokens: Iterable[int], decode: Callable[[list[int]], str]) -> Iterator[str]:
    """The text of tokens as they come; a letter of several tokens is held back until it is whole.

    Together the pieces are `decode` of all tokens (but where that ends within a letter: what is broken may show
    otherwise). Each is decoded with what was shown last before it, because a
    tokenizer like Llama-2's drops the space before a text's first word.
    """
    ids: list[int] = []
    before = shown = 0  # ids[before:shown] was the last piece, and what came before is no longer looked at
    for token in tokens:
        ids.append(token)
        known, text = decode(ids[before:shown]), decode(ids[before:])
        if len(text) > len(known) and not text.endswith(BROKEN):
            yield text[len(known) :]
            before, shown = shown, len(ids)
    rest = decode(ids[before:])[len(decode(ids[before:shown])) :]
    if rest:
        yield rest


def thought_pieces(pieces: Iterable[str], opened: bool) -> Iterator[tuple[bool, str]]:
    """Pieces of a generated text, each with whether it is thought; the tags, and white space around them, left out.

    opened: the prompt ended with `<think>`. Text that may be the beginning of a tag is held back until it is known.
    """
    state, held = ("thought" if opened else "start"), ""
    for piece in pieces:
        held += piece
        if state == "start":
            held = held.lstrip()
            if OPEN.startswith(held):
                continue
            state = "thought" if held.startswith(OPEN) else "answer"
            held = held.removeprefix(OPEN).lstrip()
        if state == "thought":
            thought, closed, rest = held.partition(CLOSE)
            safe = (thought if closed else thought[: len(thought) - _overlap(thought, CLOSE)]).rstrip()
            if safe:
                yield True, safe
            held = rest if closed else thought[len(safe) :]
            state = "gap" if closed else state
        if state == "gap":
            held = held.lstrip()
            state = "answer" if held else state
        if state == "answer" and held:
            yield False, held
            held = ""
    if held.strip():
        yield state == "thought", held


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` are the beginning of `tag`."""
    return next((length for length in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:length])), 0)
