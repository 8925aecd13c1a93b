"""Rows that need no teacher: the source has the question and its response.

description  title -> description of a product
chat         a conversation, or a question and its response, of the user's own
"""

from __future__ import annotations

from recipes.rows import Example, ResponseRow


def given_row(task: str, example: Example) -> ResponseRow:
    """The row of an example of `task`, description or chat."""
    fields = example.fields
    if task == "description":
        question, reasoning, response = fields["title"], None, fields["description"]
    else:
        question, reasoning, response = fields["question"], fields.get("reasoning"), fields["response"]
        fields = {name: value for name, value in fields.items() if name not in ("question", "reasoning", "response")}
    return ResponseRow.model_construct(
        id=example.id,
        split=example.split,
        group=example.group,
        history=example.history,
        question=question,
        reasoning=reasoning,
        response=response,
        fields=fields,
        outcome="clean",
    )
