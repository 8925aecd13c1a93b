"""A data set of the Hub that cannot be loaded: one sentence, with what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from huggingface_hub import HfApi

from recipes.errors import SourceError
from synth.hub import load_hub


def told(hub: str, config: str | None = None, split: str = "train", file: str | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        load_hub("source", hub, config, split, None, file)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"source.hub: {hub} ({split}) cannot be loaded: ")


def written(folder: Path, **files: str) -> str:
    """A data set in a folder, which `datasets` loads as it does one of the Hub."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return str(folder)


def test_a_loading_script_is_not_run_and_the_parquet_copy_is_named(tmp_path: Path) -> None:
    hub = written(tmp_path / "tweets", tweets_py="raise AssertionError('it was run')\n", all_jsonl='{"text": "a"}\n')
    assert told(hub, "all") == (
        "its rows are made by a program of its own (tweets.py), and datasets 4 and later run none: take the Hub's "
        "Parquet copy, with source.revision: refs/convert/parquet and source.file: all/train/0000.parquet (its Files "
        "page, on that branch, shows the names), or download the data and name a file with source.path"
    )
    assert "source.file: CONFIGURATION/test/0000.parquet" in told(hub, split="test")


def test_a_file_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    hub = written(tmp_path / "set", a_json='{"text": "a"}\n', b_json='{"text": "b"}\n')
    assert told(hub, file="c/*.json") == "no file of it matches source.file: c/*.json; it has a.json, b.json"
    empty = written(tmp_path / "empty", notes_rst="no rows\n")
    assert told(empty) == "there are no files in it that datasets reads as tables; it has notes.rst"


def test_on_the_hub_too(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = "Couldn't find any data file at /x. Couldn't find 'a/b' on the Hugging Face Hub either: Unable to find"
    refuse(monkeypatch, FileNotFoundError(f"{sentence} 'hf://datasets/a/b@c1/c/*.json'"))
    names = [".gitattributes", *(f"mixtral/{n}.zip" for n in range(10))]
    monkeypatch.setattr(HfApi, "list_repo_files", lambda *_, **__: names)
    listed = ", ".join(names[1:9])
    assert told("a/b", file="c/*.json").endswith(f"c/*.json; it has {listed} and 2 more")


def test_configurations_and_splits_are_listed(tmp_path: Path) -> None:
    card = "---\nconfigs:\n- {config_name: en, data_files: a.json}\n- {config_name: de, data_files: b.json}\n---\n"
    hub = written(tmp_path / "set", a_json='{"text": "a"}\n', b_json='{"text": "b"}\n', README_md=card)
    assert told(hub) == "it has several configurations: name one with source.config (en, de)"
    assert told(hub, "fr") == (
        "BuilderConfig 'fr' not found. Available: ['en', 'de']; name one of them with source.config"
    )
    assert told(hub, "en", "test") == "Unknown split \"test\". Should be one of ['train']"


def test_columns_that_differ_and_a_name_that_is_none(tmp_path: Path) -> None:
    hub = written(tmp_path / "set", a_json='{"text": "a"}\n', b_json='{"other": "b"}\n')
    assert told(hub).endswith("; name one file, or files of one kind, with source.file")
    assert told("a/b/c").endswith("it is neither a name of the Hub (owner/name) nor a folder here")


def test_offline_is_said_with_the_way_out() -> None:
    assert told("nobody/there-is-no-such-data-set").endswith(
        "HF_HUB_OFFLINE is set, and it is not in the cache of this machine: unset it, or name a file with source.path"
    )


def refuse(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def load_dataset(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            DatasetNotFoundError("Dataset 'a/b' is a gated dataset on the Hub. You must be authenticated."),
            "You must be authenticated; agree to its terms at https://huggingface.co/datasets/a/b, and set HF_TOKEN",
        ),
        (
            DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub or cannot be accessed."),
            "accessed; its name is what follows huggingface.co/datasets/; a private one wants HF_TOKEN",
        ),
        (
            DatasetNotFoundError("Revision 'v9' doesn't exist for dataset 'a/b' on the Hub."),
            "on the Hub; name another with source.revision, or none",
        ),
        (ConnectionError("Couldn't reach 'a/b' on the Hub (ConnectError)"), "or name a file with source.path"),
        (RuntimeError("what nobody thought of\n\nand more"), "what nobody thought of and more"),
        (KeyError(), "KeyError"),
    ],
)
def test_what_the_hub_refuses(monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str) -> None:
    refuse(monkeypatch, error)
    assert told("a/b").endswith(sentence)


def test_the_cause_is_told_and_not_that_something_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    error = DatasetGenerationError("An error occurred while generating the dataset")
    error.__cause__ = ValueError("JSON parse error: Missing a comma")
    refuse(monkeypatch, error)
    assert told("a/b") == "JSON parse error: Missing a comma"
