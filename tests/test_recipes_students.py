"""What a student's section may say."""

from __future__ import annotations

import pytest
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from pydantic import ValidationError

from recipes.students import CausalStudent, ClassifierStudent


@pytest.mark.parametrize("name", ["me/student", "my-org/student_1.5B", "a/b"])
def test_a_repository_is_owner_and_name(name: str) -> None:
    validate_repo_id(name)
    assert ClassifierStudent(kind="classifier", base="minilm", push_to_hub=name).push_to_hub == name
    assert CausalStudent(kind="causal", base="org/base", format="chat", push_to_hub=name).push_to_hub == name


@pytest.mark.parametrize(
    "name", ["not a repo!!", "student", "https://huggingface.co/me/student", "me/a--b", "me/-a", "me/a.git", "", "me/"]
)
def test_what_the_hub_would_refuse_is_refused_by_check(name: str) -> None:
    if name != "student":  # the Hub would take it, for whoever is logged in
        with pytest.raises(HFValidationError):
            validate_repo_id(name)
    for student in (
        {"kind": "classifier", "base": "minilm"},
        {"kind": "causal", "base": "org/base", "format": "chat"},
    ):
        model = ClassifierStudent if student["kind"] == "classifier" else CausalStudent
        with pytest.raises(ValidationError, match="must be owner/name, as in the repository's address on the Hub"):
            model.model_validate(student | {"push_to_hub": name})
