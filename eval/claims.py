"""What is said alike of a tested difference: between classifiers (verdicts) or answers (response_verdicts)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from eval.comparison import Figure
from eval.numbers import p_text, points


class Tested(Protocol):
    """A difference between two models with its test: a Pair or a ResponsePair."""

    @property
    def difference(self) -> Figure: ...
    @property
    def p(self) -> float: ...
    @property
    def p_holm(self) -> float: ...


class Beside(Tested, Protocol):
    """A tested difference from a model that has a name."""

    @property
    def second(self) -> str: ...


def is_clear(pair: Tested, confidence: float) -> bool:
    """Whether the difference holds after Holm's correction."""
    return pair.p_holm < 1 - confidence and bool(pair.difference.value)


def once_corrected(pair: Tested, confidence: float) -> str:
    """Said where the pair alone would be clear, and its interval leaves out 0: several were compared."""
    return " once corrected for the number of comparisons" if pair.p < 1 - confidence else ""


def at_odds(pair: Tested, confidence: float, test: str) -> str:
    """Said where the interval, a bootstrap's, leaves out 0 and the test finds nothing, correction or not."""
    low, high = pair.difference.low or 0.0, pair.difference.high or 0.0
    if pair.p < 1 - confidence or low <= 0 <= high:
        return ""
    return f"The interval, a bootstrap's, leaves out 0; {test}, which decides, does not."


def could_be_found(size: str | None, rows: str) -> str:
    """How large a difference would have been found; None: not the largest. rows: their number and noun."""
    if size is None:
        return f"With {rows} no difference could have been found 4 times in 5."
    return f"A true difference of {size} would have been found 4 times in 5."


def with_all_seeds(change: str, ends: str) -> str:
    """What averaging the seeds makes of a difference that was tested on one."""
    return f"With all seeds averaged the difference is {change} ({ends})."


def in_less_than_saved(precisions: Mapping[str, str]) -> list[str]:
    """Of students that answered in another precision than fp32, in which weights are saved. precisions: by their names,
    empty where that is not known.
    """
    said = []
    for precision in dict.fromkeys(precisions.values()):
        if precision not in ("", "fp32"):
            who = listed([name for name, one in precisions.items() if one == precision])
            said.append(
                f"{who} answered in {precision}; in fp32, as the weights are saved, a few answers may be others."
            )
    return said


def standing(pairs: Sequence[Beside], confidence: float) -> str:
    """Who a model is better than, not distinguishable from and worse than, each with the difference in points; and the
    p of what only the correction makes indistinguishable.
    """
    groups: dict[str, list[str]] = {"better than": [], "not distinguishable from": [], "worse than": []}
    for pair in pairs:
        value = pair.difference.value or 0.0
        clear = is_clear(pair, confidence)
        word = ("better than" if value > 0 else "worse than") if clear else list(groups)[1]
        alone = f", p {p_text(pair.p)} before Holm's correction" if not clear and pair.p < 1 - confidence else ""
        groups[word].append(f"{pair.second} ({points(value)}{alone})")
    return "; ".join(f"{word} {listed(names)}" for word, names in groups.items() if names)


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
