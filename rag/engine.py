"""A student that answers many prompts at once, in a thread of its own: a prompt joins the batch as soon as a row is
free, while others are in the middle of their answers, and leaves it with its last token.

Not transformers' continuous batching; docs/decisions/0012 says why. The steps are those by which a student is scored
(finetune/decoding.py), so that with one seed a prompt has the same answer here and there.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from finetune.hardware import free_memory, is_out_of_memory
from recipes.errors import TrainingError, TutelageError
from recipes.students import Answering

if TYPE_CHECKING:
    from finetune.answering import GenerativeStudent
    from finetune.decoding import Decoding

READ_TOKENS = {"cpu": 256, "mps": 512, "cuda": 2048}
"""Tokens of new prompts that are read between two steps: as long as that the answers under way stand still."""

Told = int | Literal["stop", "length", "cancelled"] | TutelageError
"""A token, how the answer ended, or why there is none."""


@dataclass(eq=False, slots=True)
class Job:
    """A prompt to be answered. tell: called in the engine's thread. taken: tokens so far, that which ended it included.
    gone: nobody listens any more.
    """

    prompt: list[int]
    answering: Answering
    seed: int
    tell: Callable[[Told], None]
    taken: int = 0
    gone: bool = False

    @property
    def width(self) -> int:
        """Tokens of prompt and answer at most."""
        return len(self.prompt) + self.answering.max_new_tokens


class Engine:
    """Use as a context manager. rows: answers at once; prompts beyond that wait, first come, first served."""

    def __init__(self, student: GenerativeStudent, rows: int) -> None:
        self._student = student
        self._rows = rows if student.joins else 1
        self._room = student.cache_tokens()
        self._chunk = READ_TOKENS[student.device]
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._closed = False
        self._lost = ""  # why nothing can be answered any more
        self._jobs: list[Job] = []  # the rows of the batch, in its order
        self._batch: Decoding | None = None
        self._reading: tuple[Job, Decoding] | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def __enter__(self) -> Engine:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop after the step under way; what is not answered ends as cancelled."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether its thread is there to answer."""
        return self._thread.is_alive()

    def submit(self, job: Job) -> None:
        """Have a prompt answered; it must fit the model's positions. `job.gone = True` ends it before its time."""
        with self._changed:
            if not self._closed:
                self._waiting.append(job)
                self._changed.notify()
                return
        _tell(job, self._ending())

    def _run(self) -> None:
        try:
            while self._is_wanted():
                try:
                    self._keep([place for place, job in enumerate(self._jobs) if not job.gone])
                    self._read()
                    self._step()
                except Exception as error:  # whatever it is, the thread lives on
                    self._drop_all(error)
        except Exception as error:  # but where not even memory can be given back: the device is lost
            self._lost = f"the student cannot answer any more ({_seen(error)}): start the server again"
        finally:
            with self._changed:
                self._closed = True
            for job in [*self._jobs, *([self._reading[0]] if self._reading else []), *self._waiting]:
                _tell(job, self._ending())

    def _ending(self) -> Told:
        """What they are told who are not answered."""
        return TrainingError(self._lost) if self._lost else "cancelled"

    def _is_wanted(self) -> bool:
        """Wait until there is something to do; False where the engine is closed."""
        with self._changed:
            while not (self._closed or self._waiting or self._jobs or self._reading):
                self._changed.wait()
            return not self._closed

    def _read(self) -> None:
        """Read new prompts, as many tokens as there is time for, and let those that are read join."""
        left = self._chunk
        while left > 0 and (job := self._next()) is not None:
            try:
                left -= self._read_some(job, left)
            except Exception as error:  # of this prompt alone: nobody else is in its batch
                self._reading = None
                _tell(job, _sentence(error))
                free_memory()

    def _read_some(self, job: Job, most: int) -> int:
        """Read that many tokens of a prompt; with its last one it is answered. Returns how many it were."""
        if self._reading is None:
            self._reading = job, self._student.begin(job.prompt, job.answering, job.seed)
        batch = self._reading[1]
        count = batch.read(most)
        if batch.unread > 1:
            return count
        token = batch.step()[0]
        self._reading = None
        if self._goes_on(job, token):
            self._join(job, batch)
        return count + 1

    def _next(self) -> Job | None:
        """The prompt to read: the one under way, or the first that waits if there is a row and memory for it."""
        if self._reading is not None:
            if not self._reading[0].gone:
                return self._reading[0]
            self._reading = None
        with self._changed:
            while self._waiting and self._waiting[0].gone:
                self._waiting.popleft()
            if not self._waiting or len(self._jobs) >= self._rows:
                return None
            widest = max(job.width for job in [*self._jobs, self._waiting[0]])
            if self._jobs and widest * (len(self._jobs) + 1) > self._room:
                return None
            return self._waiting.popleft()

    def _join(self, job: Job, batch: Decoding) -> None:
        if self._batch is None:
            self._batch = batch
        else:
            self._batch.join(batch)
        self._jobs.append(job)

    def _step(self) -> None:
        if self._batch is None:
            return
        tokens = self._batch.step()
        said = list(zip(self._jobs, tokens, strict=True))
        self._keep([place for place, (job, token) in enumerate(said) if self._goes_on(job, token)])

    def _goes_on(self, job: Job, token: int) -> bool:
        """Tell a job its token; whether there are more to come."""
        job.taken += 1
        if token in self._student.stops:
            _tell(job, "stop")
        else:
            _tell(job, token)
            if job.taken < job.answering.max_new_tokens:
                return not job.gone
            _tell(job, "length")
        return False

    def _keep(self, places: list[int]) -> None:
        """Go on with the rows at these places alone."""
        if len(places) == len(self._jobs):
            return
        self._jobs = [self._jobs[place] for place in places]
        if self._batch is not None and places:
            self._batch.keep(places)
        else:
            self._batch = None

    def _drop_all(self, error: Exception) -> None:
        """Give up the batch: rows are computed together, and what went wrong for one did for all."""
        dropped, self._jobs, self._batch, error.__traceback__ = self._jobs, [], None, None
        for job in dropped:
            _tell(job, _sentence(error))
        free_memory()


def _tell(job: Job, said: Told) -> None:
    try:
        job.tell(said)
    except Exception:  # who asked is gone: its event loop is closed
        job.gone = True


def _sentence(error: Exception) -> TutelageError:
    """An error for who asked, without the traceback: that holds on to all that the failed step had."""
    if isinstance(error, TutelageError):
        return error.with_traceback(None)
    if is_out_of_memory(error):
        return TrainingError(
            "the device has no memory for the answers under way: lower assistant.concurrency or context_tokens"
        )
    return TrainingError(f"the student failed while it answered: {_seen(error)}")


def _seen(error: Exception) -> str:
    seen = str(error).strip().partition("\n")[0][:200]
    return f"{type(error).__name__}: {seen}"
