"""Llamas of 60,000 parameters with byte-level tokenizers as Llama-3, R1 and Qwen have them, and adapters for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finetune.nf4 import keep_exact

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|pad|>"]
TEXTS = [
    "The kettle boils a litre of water in three minutes, and it's quiet.",
    "A lamp with 1200 lumens; 25000 hours, dimmable. Don't touch!",
    "Écouteurs sans fil, 日本語 と emoji 🎧🏽, naïve café\n\n  indented    line\r\nend",
    "What is it good for? It is good for reading: bright, warm, cheap.",
]


def make_tokenizer(pattern: str | None = LLAMA3, bos: bool = True, ignore_merges: bool = False) -> Any:
    """A byte-level BPE trained on TEXTS. pattern: its pre-tokenizer; None for GPT-2's own."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    if pattern is None:
        tokenizer.pre_tokenizer = level
    else:
        split = pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    tokenizer.add_tokens([AddedToken("<think>", special=False), AddedToken("</think>", special=False)])
    if bos:
        pair = [(SPECIAL[0], tokenizer.token_to_id(SPECIAL[0]))]
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{SPECIAL[0]} $A", special_tokens=pair)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=SPECIAL[0], eos_token=SPECIAL[1], pad_token=SPECIAL[5],
        chat_template=TEMPLATE, model_max_length=256, clean_up_tokenization_spaces=False,
    )  # fmt: skip


def make_llama(folder: Path, dtype: str = "float32", arch: str = "Llama", **config: Any) -> Path:
    """A model folder: Llama, Mistral or Qwen2, two layers, grouped heads, random weights, the tokenizer above."""
    import torch
    import transformers

    tokenizer = make_tokenizer(QWEN2 if arch.startswith("Qwen") else LLAMA3)
    tokenizer.save_pretrained(folder)
    settings = {
        "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}, "tie_word_embeddings": False,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    made = getattr(transformers, f"{arch}Config")(**(settings | config))
    torch.manual_seed(0)
    model = getattr(transformers, f"{arch}ForCausalLM")(made)
    with torch.no_grad():  # logits of a trained model's size, about 10; transformers' own weights give 1e-2
        for name, weight in model.named_parameters():
            noise = torch.randn_like(weight)
            weight.copy_(1 + 0.1 * noise if "norm" in name else (0.1 if "layers" in name else 0.3) * noise)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    return folder


def load_plain(folder: Path) -> Any:
    """A model folder in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def load_nf4(folder: Path, dtype: str = "float32", double_quant: bool = True) -> Any:
    """A model folder with its linear layers in real NF4, computing in float32."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double_quant,
        bnb_4bit_compute_dtype=torch.float32,
    )  # fmt: skip
    dtype_ = getattr(torch, dtype)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype_, quantization_config=config).eval()
    keep_exact(model)
    return model


def make_adapter(model: Any, folder: Path, **config: Any) -> Any:
    """A LoRA of random weights on `model`, saved to `folder`; the model that computes with it."""
    import torch
    from peft import LoraConfig, get_peft_model

    settings = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    tuned = get_peft_model(model, LoraConfig(**(settings | config)))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_" in name:
                weight.copy_(0.1 * torch.randn_like(weight))
    tuned.save_pretrained(folder)
    return tuned.eval()


def logits(model: Any, tokenizer: Any, texts: list[str] | None = None) -> Any:
    """Logits of every position of every text, (positions, vocabulary)."""
    import torch

    with torch.inference_mode():
        rows = [model(input_ids=torch.tensor([tokenizer(text).input_ids])).logits[0] for text in texts or TEXTS]
    return torch.cat(rows).float()
