"""Was a reply cut off? By the limit that was asked for, by a server's own, or without a word about it."""

from __future__ import annotations

from recipes.chat import Reply
from recipes.rows import Outcome

_AROUND = " \t\r\n`"


def cut_off(reply: Reply, outcome: Outcome, max_tokens: int, in_json: bool) -> str | None:
    """How a reply that cannot be read was cut off, and what to raise; None where it has its end.

    outcome: what was made of the reply. max_tokens: what was asked for. in_json: whether it should be a JSON object.
    """
    if reply.finish_reason == "length" and outcome == "truncated":
        where = "was cut off"
    elif outcome == "truncated":
        where = "breaks off inside <think>"
    elif in_json and outcome == "malformed" and _breaks_off(reply.text):
        where = "breaks off inside its JSON object"
    else:
        return None
    tokens = reply.usage.completion
    if tokens >= max_tokens or (not tokens and reply.finish_reason == "length"):
        return f"the reply {where} at {tokens or max_tokens:,} tokens: raise teacher.max_tokens ({max_tokens:,})"
    at = f" at {tokens:,} tokens" if tokens else ""
    return (
        f"the reply {where}{at}, though teacher.max_tokens is {max_tokens:,}: "
        "raise the server's own limit (its context length)"
    )


def _breaks_off(text: str) -> bool:
    """Whether a JSON object begins in `text` and does not end."""
    said = text.rpartition("</think>")[2].strip(_AROUND)
    return said.count("{") > said.count("}") and not said.endswith(("}", "]"))
