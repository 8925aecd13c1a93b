"""What the calls that are left will cost, and how many of them a budget covers. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from recipes.chat import Price, Usage
from recipes.estimate import BYTES_PER_TOKEN, CallSize
from recipes.spent import Spent

_ASKED_AGAIN = 60
"""Tokens of the message that says what was wrong with a reply, about."""
_AROUND = 64
"""Tokens that a budget allows for around a prompt, when it reserves the most that a call can cost."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a model is asked: its price, replies of so many tokens, and so many times again.

    budget: USD that all of it may ever cost in a run folder.
    """

    price: Price | None
    max_tokens: int
    reask: int
    budget: float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """USD. spent: by this run folder so far, on this model. expected, at_most: for the calls left; None where no sum
    can be named. each: one call. room: what the budget still leaves. covered: how many of the calls left it covers.

    at_most: with nothing cached, every reply as long as max_tokens allows and re-asked, but never above the budget.
    """

    spent: float = 0.0
    expected: float | None = None
    at_most: float | None = None
    each: float | None = None
    room: float = math.inf
    covered: int | None = None


def cost_of(terms: Terms, size: CallSize, spent: Spent, left: int | None) -> Cost:
    """What `left` calls will cost; `left` is None while the number of rows is not known."""
    price = terms.price
    if price is None:
        return Cost()
    paid, room = price.cost(spent.billed), math.inf
    if terms.budget is not None:  # tokens of a model asked before have no price on record, and count at this one's
        room = max(terms.budget - price.cost(spent.counted), 0.0)
    each = price.cost(size.usage(1, cached=False))
    if left is None:
        return Cost(paid, each=each, room=room)
    expected = price.cost(size.usage(left, cached=price.cached_input is not None))
    repeated = terms.reask / 2 * (terms.max_tokens + _ASKED_AGAIN)  # a re-ask shows all bad replies so far
    longest = CallSize(size.shared, size.prompt + repeated, terms.max_tokens)
    worst = price.cost(longest.usage(left * (1 + terms.reask), cached=False))
    covered = _covered(terms, size, room, expected / left) if left and expected else left
    return Cost(paid, expected, min(worst, room), each, room, min(covered, left))


def _covered(terms: Terms, size: CallSize, room: float, each: float) -> int:
    """Calls that a budget covers: each is sent only while the most that it can cost is left."""
    assert terms.price is not None
    if room == math.inf:
        return 1 << 60
    most = terms.price.cost(Usage(math.ceil(size.prompt * BYTES_PER_TOKEN) + _AROUND, 0, terms.max_tokens))
    return 0 if room < most else 1 + int((room - most) / each)


def usd(amount: float) -> str:
    """An amount with its unit; less than a cent is not shown as nothing."""
    return f"{amount:{'.2f' if amount >= 0.01 or not amount else '.2g'}} USD"


def cap(budget: float | None, key: str) -> str:
    """What the budget `key` promises."""
    if budget is None:
        return f"there is no cap ({key} is not named)"
    return f"never above {budget:{'.2f' if budget >= 0.01 else 'g'}} USD in this run folder ({key})"


def cost_line(cost: Cost, budget: float | None, key: str, left: int | None) -> str:
    """The cost of `left` calls to a paid model, in words."""
    spent = f"{usd(cost.spent)} spent; " if cost.spent else ""
    if left == 0:
        return f"{spent}nothing is left to pay"
    if left is None or cost.expected is None or cost.at_most is None or cost.covered is None:
        thousand = "" if cost.each is None else f" (about {usd(1000 * cost.each)} for 1,000 calls)"
        return f"{spent}not known before the data set is here{thousand}; {cap(budget, key)}"
    about = f"{spent}about {usd(cost.expected)}"
    if cost.covered < left:
        number = f"about {cost.covered:,}" if cost.covered else "none"
        return f"{about} for all {left:,} calls, and {key} leaves {usd(cost.room)}: {number} of them"
    worst = f", {usd(cost.at_most)} at most" if cost.at_most < cost.room else ""
    return f"{about}{worst}; {cap(budget, key)}"


def asked_before(spent: Spent, model: str, budget: float | None, key: str) -> list[str]:
    """Whom the same run folder asked before `model`, in what it took: nobody has written down their prices."""
    against = "" if budget is None else f", which count against {key} at the price of {model}"
    return [
        f"{other} was asked before in this run folder: {usage.prompt:,} tokens in, {usage.completion:,} out{against}"
        for other, usage in spent.others.items()
    ]
