"""Which teacher a recipe means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from recipes.addresses import address_problem
from recipes.chat import ChatModel
from recipes.errors import TeacherError
from recipes.keys import look_in, read_key
from recipes.schema import PROVIDERS, Teacher


@asynccontextmanager
async def open_teacher(teacher: Teacher, folder: Path) -> AsyncIterator[ChatModel]:
    """Yield the chat model that `teacher` names; `folder` is the recipe's, where its `.env` lies.

    Raises TeacherError where the key is missing or the address cannot be a teacher's. Nothing is sent yet. Recorded
    replies need no model: `build.py` plays their journal.
    """
    assert teacher.provider != "recorded", "a recorded teacher is a journal, not a model"
    problem = address_problem(teacher.address())
    if problem is not None:
        raise TeacherError(f"teacher.base_url {problem}")
    key = _key(teacher, folder)
    if teacher.provider == "fireworks":
        from synth.fireworks import Fireworks

        async with Fireworks(
            teacher.address(), teacher.model, key or "", teacher.timeout, teacher.concurrency
        ) as model:
            yield model
        return
    from synth.endpoint import Endpoint

    async with Endpoint(teacher.address(), key, teacher.timeout, teacher.concurrency) as endpoint:
        yield endpoint


def _key(teacher: Teacher, folder: Path) -> str | None:
    """The API key; a provider that has a variable of its own, or a recipe that names one, must have it set."""
    look_in(folder)
    variable = teacher.key_variable()
    key = read_key(variable)
    if key is None and variable is not None:
        own = PROVIDERS[teacher.provider][1] == variable and teacher.key_env is None
        why = f"{teacher.provider} needs an API key" if own else "teacher.key_env names it"
        raise TeacherError(
            f"{variable} is not set, and {why}: export {variable}=..., or write {variable}=... into a file .env "
            "beside the recipe"
        )
    return key
