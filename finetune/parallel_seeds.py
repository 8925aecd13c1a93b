"""Several seeds trained at once, each in a process of its own.

Processes are spawned, as Windows has it. None outlives the first one, however that ends; Ctrl-C is passed on to all of
them, which finish their step and write a checkpoint.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import Pipe, connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from finetune.interrupts import on_first_interrupt
from recipes.console import say
from recipes.errors import TrainingError, TutelageError

Task = Callable[[], object]
"""What a process is to do: a function of a module, or a partial of one, which spawning can send."""
STOPPED = 130
"""Exit code of a process that heard Ctrl-C."""


@dataclass
class _Child:
    title: str
    process: BaseProcess
    told: Connection
    told_to_stop: bool = False


def train_at_once(tasks: Mapping[str, Task], at_once: int) -> None:
    """Do the tasks, by title, `at_once` of them at a time.

    Where one fails it is named, those at work come to their end, and no other is begun. Raises TrainingError for what
    failed, and KeyboardInterrupt after Ctrl-C.
    """
    waiting, running, failed = list(tasks.items()), list[_Child](), list[str]()
    stopping = "the seeds that are trained finish their step and write a checkpoint, then they stop"
    with on_first_interrupt(f"{stopping}; Ctrl-C again stops at once") as wish:
        try:
            while running or (waiting and not failed and not wish.heard):
                while waiting and len(running) < at_once and not failed and not wish.heard:
                    running.append(_start(*waiting.pop(0)))
                connection.wait([child.process.sentinel for child in running], timeout=0.5)
                if wish.heard:
                    _pass_on(running)
                for child in [one for one in running if not one.process.is_alive()]:
                    running.remove(child)
                    problem = _problem(child)
                    if problem is not None and not wish.heard:
                        failed.append(problem)
                        if running:
                            say(f"{problem}; the others go on to their end")
        finally:
            for child in running:
                child.process.kill()
                child.process.join()
    if wish.heard:
        raise KeyboardInterrupt
    if failed:
        raise TrainingError("\n".join(failed))


def _start(title: str, task: Task) -> _Child:
    told, tell = Pipe(duplex=False)
    process = get_context("spawn").Process(target=_work, args=(task, tell), name=title, daemon=True)
    process.start()
    tell.close()  # the child has its own end; ours would keep the pipe open
    return _Child(title, process, told)


def _work(task: Task, tell: Connection) -> None:
    """In the child."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # the terminal's Ctrl-C comes to the first process alone, which passes it on
    try:
        task()
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    except TutelageError as error:
        tell.send(str(error))
        sys.exit(1)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # at once, and not as an exception in this thread


def _pass_on(running: list[_Child]) -> None:
    """Ctrl-C, once for each; on Windows the console has told them all by itself."""
    for child in running:
        if not child.told_to_stop and hasattr(os, "setpgid") and child.process.pid is not None:
            child.told_to_stop = True
            try:
                os.kill(child.process.pid, signal.SIGINT)
            except ProcessLookupError:
                continue


def _problem(child: _Child) -> str | None:
    """Why a process that has ended did not do its work, or None."""
    child.process.join()
    code = child.process.exitcode
    try:
        said = child.told.recv() if child.told.poll() else None
    except EOFError:
        said = None
    child.told.close()
    if code == 0:
        return None
    if said is not None:
        return str(said) if child.title in str(said) else f"{child.title}: {said}"
    how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
    return f"{child.title}: its process {how}; the same command goes on from its last checkpoint"
