"""Where the endpoint is that answers, and its key."""

from __future__ import annotations

from dataclasses import dataclass, field

from recipes.addresses import address_problem
from recipes.errors import TeacherError
from recipes.keys import look_in, read_key
from recipes.schema import Recipe


@dataclass(frozen=True, slots=True)
class Endpoint:
    """setting: of the recipe, for messages. address: up to and with /v1. timeout: seconds without a word."""

    setting: str
    address: str
    model: str
    key: str | None = field(repr=False)
    timeout: float


def find_endpoint(recipe: Recipe) -> Endpoint:
    """The endpoint that `assistant` names, or the teacher. Raises TeacherError where its key is missing, or its address
    is not one that a key may be sent to.
    """
    assert recipe.assistant is not None
    named = recipe.assistant.endpoint
    if named is None:
        teacher = recipe.chat_teacher()
        setting, address, variable = "teacher", teacher.address(), teacher.key_variable()
        model, timeout = teacher.model, teacher.timeout
    else:
        setting, address, variable = "assistant.endpoint", named.base_url.rstrip("/"), named.key_env
        model, timeout = named.model, named.timeout
    problem = address_problem(address)
    if problem is not None:
        raise TeacherError(f"{setting}.base_url {problem}")
    look_in(recipe.resolve("."))
    key = read_key(variable)
    if key is None and variable is not None:
        raise TeacherError(
            f"{variable} is not set, and {setting} needs the key in it: export {variable}=..., or write "
            f"{variable}=... into a file .env beside the recipe"
        )
    return Endpoint(setting, address, model, key, timeout)
