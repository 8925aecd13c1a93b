"""Which rows share a step, a process and a sequence: by hand, and as properties."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.packing import epoch_steps, group, pack, share

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=60)


def test_best_fit_decreasing_by_hand() -> None:
    #        0  1  2  3  4  5   by length: 4 (8), 0 (6), 2 (5), 5 (3), 1 (2), 3 (1)
    lengths = [6, 2, 5, 1, 8, 3]
    # 8 | 6 | 5 ; 3 fits beside 6 (room 4) and 5 (room 5): 6 is the fuller; 2 fits beside 8 exactly; 1 beside 6 and 3
    assert pack(range(6), lengths, 10) == [[4, 1], [0, 5, 3], [2]]
    assert pack([4, 2], lengths, 5) == [[4], [2]]  # a row longer than a sequence stands alone


def test_a_step_is_shared_by_length_in_turns() -> None:
    lengths = [5, 1, 9, 3, 7]
    assert share([0, 1, 2, 3, 4], lengths, 0, 2) == [2, 0, 1]
    assert share([0, 1, 2, 3, 4], lengths, 1, 2) == [4, 3]
    assert share([1], lengths, 1, 2) == []


def test_groups_are_of_like_length_longest_first() -> None:
    assert group([0, 1, 2, 3, 4], [5, 1, 9, 3, 7], lambda _: 2) == [[2, 4], [0, 3], [1]]


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(0, 3), st.booleans())
def test_an_epoch_takes_each_row_once_in_steps_of_batch_size(
    lengths: list[int], batch_size: int, epoch: int, grouped: bool
) -> None:
    steps = epoch_steps(lengths, batch_size, 7, epoch, grouped)
    assert sorted(place for step in steps for place in step) == list(range(len(lengths)))
    assert all(len(step) == batch_size for step in steps[:-1])
    assert steps == epoch_steps(lengths, batch_size, 7, epoch, grouped)
    whole = [step for step in steps if len(step) == batch_size]
    if whole:  # too little memory shows at once
        assert max(lengths[place] for place in whole[0]) == max(lengths[place] for step in whole for place in step)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 120), st.integers(1, 4))
def test_processes_and_sequences_take_each_row_once(lengths: list[int], capacity: int, processes: int) -> None:
    places = range(len(lengths))
    parts = [share(places, lengths, rank, processes) for rank in range(processes)]
    assert sorted(place for part in parts for place in part) == list(places)
    for part in parts:
        bins = pack(part, lengths, capacity)
        assert sorted(place for one in bins for place in one) == sorted(part)
        assert all(sum(lengths[place] for place in one) <= capacity or len(one) == 1 for one in bins)


def test_another_epoch_and_another_seed_are_another_order() -> None:
    lengths = list(range(1, 41))
    first = epoch_steps(lengths, 4, 1, 0, grouped=False)
    assert first != epoch_steps(lengths, 4, 1, 1, grouped=False)
    assert first != epoch_steps(lengths, 4, 2, 0, grouped=False)


def test_a_group_may_be_smaller_the_longer_its_rows_are_and_is_never_empty() -> None:
    assert group(range(5), [5, 1, 9, 3, 7], lambda longest: 8 // longest) == [[2], [4], [0], [3, 1]]
    assert group([], [], lambda longest: 1) == []
