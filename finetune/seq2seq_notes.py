"""What is said before a seq2seq student is trained: on what, and what is left out."""

from __future__ import annotations

from finetune.rejected import REJECTED, name_rows
from finetune.seq2seq_course import Seq2seqCourse
from recipes.console import say
from recipes.counts import counted
from recipes.errors import TrainingError


def introduce(course: Seq2seqCourse) -> None:
    """Say it. Raises TrainingError where nothing is left to learn."""
    _check_something_left(course)
    student, training, validation, who = course.student, course.training, course.validation, f"student {course.name}"
    rejected = [*training.rejected, *validation.rejected]
    if rejected:
        ids, longest = name_rows([one.id for one in rejected]), max(one.tokens for one in rejected)
        say(
            f"{who}: {counted(len(rejected), 'target')} not used: longer than max_target_length "
            f"{student.max_target_length} tokens (the longest has {longest:,}): {ids}; they are listed in "
            f"students/{course.name}/{REJECTED}"
        )
    for reason, count in both(training.skipped, validation.skipped).items():
        say(f"{who}: {counted(count, 'row')} not used: {reason}")
    if training.cut or validation.cut:
        both_cut = f"{training.cut:,} training and {validation.cut:,} validation texts"
        say(f"{who}: {both_cut} are cut at {student.max_length} tokens (max_length)")
    if training.unknown:
        say(
            f"{who}: {counted(training.unknown, 'target')} with a character that the tokenizer of {course.base.name} "
            "has no token for, and that the student therefore cannot write"
        )
    seeds = f", {len(student.seeds)} seeds" if len(student.seeds) > 1 else ""
    texts = f"{counted(len(training), 'text')} to write ({', '.join(student.writes(course.task))})"
    say(f"{who}: {texts}, {len(validation.asked):,} to validate{seeds}; {course.machine.about}")


def both(training: dict[str, int], validation: dict[str, int]) -> dict[str, int]:
    """Why rows could not be used, and how many of each split."""
    return training | {f"{reason} (validation)": count for reason, count in validation.items()}


def _check_something_left(course: Seq2seqCourse) -> None:
    if len(course.training):
        return
    if course.training.rejected:
        why = f"all targets are longer than max_target_length {course.student.max_target_length}: raise it"
    else:
        why = f"no row has what it is to write ({', '.join(course.student.writes(course.task))})"
    raise TrainingError(f"students.{course.name}: {why}")
