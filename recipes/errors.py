"""Everything that can go wrong in a way a user can mend, as one small tree.

    TutelageError           one sentence: where, what was seen, what to do
    |-- RecipeError         the recipe file is wrong (all mistakes at once)
    |-- SourceError         a data file is wrong, named as file:line
    |-- TeacherError        the teacher cannot go on (key, model, address, circuit open)
    |   `-- BudgetError     the next call could overshoot budget_usd
    |-- RunError            the run folder: locked, damaged, disk full, a stage missing
    |-- TrainingError       a student cannot be trained or opened
    `-- AskError            a question cannot be answered as it was asked (too long, no question, no such filter)

A launcher prints the sentence and exits with `code`; a traceback is for our own bugs alone.
"""

from __future__ import annotations


class TutelageError(Exception):
    """A mistake that the user can mend; `str(error)` is the sentence shown."""

    code = 1


class Terminated(KeyboardInterrupt):
    """SIGTERM (docker stop, a batch queue's time limit), taken as Ctrl-C is: a wish to stop, no mistake."""


class RecipeError(TutelageError):
    """The recipe is wrong: one line per mistake, each `file:line: path: message`."""

    code = 2

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class SourceError(TutelageError):
    """A data file cannot be read as the recipe says."""


class TeacherError(TutelageError):
    """The teacher cannot go on; replies received so far are in the journal."""


class BudgetError(TeacherError):
    """The next call could cost more than what is left of `budget_usd`."""


class RunError(TutelageError):
    """The run folder cannot be used as it is."""


class TrainingError(TutelageError):
    """A student cannot be trained or opened."""


class AskError(TutelageError):
    """A question cannot be answered as it was asked."""
