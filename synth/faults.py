"""What can go wrong with a call to a teacher, and what each kind means for the call and for the run.

kind           example                                  sent again   may be billed   ends the run
rate_limited   429                                      yes          no              if nothing else comes back
server         500, 502, 503, 529                       yes          no              "
connection     refused, reset before the request        yes          no              "
broken         reset or cut after the request           yes          yes             "
timeout        no answer in time, 408, 504              yes          yes             "
bad_body       200 with no JSON, no choices             yes          yes             "
web_page       200 with HTML                            yes          yes             if it is the first thing ever seen
rejected       400, 413, 422: this request is wrong     no           no              if every request is
redirected     3xx: never followed, the key stays here  no           no              yes
unauthorised   401, 403                                 no           no              yes
not_found      404                                      no           no              yes
quota          402, insufficient_quota                  no           no              yes
"""

from __future__ import annotations

from typing import Literal

from recipes.chat import Usage

Kind = Literal[
    "rate_limited",
    "server",
    "connection",
    "broken",
    "timeout",
    "bad_body",
    "web_page",
    "rejected",
    "redirected",
    "unauthorised",
    "not_found",
    "quota",
]

_AGAIN = frozenset({"rate_limited", "server", "connection", "broken", "timeout", "bad_body", "web_page"})
_BILLED = frozenset({"broken", "timeout", "bad_body", "web_page"})
_STOPS = frozenset({"redirected", "unauthorised", "not_found", "quota"})
_NO_QUOTA = ("insufficient_quota", "insufficient balance", "billing_hard_limit")
"""Not 'exceeded your current quota': Gemini says so of an ordinary 429 too."""


class Fault(Exception):
    """One call that brought no reply.

    message: what the provider or the network said, short, without a key. retry_after: seconds the provider asked to
    wait. usage: tokens the provider counted all the same.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        status: int | None = None,
        retry_after: float | None = None,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(f"{status}: {message}" if status else message)
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.usage = usage

    @property
    def again(self) -> bool:
        """Whether sending the same request again may help."""
        return self.kind in _AGAIN

    @property
    def may_be_billed(self) -> bool:
        """Whether the provider may charge for the call."""
        return self.kind in _BILLED

    @property
    def stops(self) -> bool:
        """Whether every other call would fail the same way."""
        return self.kind in _STOPS


def kind_of_status(status: int, said: str) -> Kind:
    """The kind of an HTTP error; `said` is its body, in which a spent account is told from a busy one."""
    if status == 402 or (status in (403, 429) and any(sign in said.lower() for sign in _NO_QUOTA)):
        return "quota"
    if status in (401, 403):
        return "unauthorised"
    if status == 404:
        return "not_found"
    if status in (408, 504, 522, 524):
        return "timeout"  # a gateway gave up waiting: the model behind it may have answered, and billed
    if status in (409, 425):
        return "server"
    if status == 429:
        return "rate_limited"
    if 300 <= status < 400:
        return "redirected"
    if status < 300:
        return "bad_body"
    return "rejected" if status < 500 else "server"


def stop_sentence(fault: Fault, address: str, model: str, key_variable: str | None) -> str:
    """What a user is told when `fault` ends the run: where, what was seen, what to do."""
    seen = str(fault)
    where = f"the teacher at {address}"
    if fault.kind == "unauthorised":
        key = f"the key in {key_variable}" if key_variable else "a call without a key (teacher.key_env names none)"
        return f"{where} refused {key} ({seen}): check the key and its rights to {model!r}, then run the same command"
    if fault.kind == "not_found":
        return f"{where} does not know the model {model!r} or the path ({seen}): check teacher.model and base_url"
    if fault.kind == "quota":
        return f"{where} says that the account's credit is used up ({seen}): top it up, then run the same command"
    if fault.kind == "redirected":
        return f"{where} redirects elsewhere ({seen}); keys are not sent on: name the final address in base_url"
    if fault.kind == "connection":
        return f"nothing answers at {address} ({seen}): is the server running, and is base_url right?"
    if fault.kind == "web_page":
        return (
            f"base_url answers with a web page ({seen}), not as an API: name the API's own address, up to /v1, "
            f"in place of {address}, and none behind a login"
        )
    if fault.kind == "rejected":
        return f"{where} refused every request so far as wrong ({seen}): change the recipe accordingly"
    return f"{where} answered none of the last calls ({fault.kind}, {seen}): it was given up; try again later"
