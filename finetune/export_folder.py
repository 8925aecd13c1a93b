"""The folder that an export goes to: never one that holds something else."""

from __future__ import annotations

from pathlib import Path

from finetune.record import SEED_FILE
from recipes.errors import TrainingError


def check_folder(out: Path, ours: bool) -> None:
    """Refuse a folder named by the user that is a student's own, or that holds what no export of this student wrote.

    ours: an export of this very student was begun there before. Raises TrainingError.
    """
    if out.exists() and not out.is_dir():
        raise TrainingError(f"--out: {out} is a file: name a folder")
    own = next((one for one in (out.resolve(), *out.resolve().parents) if (one / SEED_FILE).exists()), None)
    if own is not None:
        raise TrainingError(f"--out: {out} would put an export into the model folder {own}: name another folder")
    held = [] if ours or not out.exists() else sorted(path.name for path in out.iterdir())
    if held:
        more = f" and {len(held) - 1:,} more" if len(held) > 1 else ""
        raise TrainingError(f"--out: {out} holds other files ({held[0]}{more}): name a new or an empty folder")
