"""Some texts with their gold tuples and what each model made of them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from eval.tuple_comparison import TupleAnswer, TupleExample
from eval.tuple_rows import ScoredSet
from eval.tuple_scores import Marked
from recipes.tuple_counts import Pair

SHOWN = 5
"""Examples of each dataset, a seeded draw of the texts that the models answered differently."""


def examples(models: Sequence[Marked], seed: int) -> tuple[TupleExample, ...]:
    """For each set with tuples, some texts on which its models are not all right in the same way; none that has no
    analysis to be compared with.
    """
    found = []
    for scored in {one.scored.dataset: one.scored for one in models if one.said}.values():
        here = [one for one in models if one.said and one.scored.dataset == scored.dataset]
        if scored.task == "sentiment":
            continue
        known = [(place, gold) for place, gold in enumerate(scored.gold) if gold is not None]
        apart = [one for one in known if len(here) == 1 or len({frozenset(it.said[one[0]]) for it in here}) > 1]
        random.Random(seed).shuffle(apart)
        found += [_example(scored, place, gold, here) for place, gold in apart[:SHOWN]]
    return tuple(found)


def _example(scored: ScoredSet, place: int, gold: Sequence[Pair], models: Sequence[Marked]) -> TupleExample:
    return TupleExample(
        dataset=scored.dataset,
        id=scored.ids[place],
        text=scored.texts[place],
        gold=tuple(map(_words, gold)),
        answers=tuple(_answer(one, place, gold) for one in models),
    )


def _answer(model: Marked, place: int, gold: Sequence[Pair]) -> TupleAnswer:
    said = model.said[place]
    return TupleAnswer(
        model=model.name,
        right=tuple(_words(one) for one in said if one in gold),
        wrong=tuple(_words(one) for one in said if one not in gold),
        missed=tuple(_words(one) for one in gold if one not in said),
        invalid=model.invalid[place],
    )


def _words(pair: Pair) -> str:
    return f"{pair[0]}: {pair[1]}"
