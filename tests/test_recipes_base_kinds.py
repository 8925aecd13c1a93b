"""What a base can become, by its name and its config.json."""

from __future__ import annotations

import pytest

from recipes.base_kinds import ENCODERS, is_hub_name, kind_problem

NAMES = [
    "roberta-base", "org/model", "o_r-g.1/m_o-d.e-l", "a", "a/b/c", "a b", "", "/a", "a/", "-a/b", "a/-b", "a/b.",
    "a..b", "a/b.git", "a/" + "b" * 96, "a/" + "b" * 97, "C:", "ä/b", "a/b@main", ".a/b", "a./b", "a--b",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_are_the_hubs(name: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
        known = True
    except HFValidationError:
        known = False
    assert is_hub_name(name) == known


def test_encoders_are_those_of_transformers() -> None:
    from transformers.models.auto import modeling_auto as auto

    masked, sequence = auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES, auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
    assert set(masked) & set(sequence) >= ENCODERS


@pytest.mark.parametrize(
    ("kind", "config", "problem"),
    [
        ("classifier", {"model_type": "roberta", "architectures": ["RobertaForMaskedLM"]}, None),
        ("classifier", {"model_type": "bert", "architectures": ["BertLMHeadModel"]}, None),
        ("classifier", {"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]}, None),
        (
            "classifier",
            {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]},
            "is a causal language model (gpt2)",
        ),
        ("classifier", {"model_type": "t5", "is_encoder_decoder": True}, "is an encoder with a decoder (t5): "),
        ("classifier", {}, None),
        ("causal", {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, None),
        ("causal", {"model_type": "bert", "is_decoder": True, "architectures": ["BertLMHeadModel"]}, None),
        ("causal", {"model_type": "bert", "architectures": None}, "is an encoder (bert), which writes no text"),
        (
            "causal",
            {"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]},
            "is a LlamaForSequence",
        ),
        ("causal", {"model_type": 3, "architectures": [3]}, None),
        ("seq2seq", {"model_type": "t5", "is_encoder_decoder": True}, None),
        ("seq2seq", {}, None),
        ("seq2seq", {"model_type": "roberta"}, "is an encoder alone (roberta): name one with a decoder"),
        (
            "seq2seq",
            {"model_type": "llama", "architectures": ["LlamaForCausalLM"]},
            "is no encoder with a decoder (llama)",
        ),
    ],
)
def test_what_a_config_tells(kind: str, config: dict[str, object], problem: str | None) -> None:
    found = kind_problem(kind, config)
    assert found == problem if problem is None or found is None else found.startswith(problem)
