"""Questions to a trained student, and its answers as they come."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from rich.console import Console
from rich.text import Text

from finetune.answering import Generated, GenerativeStudent, Question
from finetune.questions import Questions
from finetune.seq2seq_writer import Seq2seqWriter
from finetune.streaming import thought_pieces
from finetune.student import open_student
from recipes.aspects import read_opinions
from recipes.console import printable, say
from recipes.counts import counted
from recipes.errors import TrainingError
from recipes.rows import storable
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.seq2seq_student import Target
from recipes.tuple_counts import read_pairs


class Asking:
    """A student, opened once, that answers on stdout. thinking: show its reasoning too, dimmed.

    draw: which of the answers that its temperature allows. Raises TrainingError where it is not trained.
    """

    def __init__(self, recipe: Recipe, run: RunFolder, name: str, seed: int | None, thinking: bool, draw: int) -> None:
        self._recipe, self._name, self._thinking, self._draw = recipe, name, thinking, draw
        self._student = open_student(run, name, seed)
        self._console = Console(highlight=False)

    def ask_all(self, asked: Questions) -> bool:
        """Print the answers; of several questions, one that cannot be answered holds up no other. Whether all were:
        thoughts without an answer are none.

        What a classifier says of each is a line, in the order of the questions.
        """
        answered = True
        for number, question in enumerate(map(storable, asked.each), 1):
            if asked.headed and isinstance(self._student, (GenerativeStudent, Seq2seqWriter)):
                self._console.print(
                    Text(printable(("\n" if number > 1 else "") + f"> {question}"), style="bold"), soft_wrap=True
                )
            try:
                answered &= self._ask(question)
            except TrainingError as error:
                if not asked.several:
                    raise
                self._console.print()
                say(f"question {number}: {error}")
                answered = False
        return answered

    def _ask(self, question: str) -> bool:
        """Print the answer, and on stderr whether it was cut; whether there is one."""
        if isinstance(self._student, GenerativeStudent):
            return self._stream(self._student, question)
        if isinstance(self._student, Seq2seqWriter):
            return self._write(self._student, question)
        shares = self._student.predict([question])[0].tolist()
        ranked = sorted(zip(self._student.labels, shares, strict=True), key=lambda pair: -pair[1])
        self._console.print(Text(", ".join(f"{label} {share:.2f}" for label, share in ranked)), soft_wrap=True)
        return True

    def _write(self, student: Seq2seqWriter, text: str) -> bool:
        """Print what the student writes of a text, each target on a line of its own; whether all came to an end."""
        whole = True
        for target in student.targets:
            (written,) = student.write([text], target)
            name = f"{target}: " if len(student.targets) > 1 else ""
            self._console.print(Text(f"{name}{printable(written.text)}"), soft_wrap=True)
            if unread := _unread_pieces(target, written.text, text):
                say(f"{name}{unread}")
            if written.truncated:
                most = student.student.max_target_length
                say(f"cut after {most:,} tokens: students.{self._name}.max_target_length")
            whole &= not written.truncated
        if written.cut:
            say(f"the text is longer than {student.student.max_length:,} tokens: its end was not read")
        return whole

    def _stream(self, student: GenerativeStudent, question: str) -> bool:
        answering, ended = self._recipe.causal(self._name).answering, _Ended()
        pieces = ended.watch(student.stream(Question(question), answering, self._draw))
        thought = False
        for is_thought, piece in thought_pieces(pieces, student.renderer.opened):
            if is_thought and not self._thinking:
                continue
            if thought and not is_thought:
                self._console.print("\n")
            thought = is_thought
            self._console.print(Text(printable(piece), style="dim" if is_thought else ""), end="", soft_wrap=True)
        self._console.print()
        if not ended.answer.stopped:
            say(f"cut after {ended.answer.tokens:,} tokens: raise students.{self._name}.answering.max_new_tokens")
        if not ended.answer.valid:
            say(self._unread(ended.answer.text))
        return ended.answer.valid

    def _unread(self, text: str) -> str:
        """What to say of a text in which the format finds no answer; the text itself, where it was not shown."""
        if not text.strip():
            return "no answer: the student said nothing"
        form = f"no answer in the form of the student's format ({self._recipe.causal(self._name).format})"
        if self._thinking:
            return f"{form}; all of it stands above"
        return "\n".join([f"{form}; it said:", *(f"  | {line}" for line in text.strip().splitlines())])


def _unread_pieces(target: Target, answer: str, text: str) -> str:
    """What to say of an answer of which not all can be read."""
    if target == "rewrite":
        return ""
    invalid = read_opinions(answer)[1] if target == "analysis" else read_pairs(target, answer, text)[1]
    what = "opinion" if target == "analysis" else "tuple of this text"
    isnt = "is" if invalid == 1 else "are"
    return f"{counted(invalid, 'piece')} of what it wrote {isnt} no {what}" if invalid else ""


class _Ended:
    """Keeps what a stream was, once it has ended."""

    answer: Generated

    def watch(self, stream: Generator[str, None, Generated]) -> Iterator[str]:
        self.answer = yield from stream
