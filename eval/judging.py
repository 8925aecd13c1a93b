"""One judge at work: bouts to requests, replies to rulings, and the asking itself, through synth's pump."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from eval.bouts import TIE, Bout, Ruling
from eval.questions import Questions
from recipes.answers import Answer, parse_answer
from recipes.chat import ChatRequest, Message
from recipes.console import agree_to_spend, say
from recipes.errors import BudgetError, TeacherError
from recipes.evaluation import Judge
from recipes.judge_prompt import VERDICTS, judge_prompt_path, read_judge_prompt
from recipes.schema import Recipe, Synthesis
from synth.budget import Budget
from synth.journal import Failure, Journal
from synth.progress import Progress
from synth.pump import ask_all
from synth.tasks.asking import Asking, Lookup, Vote, why_unusable
from synth.teacher import open_teacher

WANTED = 'one JSON object with "reason" and "verdict" ("a", "b" or "tie") and nothing around it'
SILENT = "no response"
FAILED = "judge failed"
BYTES_PER_TOKEN = 4


class Bench:
    """A recipe's judge with its prompt and all it may have to compare. answers: model -> response per question."""

    def __init__(
        self, recipe: Recipe, judge: Judge, questions: Questions, answers: Mapping[str, Sequence[str]]
    ) -> None:
        self.recipe, self.judge, self.questions, self.answers = recipe, judge, questions, answers
        self.prompt = read_judge_prompt(judge_prompt_path(judge, recipe.resolve("")))
        asked_as = recipe.model_copy(update={"teacher": judge, "synthesis": Synthesis(reask=judge.reask)})
        form = {"type": "json_object"} if self.prompt.answer.kind == "json" else None
        self.asking: Asking[Answer] = Asking(asked_as, self.prompt, self._read, WANTED, form)

    def known(self, bout: Bout) -> Ruling | None:
        """The ruling of a bout that needs no judge: one of the two has said nothing, or both have said the same."""
        ours, theirs = self._answers(bout)
        if not ours or not theirs:
            return Ruling(bout, unscored=SILENT)
        return Ruling(bout, (TIE, TIE)) if ours == theirs else None

    def missing(self, bout: Bout, lookup: Lookup) -> list[ChatRequest]:
        """The requests that have no reply yet, of both orders."""
        return [vote.ask for vote in self._votes(bout, lookup) if vote.ask is not None]

    def rule(self, bout: Bout, lookup: Lookup) -> Ruling:
        """What the replies say, both orders taken together."""
        known = self.known(bout)
        if known is not None:
            return known
        votes = self._votes(bout, lookup)
        said = [vote.answer.value if vote.answer is not None else None for vote in votes]
        if None not in said:
            return Ruling(bout, tuple(str(one) for one in said))
        lost = next(vote for vote, one in zip(votes, said, strict=True) if one is None)
        return Ruling(bout, unscored=_why_lost(lost))

    def messages(self, bout: Bout, student_first: bool) -> tuple[Message, ...]:
        """What the judge is shown."""
        row = self.questions.rows[bout.place]
        ours, theirs = self._answers(bout)
        asked = [*(f"{turn.role}: {turn.content}" for turn in row.history), row.question]
        facts = [f"{name}: {value}" for name, value in row.fields.items()] if self._has_facts() else []
        return self.prompt.render(
            {
                "question": "\n".join(asked),
                "facts": "\n".join(facts) or "(none are given)",
                "answer_a": ours if student_first else theirs,
                "answer_b": theirs if student_first else ours,
            }
        )

    def _answers(self, bout: Bout) -> tuple[str, str]:
        """The student's response and the other's."""
        ours, theirs = (self.answers[name][bout.place].strip() for name in (bout.student, bout.other))
        return ours, theirs

    def _has_facts(self) -> bool:
        """In a task whose responses are a field of the source, the facts would be one of the two answers."""
        return self.recipe.task == "reasoning"

    def _votes(self, bout: Bout, lookup: Lookup) -> list[Vote[Answer]]:
        return [self.asking.vote(self.messages(bout, first), 0, lookup) for first in (True, False)]

    def _read(self, reply: object) -> Answer:
        return parse_answer(reply, self.prompt.answer, VERDICTS)  # type: ignore[arg-type]


def _why_lost(vote: Vote[Answer]) -> str:
    """Why a vote gave no verdict, in a word or two."""
    if vote.failure is not None:
        return FAILED
    return "not asked" if vote.ask is not None else why_unusable(vote)[0].replace("_", " ")


def ask_bench(bench: Bench, bouts: Sequence[Bout], journal: Journal, yes: bool) -> str:
    """Ask for every verdict that the journal does not hold. Returns why not all were asked for, or nothing.

    Raises TeacherError where the judge cannot go on, or a person says no.
    """
    wanted = (request for bout in bouts for request in bench.missing(bout, lambda one: journal.get(one.key())))
    left = list({request.key(): request for request in wanted}.values())
    if not left:
        return ""
    _confirm(bench.judge, left, journal, yes)
    try:
        asyncio.run(_ask(bench, bouts, journal))
    except BudgetError as error:
        say(sentence := _as_judge(error))
        return sentence
    except TeacherError as error:
        raise TeacherError(_as_judge(error)) from None
    _tell_failures(left, journal)
    return ""


def _tell_failures(asked: Sequence[ChatRequest], journal: Journal) -> None:
    """Say how many first requests brought no reply, and the commonest reason."""
    found = [journal.get(request.key()) for request in asked]
    failures = Counter(f"{one.kind}: {one.message}" for one in found if isinstance(one, Failure))
    if failures:
        cause = failures.most_common(1)[0][0]
        say(f"judge: {failures.total():,} of {len(asked):,} requests failed, most of them as {cause}")


async def _ask(bench: Bench, bouts: Sequence[Bout], journal: Journal) -> None:
    judge, price = bench.judge, bench.judge.price
    budget = None if price is None or judge.budget_usd is None else Budget(price, judge.budget_usd, journal.usage)
    spend = None if price is None else lambda: price.cost(journal.usage)
    with Progress("judged", len(bouts), spend) as progress:
        async with open_teacher(judge, bench.recipe.resolve("")) as model:
            await ask_all(
                bouts,
                bench.missing,
                lambda bout: bench.questions.rows[bout.place].id,
                model,
                journal,
                judge,
                budget,
                lambda _: progress.row(),
            )


def _confirm(judge: Judge, left: Sequence[ChatRequest], journal: Journal, yes: bool) -> None:
    """Say what judging will take; before the first paid verdict, ask."""
    price = judge.price
    size = sum(len(message.content.encode()) for request in left for message in request.messages) / BYTES_PER_TOKEN
    told = f"judge: {judge.model}, {len(left):,} verdicts to ask for"
    if price is None or not judge.is_paid():
        say(told)
        return
    usd = (size * price.input + len(left) * judge.max_tokens * price.output) / 1e6
    cap = f"never above {judge.budget_usd:g} USD (evaluation.judge.budget_usd)"
    cost = f"about {usd:.2f} USD, and more where one has to be asked for again; {cap}"
    say(f"{told}, {cost}")
    if not (yes or journal.replies):
        agree_to_spend(f"the judge {judge.model}", cost)


def _as_judge(error: TeacherError) -> str:
    """A sentence about a teacher, said of the judge."""
    text = str(error).replace("synthesis.budget_usd", "evaluation.judge.budget_usd").replace("the teacher", "the judge")
    text = text.replace("rows are not asked", "questions are not judged")
    return re.sub(rf"\bteacher\.({'|'.join(Judge.model_fields)})\b", r"evaluation.judge.\1", text)
