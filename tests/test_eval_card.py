"""What is left of a model card when its old scores are taken off."""

from __future__ import annotations

from eval.card import END, START, _without_scores

OLD = f"{START}\n\nold\n\n{END}"
FAR = "\n" * 300_000


def test_a_card_loses_only_what_was_put_on_it() -> None:
    assert _without_scores(f"a\n\n{OLD}\n\nb\n{OLD}{OLD}") == "a\n\nb\n\n\n\n"
    assert _without_scores(f"{END}a{START}\n") == f"{END}a{START}\n"


def test_a_card_of_any_shape_is_read_in_one_go() -> None:
    """It is the user's own file: an expression that backtracks looks from each newline, and each mark, to the end."""
    endless = FAR + START * 20_000
    assert _without_scores(endless) == endless
    assert _without_scores(f"a{FAR}{OLD}{FAR}b") == "a\n\nb"
