"""How the models of a search are loaded, and what is said where they cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from finetune.bases import Base
from finetune.hardware import Machine
from rag.models import open_model, room_for
from recipes.errors import RunError

HUB, FOLDER = Base("some/model", "some/model", "some/model", "v2"), Base("./model", "/models/model", None, None)


def options_of(place: str, **options: Any) -> dict[str, Any]:
    return options | {"place": place}


def raising(error: Exception) -> Any:
    def make(place: str, **options: Any) -> None:
        raise error

    return make


def test_the_hub_is_asked_with_the_users_token_and_a_folder_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    common = {"trust_remote_code": False, "device": "cpu"}
    asked = {"place": "some/model", "revision": "v2", "token": "hf_mine", "local_files_only": False}
    assert open_model(options_of, "retrieval.rerank", HUB, device="cpu") == common | asked
    own = {"place": "/models/model", "local_files_only": True}
    assert open_model(options_of, "retrieval.rerank", FOLDER, device="cpu") == common | own


@pytest.mark.parametrize("kind", [OSError, ValueError, RuntimeError, Exception])
def test_what_cannot_be_loaded_is_named(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    make = raising(kind("gone\nand more"))
    with pytest.raises(RunError) as caught:
        open_model(make, "retrieval.rerank", FOLDER)
    assert str(caught.value) == "retrieval.rerank: ./model cannot be loaded in /models/model: gone"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RunError, match="gone; unset it once to download the model, or name a folder that has it"):
        open_model(make, "retrieval.rerank", HUB)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(RunError, match="gone; check its name and the network, and HF_TOKEN where it is private"):
        open_model(make, "retrieval.rerank", HUB)


def test_our_own_bugs_are_not_hidden() -> None:
    with pytest.raises(KeyError):
        open_model(raising(KeyError("x")), "retrieval.rerank", FOLDER)
    with pytest.raises(RuntimeError, match="shapes"), room_for("ranking", Machine("cpu", "fp32", "a CPU"), "lower it"):
        raise RuntimeError("shapes do not fit")
