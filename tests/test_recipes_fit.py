"""Plans: the largest micro-batch that fits, exactly the batch asked, and refusals whose advice works."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recipes.architecture import Architecture
from recipes.base_configs import LLAMA_3_8B
from recipes.devices import GIB, Device, cpu, find_device
from recipes.fit import Fit, fit
from recipes.memory import memory_of
from recipes.room import COMFORT, choices, longest, settle
from recipes.settings import Settings, settings_of
from recipes.students import CausalStudent

UNSLOTH = Settings(2048, backend="unsloth")
T4, RTX = find_device("t4"), find_device("rtx4060")


def plan(wanted: Settings, device: Device) -> Fit:
    return fit(LLAMA_3_8B, wanted, device)


def test_the_published_runs_fit_where_they_were_made():
    """R1-Distill, rank 16, batch 8, 2,048 tokens, by unsloth: on a T4 and on an RTX 4060."""
    on_t4, on_rtx = plan(UNSLOTH, T4), plan(UNSLOTH, RTX)
    assert (on_t4.refusal, on_t4.micro_batch, on_t4.accumulation) == (None, 8, 1)
    assert (on_rtx.refusal, on_rtx.micro_batch, on_rtx.accumulation) == (None, 1, 8)
    assert on_rtx.settings.checkpointing is True


def test_the_largest_micro_batch_that_fits():
    found = plan(UNSLOTH, Device("card", 8.0))
    assert found.micro_batch == 2
    larger = replace(found.settings, micro_batch=4)
    assert memory_of(LLAMA_3_8B, larger).total > 8 * GIB >= found.memory.total


@pytest.mark.parametrize("size", [1, 6, 7, 8, 12, 30])
def test_micro_batches_times_accumulation_are_the_batch(size):
    found = plan(replace(UNSLOTH, batch_size=size), Device("card", 9.0))
    assert found.micro_batch * found.accumulation == size


def test_checkpointing_only_where_it_is_needed():
    roomy, tight = plan(UNSLOTH, find_device("a100-80gb")), plan(UNSLOTH, T4)
    assert (roomy.settings.checkpointing, tight.settings.checkpointing) == (False, True)
    assert roomy.memory.total <= COMFORT * 79.1 * GIB
    asked = plan(replace(UNSLOTH, checkpointing=True), find_device("a100-80gb"))
    assert asked.settings.checkpointing is True


def test_a_micro_batch_that_is_given_is_kept():
    assert plan(replace(UNSLOTH, micro_batch=2), T4).micro_batch == 2
    with pytest.raises(ValueError, match="micro_batch 3 must divide batch_size 8"):
        Settings(2048, micro_batch=3)
    with pytest.raises(ValueError, match="cannot be trained"):
        Settings(2048, rank=None)


@pytest.mark.parametrize(
    ("wanted", "device", "sentence"),
    [
        (
            replace(UNSLOTH, rank=32),
            "rtx4060",
            "one row of 2,048 tokens at once takes 7.81 GiB and the RTX 4060 has 7.60; "
            "set lora.rank to 16, or max_length to 1,056",
        ),
        (
            Settings(2048),
            "rtx4060",
            "one row of 2,048 tokens at once takes 8.03 GiB and the RTX 4060 has 7.60; "
            "set backend to unsloth, or max_length to 1,208",
        ),
        (Settings(2048, quantised=False), "t4", "takes 17.57 GiB and the T4 has 14.50; set quantization to nf4"),
        (
            Settings(2048, quantised=False, optimizer="adamw"),
            "rtx4060",
            "set optimizer to adamw_8bit, quantization to nf4 and backend to unsloth",
        ),
        (Settings(2048, rank=None, quantised=False), "l4", "set lora to {rank: 16} with quantization: nf4"),
        (replace(UNSLOTH, micro_batch=8), "8gb", "8 rows of 2,048 tokens at once take "),
        (replace(UNSLOTH, micro_batch=8), "8gb", "set micro_batch to 1, or max_length to "),
        (replace(UNSLOTH, checkpointing=False), "12gb", "set gradient_checkpointing to auto, or max_length to "),
        (
            replace(UNSLOTH, optimizer="adamw"),
            "7.5gb",
            "set optimizer to adamw_8bit, or lora.rank to 8, or max_length to",
        ),
        (replace(UNSLOTH, max_length=65536), "rtx4060", "set max_length to 2,888"),
        (Settings(65536, rank=64), "rtx4060", "set backend to unsloth, lora.rank to 32 and max_length to 1,056"),
        (UNSLOTH, "6gb", "even with lora.rank to 8 it takes a device with 7.3 GiB or more"),
        (replace(UNSLOTH, rank=8), "6gb", "has 6.00; take a smaller base, or a device with 7.3 GiB or more"),
    ],
)
def test_refusals_say_what_to_change(wanted, device, sentence):
    found = plan(wanted, find_device(device))
    assert found.refusal is not None and sentence in found.refusal
    assert "\n" not in found.refusal


def test_a_model_from_scratch_is_not_told_to_take_an_adapter():
    scratch = replace(LLAMA_3_8B, name="scratch")
    found = fit(scratch, Settings(2048, rank=None, quantised=False), T4)
    assert found.refusal is not None and "lora" not in found.refusal


def apply(advice: str, wanted: Settings) -> Settings:
    """What a user does who follows one advice."""
    changes = {
        r"micro_batch to (\d+)": lambda said: {"micro_batch": int(said)},
        r"(gradient_checkpointing to auto)": lambda said: {"checkpointing": None},
        r"(precision to auto)": lambda said: {"dtype": "fp16"},
        r"(optimizer to adamw_8bit)": lambda said: {"optimizer": "adamw_8bit"},
        r"(quantization to nf4)": lambda said: {"quantised": True},
        r"(lora to \{rank: 16\})": lambda said: {"rank": 16, "quantised": True},
        r"(backend to unsloth)": lambda said: {"backend": "unsloth"},
        r"lora.rank to (\d+)": lambda said: {"rank": int(said)},
        r"max_length to ([\d,]+)": lambda said: {"max_length": int(said.replace(",", ""))},
    }
    for pattern, change in changes.items():
        said = re.search(pattern, advice)
        if said is not None:
            wanted = replace(wanted, **change(said[1]))
    return wanted


@settings(max_examples=150, deadline=None)
@given(
    st.builds(
        Settings, max_length=st.integers(16, 16_384), batch_size=st.just(8), micro_batch=st.sampled_from([None, 1, 8]),
        rank=st.sampled_from([8, 16, 64, 200]), quantised=st.booleans(),
        optimizer=st.sampled_from(["adamw", "adamw_8bit"]),
        backend=st.sampled_from(["unsloth", "plain"]), checkpointing=st.sampled_from([None, True, False]),
        dtype=st.sampled_from(["bf16", "fp32"]), plain_only=st.booleans(),
    ),
    st.floats(5, 30),
)  # fmt: skip
def test_every_advice_works(wanted, gib):
    device = Device("card", gib)
    refusal = plan(wanted, device).refusal
    assume(refusal is not None)
    _, _, advice = refusal.rpartition("; ")
    if not advice.startswith("set "):
        needed = float(re.search(r"a device with ([\d.]+) GiB", advice)[1])
        assert needed > gib
        assert settle(LLAMA_3_8B, apply(advice, wanted), Device("card", needed)) is not None
        return
    for one in advice.removeprefix("set ").split(", or "):
        assert plan(apply(one, wanted), device).refusal is None, one


@pytest.mark.parametrize("backend", ["unsloth", "plain"])
def test_longest_is_the_edge(backend):
    wanted = Settings(1, backend=backend)
    tokens = longest(LLAMA_3_8B, wanted, T4)
    assert settle(LLAMA_3_8B, replace(wanted, max_length=tokens), T4) is not None
    assert settle(LLAMA_3_8B, replace(wanted, max_length=tokens + 1), T4) is None


def test_choices_come_best_first():
    found = [(one.checkpointing, one.micro_batch) for one in choices(Settings(8, batch_size=4))]
    assert found == [(False, 4), (False, 2), (False, 1), (True, 4), (True, 2), (True, 1)]


def test_lines_are_a_table_with_its_sum():
    found = plan(UNSLOTH, RTX)
    lines = found.lines()
    assert lines[0] == "Llama 3 8B, 8.03B parameters, by unsloth on RTX 4060: 7.6 GiB usable, bf16"
    assert len({line.index(" GiB") for line in lines[1:12]}) == 1
    shown = [float(line.split()[-2]) for line in lines[1:11]]
    assert sum(shown) == pytest.approx(7.42, abs=0.05)
    assert lines[11].split() == ["in", "all", "7.42", "GiB", "of", "7.60", "GiB"]
    assert lines[12] == (
        "micro-batch 1 x 8 accumulated = 8 rows a step, up to 2,048 tokens each; gradient checkpointing on"
    )
    assert lines[13] == "inputs of blocks wait in the machine's own memory: 0.50 GiB"
    assert lines[-1] == "an estimate: not confirmed on a GPU"
    assert all(len(line) <= 110 for line in lines)


def test_lines_of_a_refusal():
    lines = plan(Settings(2048), RTX).lines()
    assert lines[-2].startswith("does not fit: one row of 2,048 tokens")
    assert lines[-1] == "an estimate: not confirmed on a GPU"


def test_a_tiny_model_on_a_cpu():
    tiny = Architecture("scratch", 128, 256, 2, 4, 2, 32, 2048, tied=True)
    wanted = Settings(128, rank=None, quantised=False, dtype="fp32")
    found = fit(tiny, wanted, cpu(4 << 30))
    assert (found.refusal, found.micro_batch, found.settings.checkpointing) == (None, 8, False)
    assert found.lines()[0] == "scratch, 558k parameters, by plain on CPU: 4.0 GiB usable, fp32"
    assert found.lines()[-1] == "an estimate: not confirmed on this machine"


def test_a_device_of_unknown_memory_holds_everything():
    found = plan(UNSLOTH, find_device("cpu"))
    assert found.refusal is None and found.lines()[-4].endswith(" GiB")


def student(**words) -> CausalStudent:
    return CausalStudent.model_validate({"kind": "causal", "base": "b", "format": "think", **words})


def test_the_words_of_a_recipe_become_settings():
    found = settings_of(student(), T4, unsloth=True)
    assert found == Settings(2048, backend="unsloth", dtype="fp16", repeated=True)
    assert settings_of(student(), T4, unsloth=False).backend == "plain"
    processor = settings_of(student(), cpu(0), unsloth=True)
    assert (processor.backend, processor.dtype, processor.gpu, processor.repeated) == ("plain", "fp32", False, False)
    other = student(quantization="none", gradient_checkpointing="off", precision="bf16", backend="plain")
    found = settings_of(other, T4, unsloth=True)
    assert (found.quantised, found.checkpointing, found.dtype, found.backend) == (False, False, "bf16", "plain")
    some = student(lora={"targets": ["self_attn.q_proj", "down_proj", "lm_head"]})
    assert settings_of(some, T4, unsloth=True).targets == ("q_proj", "down_proj")


def test_rows_that_are_padded_need_a_mask_and_cards_before_ampere_repeat_keys():
    assert settings_of(student(packing="grouped"), RTX, unsloth=False).masked
    found = settings_of(student(), RTX, unsloth=False)
    assert (found.masked, found.repeated) == (False, False)
    assert settings_of(student(precision="fp32"), RTX, unsloth=False).repeated


@pytest.mark.parametrize(
    "words", [{"precision": "fp32"}, {"packing": "packed"}, {"lora": None, "quantization": "none"}], ids=str
)
def test_what_unsloth_cannot_train_is_planned_without_it(words):
    assert settings_of(student(**words), RTX, unsloth=True).backend == "plain"


def test_advice_is_what_the_trainer_can_do():
    long = {"max_length": 32_768, "lora": {"rank": 8}}
    for words in ({"precision": "fp32"}, {"packing": "packed"}):
        refusal = fit(LLAMA_3_8B, settings_of(student(**words, **long), RTX, unsloth=True), RTX).refusal
        assert refusal is not None and "unsloth" not in refusal
    fp32 = fit(LLAMA_3_8B, settings_of(student(precision="fp32", max_length=1024), RTX, unsloth=True), RTX)
    assert fp32.refusal is not None and "; set precision to auto" in fp32.refusal
    whole = fit(LLAMA_3_8B, settings_of(student(lora=None, quantization="none"), RTX, unsloth=True), RTX)
    assert whole.refusal is not None and "set lora to {rank: 16} with quantization: nf4 and" in whole.refusal


def test_a_recipes_own_precision_is_the_one_that_is_told():
    found = fit(LLAMA_3_8B, settings_of(student(precision="bf16"), T4, unsloth=True), T4)
    assert found.lines()[0].endswith("by unsloth on T4: 14.5 GiB usable, bf16")
    assert any(line.strip().startswith("embedding, head and norms, bf16") for line in found.lines())
    assert fit(LLAMA_3_8B, settings_of(student(), T4, unsloth=True), T4).lines()[0].endswith("usable, fp16")
    assert fit(LLAMA_3_8B, settings_of(student(), cpu(0), unsloth=True), cpu(0)).place() == "CPU, fp32"
