"""A data set of the Hub: downloaded once by `datasets`, memory-mapped, no remote code; or one sentence why not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.errors import SourceError

_MOST_NAMED = 8
"""Files of a data set that are named where the one that is wanted is not there."""
_SCRIPT = "scripts are no longer supported"
_NO_CONFIG = "Config name is missing"
_NO_FILES = ("Hub either: ", "Unable to find ", "data files found", "any data files")
_ONE_KIND = "name one file, or files of one kind, with {section}.file"
_ADVICE = {
    "doesn't exist on the Hub": "its name is what follows huggingface.co/datasets/; a private one wants HF_TOKEN",
    "is a gated dataset": "agree to its terms at https://huggingface.co/datasets/{hub}, and set HF_TOKEN",
    "Revision '": "name another with {section}.revision, or none",
    "BuilderConfig '": "name one of them with {section}.config",
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set, and it is not in the cache of this machine: unset it, or name a "
    "file with {section}.path",
    "Couldn't reach": "it is not in the cache of this machine either: see to the network, or name a file with "
    "{section}.path",
    "must have the same columns": _ONE_KIND,
    "column names don't match": _ONE_KIND,
    "Couldn't find any data file at": "it is neither a name of the Hub (owner/name) nor a folder here",
}
"""Words of a reason -> what to do about it. `datasets` tells its reasons apart by these words alone."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the Hub is to be loaded. section: of the recipe, for the sentence."""

    section: str
    hub: str
    config: str | None
    split: str
    revision: str | None
    file: str | None


def load_hub(section: str, hub: str, config: str | None, split: str, revision: str | None, file: str | None) -> Any:
    """The rows of one split. Raises SourceError with what is wrong and what to do about it."""
    from datasets import load_dataset  # type: ignore[import-untyped]

    wanted = Wanted(section, hub, config, split, revision, file)
    try:
        return load_dataset(hub, config, split=split, revision=revision, data_files=file)
    except Exception as error:  # of datasets, huggingface_hub, httpx, fsspec or pyarrow: they share no base
        raise SourceError(f"{section}.hub: {hub} ({split}) cannot be loaded: {_why(error, wanted)}") from None


def _why(error: Exception, wanted: Wanted) -> str:
    said = " ".join(str(_cause(error)).split())
    if _SCRIPT in said:
        return _about_scripts(said.rpartition(" ")[2], wanted)
    if _NO_CONFIG in said:
        names = re.search(r"\[(.*?)\]", said)
        listed = names[1].replace("'", "") if names else "see its page"
        return f"it has several configurations: name one with {wanted.section}.config ({listed})"
    if any(words in said for words in _NO_FILES):
        return _about_files(wanted)
    reason = said.partition(" Example of usage:")[0].rstrip(".")[:300] or type(error).__name__
    advice = [told.format(section=wanted.section, hub=wanted.hub) for words, told in _ADVICE.items() if words in said]
    return "; ".join([reason, *advice[:1]])


def _cause(error: Exception) -> BaseException:
    """The error that tells something: "An error occurred while generating the dataset" is told of any."""
    plain = str(error).strip() == "An error occurred while generating the dataset"
    return error.__cause__ if plain and error.__cause__ is not None else error


def _about_scripts(script: str, wanted: Wanted) -> str:
    return (
        f"its rows are made by a program of its own ({script}), and datasets 4 and later run none: take the Hub's "
        f"Parquet copy, with {wanted.section}.revision: refs/convert/parquet and {wanted.section}.file: "
        f"{wanted.config or 'CONFIGURATION'}/{wanted.split}/0000.parquet (its Files page, on that branch, shows the "
        f"names), or download the data and name a file with {wanted.section}.path"
    )


def _about_files(wanted: Wanted) -> str:
    """No file is what was asked for: what there is."""
    there = _files(wanted)
    more = f" and {len(there) - _MOST_NAMED:,} more" if len(there) > _MOST_NAMED else ""
    listed = (
        f"it has {', '.join(there[:_MOST_NAMED])}{more}" if there else "its Files page on the Hub shows what it has"
    )
    if wanted.file is None:
        return f"there are no files in it that datasets reads as tables; {listed}"
    return f"no file of it matches {wanted.section}.file: {wanted.file}; {listed}"


def _files(wanted: Wanted) -> list[str]:
    folder = Path(wanted.hub)
    if folder.is_dir():
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    from huggingface_hub import HfApi

    try:
        names = HfApi().list_repo_files(wanted.hub, repo_type="dataset", revision=wanted.revision)
    except Exception:  # the reason that is told is why the data set was not loaded
        return []
    return sorted(name for name in names if not name.startswith("."))
