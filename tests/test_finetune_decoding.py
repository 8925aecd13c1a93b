"""Batches that rows join and leave: every row has the tokens that it has alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Cache,
    DynamicCache,
    Gemma3TextConfig,
    Lfm2Config,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from finetune.decoding import KEYS, UNREAD, Decoding, can_join, rounded_up
from finetune.growing import ROOM, GrowingLayer
from finetune.step_attention import attend_in_steps, step_attention
from recipes.students import Answering

TOKENS = 60
SMALL = {
    "vocab_size": TOKENS, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "initializer_range": 0.3, "pad_token_id": None,
}  # fmt: skip
GREEDY, WARM, NUCLEUS = (
    Answering(temperature=0, max_new_tokens=30),
    Answering(temperature=1.5, max_new_tokens=30),
    Answering(temperature=0.9, top_p=0.7, max_new_tokens=30),
)


def make_model(config: PretrainedConfig) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float64).eval()


MODELS = {
    "llama": make_model(LlamaConfig(**SMALL)),
    "sliding window": make_model(MistralConfig(**SMALL, sliding_window=6)),
    "both": make_model(
        Gemma3TextConfig(**SMALL, sliding_window=6, layer_types=["sliding_attention", "full_attention"])
    ),
}


def prompt(number: int) -> list[int]:
    draw = random.Random(number)
    return [draw.randrange(TOKENS) for _ in range(draw.choice([1, 2, 5, 9, 23]))]


def alone(model: Any, number: int, answering: Answering, count: int) -> list[int]:
    decoding = Decoding(model, [prompt(number)], answering, TOKENS, seed=number)
    return [decoding.step()[0] for _ in range(count)]


@pytest.mark.parametrize("name", MODELS)
def test_rows_join_and_leave_and_have_the_tokens_they_have_alone(name: str) -> None:
    model, draw = MODELS[name], random.Random(5)
    assert can_join(model)
    settings = {number: draw.choice([GREEDY, WARM, NUCLEUS]) for number in range(14)}
    wanted = {number: draw.randint(1, 25) for number in settings}
    said: dict[int, list[int]] = {number: [] for number in settings}
    batch: Decoding | None = None
    here: list[int] = []
    coming = list(settings)
    while coming or here:
        if coming and draw.random() < 0.5:
            number = coming.pop(0)
            new = Decoding(model, [prompt(number)], settings[number], TOKENS, seed=number)
            while new.read(4):
                pass
            assert new.unread == 1
            said[number] += new.step()
            if batch is None:
                batch, here = new, [number]
            else:
                batch.join(new)
                here.append(number)
        elif batch is not None:
            for number, token in zip(here, batch.step(), strict=True):
                said[number].append(token)
        going = [place for place, number in enumerate(here) if len(said[number]) < wanted[number]]
        if len(going) < len(here) and batch is not None:
            here = [here[place] for place in going]
            batch = batch if going else None
            if batch is not None:
                batch.keep(going)
    for number, tokens in said.items():
        assert tokens == alone(model, number, settings[number], len(tokens)), number


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("length", [1, 2, UNREAD, UNREAD + 1, UNREAD + 2, KEYS - 3])
def test_padding_changes_no_token(name: str, length: int) -> None:
    draw = random.Random(length)
    ids = [draw.randrange(TOKENS) for _ in range(length)]
    batch = Decoding(MODELS[name], [ids], GREEDY, TOKENS, 0)
    while batch.read(3):
        pass
    for _ in range(6):
        with torch.inference_mode():
            bare = MODELS[name](torch.tensor([ids]), use_cache=False).logits[0, -1, :TOKENS]
        ids.append(batch.step()[0])
        assert ids[-1] == int(bare.argmax())


def test_a_model_sees_few_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = make_model(LlamaConfig(**SMALL)), set()

    def watched(module: Any, query: Any, key: Any, *rest: Any, **options: Any) -> Any:
        seen.add((query.shape[2], key.shape[2]))
        return sdpa_attention_forward(module, query, key, *rest, **options)

    attend_in_steps(model)
    monkeypatch.setattr("finetune.step_attention.sdpa_attention_forward", watched)
    for length in range(1, 90):
        batch = Decoding(model, [[1] * length], GREEDY, TOKENS, 0)
        while batch.read(50):
            pass
    assert {new % UNREAD for new, _ in seen} == {keys % KEYS for _, keys in seen} == {0}
    assert len(seen) < 6


def test_padding_goes_with_the_row_that_needed_it() -> None:
    model = MODELS["llama"]
    batch = Decoding(model, [[1] * 40], GREEDY, TOKENS, 0)
    short = Decoding(model, [[2, 3]], GREEDY, TOKENS, 0)
    batch.step(), short.step()
    batch.join(short)
    batch.step()
    assert batch._cache.get_seq_length() == 2 * UNREAD + 2
    batch.keep([1])
    assert batch._cache.get_seq_length() == 3


@pytest.mark.parametrize(("first", "second"), [(9, 2), (2, 9)])
def test_a_batch_that_has_no_memory_for_another_stays_as_it_was(
    first: int, second: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MODELS["llama"]
    whole = Decoding(model, [[1] * first, [7, 8]], GREEDY, TOKENS, 0)
    tokens = [whole.step() for _ in range(8)]
    cat = torch.cat
    for failing in range(2 * len(whole._cache.layers) + 3):
        batch, other = (
            Decoding(model, prompts, GREEDY, TOKENS, 0) for prompts in ([[1] * first, [7, 8]], [[3] * second])
        )
        said = [batch.step()]
        other.step()
        calls: list[object] = []

        def full(tensors: Any, *rest: Any, calls: list[object] = calls, last: int = failing, **more: Any) -> Any:
            calls.append(tensors)
            if len(calls) > last:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return cat(tensors, *rest, **more)

        with monkeypatch.context() as patch, pytest.raises(torch.OutOfMemoryError):
            patch.setattr(torch, "cat", full)
            batch.join(other)
        assert [*said, *(batch.step() for _ in range(7))] == tokens


def test_what_a_long_prompt_says_does_not_depend_on_how_it_is_read() -> None:
    long = [7, *range(50), 3]
    for chunk in (1, 5, 60):
        batch = Decoding(MODELS["sliding window"], [long], GREEDY, TOKENS, 0)
        counts = []
        while count := batch.read(chunk):
            counts.append(count)
        assert sum(counts) == rounded_up(51, UNREAD)
        assert max(counts) <= rounded_up(chunk, UNREAD)
        whole = Decoding(MODELS["sliding window"], [long], GREEDY, TOKENS, 0)
        assert [batch.step() for _ in range(12)] == [whole.step() for _ in range(12)]


def test_heads_that_share_keys_are_asked_together(monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompts = make_model(LlamaConfig(**SMALL)), [prompt(number) for number in range(6)]

    def answers() -> list[list[int]]:
        batch = Decoding(model, prompts, GREEDY, TOKENS, 0)
        return [batch.step() for _ in range(20)]

    expected, news = answers(), []

    def watched(module: Any, query: Any, *rest: Any, **options: Any) -> Any:
        news.append(query.shape[2])
        return sdpa_attention_forward(module, query, *rest, **options)

    attend_in_steps(model)
    monkeypatch.setattr("finetune.step_attention.sdpa_attention_forward", watched)
    assert answers() == expected
    assert news == [UNREAD + 1] * 2  # the prompts, in two layers; no step

    per_head = torch.zeros(3, 4, 1, 9, dtype=torch.float64).normal_()  # a mask for each head is not for sharing
    query, key = torch.randn(3, 4, 1, 8, dtype=torch.float64), torch.randn(3, 2, 9, 8, dtype=torch.float64)
    layer = model.model.layers[0].self_attn
    assert torch.equal(
        step_attention(layer, query, key, key, per_head)[0], sdpa_attention_forward(layer, query, key, key, per_head)[0]
    )


def test_a_cache_that_grows_holds_what_one_that_is_copied_does() -> None:
    grown, copied = Cache(layer_class_to_replicate=GrowingLayer), DynamicCache()
    draw, rows = random.Random(1), 5
    for turn in range(120):
        if turn in (40, 90):
            kept = torch.tensor(sorted(draw.sample(range(rows), rows - 2)))
            rows -= 2
            grown.batch_select_indices(kept), copied.batch_select_indices(kept)
        keys = torch.randn(rows, 2, draw.choice([1, 1, 1, 70]), 4)
        new = keys, keys * 2
        for mine, theirs in zip(grown.update(*new, 0), copied.update(*new, 0), strict=True):
            assert torch.equal(mine, theirs)
        assert grown.get_seq_length() == copied.get_seq_length()


def test_what_a_model_is_given_is_a_multiple_of_the_grain_and_nothing_after_its_tokens() -> None:
    cache = Cache([GrowingLayer(KEYS)])
    for new, given in ((70, 2 * KEYS), (1, 2 * KEYS), (KEYS, 3 * KEYS)):
        before = cache.get_seq_length()
        assert cache.get_mask_sizes(new, 0) == (given, 0)
        keys, values = cache.update(*[torch.ones(2, 2, new, 4)] * 2, 0)
        assert keys.shape[2] == values.shape[2] == given
        assert keys[:, :, : before + new].eq(1).all()
        assert keys[:, :, before + new :].eq(0).all()
        assert cache.get_seq_length() == before + new


def test_a_step_copies_no_keys_but_its_own() -> None:
    cache = Cache(layer_class_to_replicate=GrowingLayer)
    places = [cache.update(*[torch.randn(2, 2, 1, 4)] * 2, 0)[0].data_ptr() for _ in range(200)]
    assert len(set(places)) <= 200 // ROOM + 1


def test_a_model_with_a_state_of_another_kind_cannot_join() -> None:
    config = Lfm2Config(**{name: SMALL[name] for name in list(SMALL)[:6]}, full_attn_idxs=[1], pad_token_id=None)
    assert not can_join(make_model(config))
