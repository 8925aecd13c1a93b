"""Children that are killed at a place that is named: the beginning of the programs of the tests of resuming.

Forked, because importing torch and trl takes seconds.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BEGINNING = '''
import gc, json, os, signal, sys
sys.path[:0] = sys.argv[1:3]
sys.modules["triton"] = None  # nothing on a CPU may need it, and here it cannot be imported
from pathlib import Path
import torch
from finetune import train
from finetune.course import Saving

torch.set_num_threads(1)

def strike(owner, name, after, signals):
    """Count calls of owner.name and send this process the signals in the one numbered `after`."""
    real, calls = getattr(owner, name), [0]
    def struck(*args, **kwargs):
        calls[0] += 1
        if calls[0] == after:
            if (owner, name) == (torch, "save"):
                Path(args[1]).write_bytes(b"half of it")
            for number in signals:
                os.kill(os.getpid(), number)
        return real(*args, **kwargs)
    setattr(owner, name, struck)

def child(run, recipe, *place):
    """The exit code of a process that trains, and is killed at that place: 130 where it was Ctrl-C."""
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(str(run.path / "said.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        if place:
            strike(*place)
        code = 1
        try:
            train.train_student(recipe, "a", run)
            code = 0
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

KILL, CTRL_C = [signal.SIGKILL], [signal.SIGINT]
'''


def run_program(program: str, folder: Path, base: Path) -> subprocess.CompletedProcess[str]:
    """Run BEGINNING and a program that finds its folder in sys.argv[3] and a base model in sys.argv[4]."""
    tests = Path(__file__).parent
    places = [str(tests.parent), str(tests), str(folder), str(base)]
    command = [sys.executable, "-c", BEGINNING + program, *places]
    return subprocess.run(command, capture_output=True, text=True, check=False)
