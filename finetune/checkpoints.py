"""Checkpoints: the state a killed training goes on from. Not a result: they are removed when training is done.

The Trainer writes checkpoint-<step>/; when all of it is there, a seal with the sha256 of every file is put beside them.
A folder without a seal was being written when the process died; one whose files do not match its seal is damaged.
Neither is ever used: the one before it is. That one is always there, because older checkpoints are removed only after
a newer one is sealed, and the last two are kept.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import orjson

from recipes.console import say
from recipes.runs import file_digest, write_atomic

KEEP = 2
SEAL = "sealed.json"
STATE = "trainer_state.json"


class Checkpoints:
    """The checkpoints of one training in one folder. `fingerprint` names the training: another's are not taken up."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint

    def path(self, step: int) -> Path:
        return self.folder / f"checkpoint-{step}"

    def steps(self) -> list[int]:
        """Steps of all checkpoint folders, whole or not, newest first."""
        found = (path.name.removeprefix("checkpoint-") for path in self.folder.glob("checkpoint-*") if path.is_dir())
        return sorted((int(step) for step in found if step.isdigit()), reverse=True)

    def seal(self, step: int) -> None:
        """Declare checkpoint-<step> whole, then remove those that are no longer needed."""
        folder = self.path(step)
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle that nobody reads
        digests = {path.name: file_digest(path) for path in sorted(folder.iterdir()) if path.name != SEAL}
        write_atomic(folder / SEAL, orjson.dumps({"fingerprint": self.fingerprint, "files": digests}))
        sealed = [one for one in self.steps() if (self.path(one) / SEAL).exists()][:KEEP]
        needed = set(sealed) | {best_step(self.state(one)) for one in sealed}
        for one in self.steps():
            if one not in needed:
                self._remove(one)

    def newest(self) -> Path | None:
        """The newest whole checkpoint; what is newer and not whole is named to the user and removed."""
        if any(self._fault(step) == "another training's" for step in self.steps()):
            self.clear()
        for step in self.steps():
            fault = self._fault(step)
            best = best_step(self.state(step)) if fault is None else None
            if fault is None and (best is None or best == step or self._fault(best) is None):
                return self.path(step)
            fault = fault or f"its best epoch, checkpoint-{best}, is damaged"
            say(f"{self.path(step)} cannot be used ({fault}) and is removed")
            self._remove(step)
        return None

    def state(self, step: int) -> dict[str, Any]:
        """What the Trainer noted in checkpoint-<step>: steps done, scores, best step."""
        state: dict[str, Any] = json.loads((self.path(step) / STATE).read_text(encoding="utf-8"))
        return state

    def clear(self) -> None:
        """Remove them all."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fault(self, step: int) -> str | None:
        """Why a checkpoint cannot be used, or None."""
        folder = self.path(step)
        try:
            seal = orjson.loads((folder / SEAL).read_bytes())
            fingerprint, files = seal["fingerprint"], dict(seal["files"])
        except FileNotFoundError:
            return "it was being written when the process was stopped"
        except (ValueError, KeyError, TypeError):
            return "its seal is damaged"
        if fingerprint != self.fingerprint:
            return "another training's"
        broken = [name for name, sha in files.items() if file_digest(folder / name) != sha]
        return f"{', '.join(broken)} is damaged" if broken else None

    def _remove(self, step: int) -> None:
        (self.path(step) / SEAL).unlink(missing_ok=True)  # first, so that a half-removed one is not taken for whole
        shutil.rmtree(self.path(step), ignore_errors=True)


def best_step(state: dict[str, Any]) -> int | None:
    """The step with the best validation score so far, in the Trainer's state."""
    step = state.get("best_global_step")
    return int(step) if step else None
