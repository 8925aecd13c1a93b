"""What went wrong with a request, in the form in which OpenAI's clients read it."""

from __future__ import annotations

from collections.abc import Mapping

import orjson


class ApiError(Exception):
    """An answer that is an error: an HTTP status and one sentence for the caller.

    kind: OpenAI's `type`. code: what a program tells errors apart by. param: the field that is wrong. headers: to be
    sent with it, e.g. Retry-After in seconds.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    def content(self) -> dict[str, object]:
        """The error as JSON."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}

    def body(self) -> bytes:
        """The body of the answer."""
        return orjson.dumps(self.content())


def bad(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """A request that has to be written otherwise."""
    return ApiError(400, message, param=param, code=code)


def fault(status: int, message: str, code: str) -> ApiError:
    """Something that is not the caller's fault, and may be gone when it asks again."""
    return ApiError(status, message, kind="server_error", code=code)
