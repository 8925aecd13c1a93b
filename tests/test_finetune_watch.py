"""What is said of each epoch while a student trains."""

from __future__ import annotations

from typing import Any, cast

import pytest
from transformers import TrainerState

from finetune.watch import BEST, Narrator, Score, untied


def test_of_epochs_with_an_equal_score_the_one_that_is_kept_is_called_the_best(
    capsys: pytest.CaptureFixture[str],
) -> None:
    score, nothing = Score("eval_micro_f1", "micro F1"), cast(Any, None)
    narrator, state = Narrator("student a", 8, 4, 1, True, score), TrainerState()
    for epoch, (f1, loss) in enumerate([(0.0, 3.0), (0.0, 2.0), (0.0, 2.5), (0.1, 4.0)], 1):
        state.global_step = epoch
        state.log_history += [{"loss": 1.0}, {score.key: f1, BEST: untied(f1, loss)}]
        narrator.on_evaluate(nothing, state, nothing)
    lines = capsys.readouterr().err.splitlines()
    assert ["the best so far" in line for line in lines] == [True, True, False, True]
    assert ["by its lower loss" in line for line in lines] == [False, True, False, False]
