"""Where a base's dimensions come from: its folder, the Hub's cache on this disk, the Hub, or the list kept here."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from recipes.architecture import Architecture, read_architecture
from recipes.keys import read_key, redact
from recipes.section import beside

LLAMA_3_8B = Architecture("Llama 3 8B", 4096, 14336, 32, 32, 8, 128, 128256)
"""Its config.json; Llama 3.1 8B and what is distilled into it have the same shape."""

SHIPPED = dict.fromkeys(
    (
        "unsloth/llama-3-8b-bnb-4bit",
        "unsloth/llama-3-8b",
        "meta-llama/Meta-Llama-3-8B",
        "unsloth/DeepSeek-R1-Distill-Llama-8B",
        "unsloth/DeepSeek-R1-Distill-Llama-8B-bnb-4bit",
        "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
    ),
    LLAMA_3_8B,
)
"""The bases that the shipped recipes name: a plan for them needs no network."""


def find_architecture(
    base: str, folder: Path | None = None, revision: str | None = None, download: bool = True
) -> Architecture | str:
    """The dimensions of a base (a Hub id, or a folder seen from `folder`), or a sentence on why they are not known."""
    if base in SHIPPED and not beside(folder or Path(), base).is_dir():
        return replace(SHIPPED[base], name=base)
    found = find_config(base, folder, revision, download)
    return found if isinstance(found, str) else read_architecture(base, found)


def find_config(
    base: str, folder: Path | None = None, revision: str | None = None, download: bool = True
) -> dict[str, Any] | str:
    """The config.json of a base, or a sentence on why it is not known.

    Of a Hub model nothing else is read: from the cache on this disk, else downloaded unless `download` is False or
    HF_HUB_OFFLINE is set.
    """
    place = beside(folder or Path(), base)
    if place.is_dir():
        return _read(base, place / "config.json")
    if base.startswith((".", "/", "~")) or "\\" in base or base.count("/") > 1:
        return f"there is no folder {place}"
    found = _hub_config(base, revision, download)
    return found if isinstance(found, str) else _read(base, found)


def _read(base: str, path: Path) -> dict[str, Any] | str:
    """What a config.json holds, or what is wrong with it."""
    if not path.is_file():
        adapter = path.with_name("adapter_config.json").is_file()
        return f"{base} holds {'an adapter, not a whole model' if adapter else 'no config.json'}"
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return f"{path} cannot be read as JSON"
    return config if isinstance(config, dict) else f"{path} holds no JSON object"


def _hub_config(base: str, revision: str | None, download: bool) -> Path | str:
    """A Hub model's config.json on this disk, or why it is not here."""
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        cached = try_to_load_from_cache(base, "config.json", revision=revision)
        if isinstance(cached, str):
            return Path(cached)
        if constants.HF_HUB_OFFLINE or not download or not _has_network(constants.ENDPOINT):
            return f"the config.json of {base} is not on this disk, and offline it cannot be had"
        token = read_key("HF_TOKEN")
        return Path(hf_hub_download(base, "config.json", revision=revision, token=token, etag_timeout=5))
    except HFValidationError:
        return f"{base} is neither a folder here nor a name that the Hub could have"
    except (HfHubHTTPError, OSError) as error:
        first = redact(str(error).strip().split("\n")[0])
        return f"the config.json of {base} cannot be had from the Hub ({first[:200]})"


def _has_network(endpoint: str) -> bool:
    """Whether the Hub's name can be looked up; without this, its client retries for 20 seconds. A proxy looks it up."""
    try:
        return bool(getproxies() or socket.getaddrinfo(urlsplit(endpoint).hostname, 443))
    except OSError:
        return False
