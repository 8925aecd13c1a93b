"""The run folder: where everything of one recipe lives as files a person can read, and the manifests that let a stage
be skipped when nothing it depends on has changed.

    runs/<recipe>/
      journal.jsonl            every reply the teacher ever gave      (synth)
      rows/{train,validation,test}.jsonl, rejects.jsonl, README.md   (synth)
      datasets/<name>/rows/..., manifests/...                         (synth)
      students/<name>/seed-<n>/, student.json                         (finetune)
      predictions/<model>.jsonl, report.{html,md,json}                (eval)
      manifests/<stage>.json   what each stage read and wrote; written last
      manifests/<stage>.started   while it is at work, and where it did not come to its end
      manifests/recipe.json    which recipe file all of it is of
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict

from recipes.errors import RunError

VERSION = 1
"""Raised when stages of an older version must run again."""


ORIGIN = "recipe"
"""The name of the manifest that says which recipe file a run folder is of."""


class Manifest(BaseModel):
    """What a stage read and wrote.

    inputs: name -> sha256 of what was read (a recipe section, a file, a base model's identity).
    outputs: path inside the run folder -> size in bytes.
    facts: figures to show when the stage is up to date (counts, spend, seconds).
    complete: False where some work failed for a passing reason; the stage then runs again next time.
    """

    model_config = ConfigDict(extra="forbid")

    stage: str
    version: int = VERSION
    inputs: dict[str, str]
    outputs: dict[str, int]
    facts: dict[str, Any] = {}
    complete: bool = True
    finished: str = ""


def digest(value: Any) -> str:
    """sha256 of anything JSON can hold (pydantic models by their fields), keys sorted."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes; `absent` where there is none."""
    if not path.is_file():
        return "absent"
    with path.open("rb") as handle:
        sha = hashlib.sha256()
        while block := handle.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def write_atomic(path: Path, content: bytes) -> None:
    """Put `content` at `path` whole: written beside, synced, renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)


@dataclass(frozen=True, slots=True)
class Origin:
    """The recipe file that a run folder is of. about: name -> sha256 of what says which rows it is about."""

    file: str
    about: dict[str, str]


class RunFolder:
    """A recipe's folder on disk. origin: the recipe file, written down when the folder is first held."""

    def __init__(self, path: Path, origin: Origin | None = None) -> None:
        self.path, self.origin = path, origin

    @property
    def rows(self) -> Path:
        return self.path / "rows"

    def of_dataset(self, name: str) -> RunFolder:
        """The folder of one of the recipe's datasets: rows and manifests of its own."""
        return RunFolder(self.path / "datasets" / name)

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    def student(self, name: str, seed: int | None = None) -> Path:
        """Folder of a student, or of one seed's model inside it."""
        folder = self.path / "students" / name
        return folder if seed is None else folder / f"seed-{seed}"

    def manifest_path(self, stage: str) -> Path:
        return self.path / "manifests" / f"{stage}.json"

    def manifest(self, stage: str) -> Manifest | None:
        """The manifest of a stage (`rows`, `student-<name>`, `report`), or None where it never finished."""
        path = self.manifest_path(stage)
        if not path.exists():
            return None
        try:
            return Manifest.model_validate_json(path.read_bytes())
        except ValueError:
            return None  # damaged: as good as never finished, and the stage will say so by running

    def why_stale(self, stage: str, inputs: Mapping[str, str]) -> list[str]:
        """Why a stage must run; empty when it is up to date with `inputs` and its outputs are all there."""
        manifest = self.manifest(stage)
        if manifest is None and self._started(stage).exists():
            return ["its last run did not end"]
        if manifest is None:
            damaged = self.manifest_path(stage).exists()
            return ["its manifest is damaged" if damaged else "it has not run yet"]
        if manifest.version != VERSION:
            return ["it was made by another version of tutelage"]
        reasons = [f"{name} changed" for name, sha in inputs.items() if manifest.inputs.get(name) != sha]
        reasons += [f"{name} is no longer used" for name in manifest.inputs if name not in inputs]
        for name, size in manifest.outputs.items():
            path = self.path / name
            if not path.exists() or path.stat().st_size != size:
                reasons.append(f"{name} is {'changed' if path.exists() else 'missing'}")
        if not manifest.complete:
            reasons.append("some of it failed last time")
        return reasons

    def begin(self, stage: str) -> None:
        """Forget the old manifest before a stage changes any of its outputs."""
        self.start(stage)
        self.manifest_path(stage).unlink(missing_ok=True)

    def start(self, stage: str) -> None:
        """Note that a stage is at work, for where it does not come to its end; its old outputs are still whole."""
        started = self._started(stage)
        started.parent.mkdir(parents=True, exist_ok=True)
        started.touch()

    def _started(self, stage: str) -> Path:
        return self.manifest_path(stage).with_suffix(".started")

    def finish(
        self,
        stage: str,
        inputs: Mapping[str, str],
        outputs: list[Path],
        facts: Mapping[str, Any],
        complete: bool = True,
    ) -> Manifest:
        """Write the stage's manifest: the last thing a stage does."""
        manifest = Manifest(
            stage=stage,
            inputs=dict(inputs),
            outputs={path.relative_to(self.path).as_posix(): path.stat().st_size for path in outputs},
            facts=dict(facts),
            complete=complete,
            finished=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        write_atomic(self.manifest_path(stage), manifest.model_dump_json(indent=1).encode())
        self._started(stage).unlink(missing_ok=True)
        return manifest

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run folder for one process. Raises RunError where another has it."""
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        held = FileLock(self.path / ".lock", timeout=0)
        try:
            held.acquire()
        except Timeout:
            raise RunError(
                f"{self.path} is in use by another process: wait for it to end, or name another folder with --run"
            ) from None
        try:
            self._note_origin()
            yield
        finally:
            held.release()

    def _note_origin(self) -> None:
        origin, known = self.origin, self.manifest(ORIGIN)
        if origin is not None and (
            known is None or known.inputs != origin.about or known.facts != {"file": origin.file}
        ):
            self.finish(ORIGIN, origin.about, [], {"file": origin.file})
