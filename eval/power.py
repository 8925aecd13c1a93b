"""How large a difference must truly be for a test on so many rows to find it, four times in five; pure.

Holm's correction decides in a report, so `level` is what it asks of the first difference of a family to be found: the
family's error shared out evenly.
"""

from __future__ import annotations

import math

import numpy as np

from eval.metrics import Floats

POWER = 0.8
SURE = 9
"""Standard deviations around the expected number of rows apart beyond which none is looked at: 1e-18 of the draws."""


def detectable_share(rows: int, apart: int, level: float) -> float | None:
    """The smallest true difference of two shares that an exact McNemar test finds with POWER; None: not even 1.

    apart: rows that only one of the two got right, as seen. As large a share of the rows is taken to be apart in truth,
    or as much as the difference itself needs. Found where p < level, over all numbers of rows apart that may be drawn.
    """
    from scipy.optimize import brentq  # type: ignore[import-untyped]
    from scipy.stats import beta  # type: ignore[import-untyped]

    fewest = math.floor(math.log2(2 / level)) + 1  # rows apart, all the same way, that have p < level
    if rows < fewest:
        return None
    one_way = float(beta.ppf(POWER, fewest, rows - fewest + 1))
    if one_way * rows >= apart:
        return one_way
    counts, chances, bounds = _apart(rows, apart / rows, level)
    lean = float(brentq(lambda lean: _power(lean, counts, chances, bounds) - POWER, 0, 1))
    return lean * apart / rows


def detectable_mean(differences: Floats, level: float) -> float | None:
    """The smallest true mean difference that a paired permutation test finds with POWER.

    Student's t with the deviation of the differences (n,) as seen, which such a test comes close to; None where so few
    rows cannot have p < level, or show no deviation.
    """
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    rows = len(differences)
    if 2.0 ** (1 - rows) >= level or not np.ptp(differences):  # of 2^rows signs two are the most extreme
        return None
    spread = float(np.std(differences, ddof=1)) / math.sqrt(rows)
    beyond = float(t.ppf(1 - level / 2, rows - 1))
    return spread * float(brentq(lambda far: nct.sf(beyond, rows - 1, far) - POWER, 0, beyond + 10))


def _apart(rows: int, share: float, level: float) -> tuple[Floats, Floats, Floats]:
    """Numbers of rows apart, how likely each is, and up to how many of them the other way p is below level (or -1)."""
    from scipy.stats import binom

    reach = SURE * math.sqrt(rows * share * (1 - share)) + SURE
    counts = np.arange(max(0, math.floor(rows * share - reach)), min(rows, math.ceil(rows * share + reach)) + 1)
    bounds = binom.ppf(level / 2, counts, 0.5) - 1
    return counts.astype(np.float64), binom.pmf(counts, rows, share), bounds


def _power(lean: float, counts: Floats, chances: Floats, bounds: Floats) -> float:
    """How often the test finds a difference. lean: of the rows apart, the share one way less that the other way."""
    from scipy.stats import binom

    found = binom.cdf(bounds, counts, (1 - lean) / 2) + binom.cdf(bounds, counts, (1 + lean) / 2)
    return float(chances @ found)
