#!/usr/bin/env python3
"""What a 4-bit LoRA of an 8B Llama takes on a GPU, beside what the memory plan says it takes.

    python bench/gpu_qlora.py [--steps 24]      # a CUDA GPU that nobody else uses; 7 GB of disk under --folder
    python bench/gpu_qlora.py --tiny            # a smoke test on any machine: measures nothing, writes nothing

A base of Llama-3 8B's shape is made on the GPU, tensor by tensor, and kept in NF4 as unsloth/llama-3-8b-bnb-4bit is: no
Hub, random weights (neither speed nor memory asks what they are), and never 16 GB of them at once. Then each case, with
and without unsloth, in a process of its own: the student of a shipped recipe, planned for a device of so many GiB and
trained for some dozens of steps on rows that all have max_length tokens, the most that the plan counts with. Without
unsloth they are packed, `micro_batch` of them to a sequence.

torch's allocator is held to the device's size less the CUDA context that the plan counts. What the plan refuses is
trained with what takes the least, and without that limit: a refusal is measured too. Peak: the most that the allocator
reserved, and what lies outside of it (the context, on this GPU). tokens/s: those of the rows, from the third step on.

Goal: every peak within 10% of its plan, and what was planned to fit fits. Ends with 1 where that is missed, and with 2
where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from clock import seconds_of

from finetune.bases import Base
from finetune.causal_lessons import CausalLesson
from finetune.course import CausalCourse
from finetune.formats import Encoded
from finetune.hardware import find_machine
from finetune.scratch import make_tokenizer
from recipes.architecture import read_architecture
from recipes.console import say
from recipes.devices import GIB, Device
from recipes.fit import fit
from recipes.load import load_recipe
from recipes.memory import CUDA_CONTEXT
from recipes.rows import ResponseRow
from recipes.settings import settings_of
from recipes.students import CausalStudent

ROOT = Path(__file__).resolve().parent.parent
WITHIN = 0.10
WARM_UP = 2
"""Steps before the clock starts."""
IDLE = 1.5
"""GiB of a GPU that may be taken before anything is done: its context."""
LLAMA_3_8B = {
    "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
}  # fmt: skip
TINY = LLAMA_3_8B | {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One training: the student `llama3` of a recipe, on a device of so many GiB. tiny: on this machine, with TINY."""

    recipe: str
    gib: float
    backend: str
    steps: int
    tiny: bool = False


def make_base(folder: Path, shape: dict[str, Any]) -> None:
    """A checkpoint with its linear layers in NF4, a block of the model at a time."""
    import torch
    from bitsandbytes.functional import quantize_4bit
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = LlamaConfig(**shape, tie_word_embeddings=False, dtype="bfloat16")
    with torch.device("meta"):
        shapes = {name: one.shape for name, one in LlamaForCausalLM(config).state_dict().items()}
    files: dict[str, list[str]] = {}
    for name in shapes:
        files.setdefault(".".join(name.split(".")[:3]) if ".layers." in name else "rest", []).append(name)
    places = {}
    for number, names in enumerate(files.values()):
        tensors: dict[str, torch.Tensor] = {}
        for name in names:
            weight = torch.empty(shapes[name], dtype=torch.bfloat16, device=device).normal_(0.0, 0.02)
            if name.endswith("norm.weight"):
                weight.fill_(1.0)
            if name.endswith("_proj.weight"):
                weight, state = quantize_4bit(weight, blocksize=64, compress_statistics=True, quant_type="nf4")
                tensors |= {f"{name}.{key}": part.cpu() for key, part in state.as_dict(packed=True).items()}
            tensors[name] = weight.cpu()
        save_file(tensors, folder / f"model-{number}.safetensors", {"format": "pt"})
        places |= dict.fromkeys(tensors, f"model-{number}.safetensors")
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    config.architectures = ["LlamaForCausalLM"]
    config.quantization_config = {
        "quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": "bfloat16",
    }  # fmt: skip
    config.save_pretrained(folder)
    _make_tokenizer(folder)


def _make_tokenizer(folder: Path) -> None:
    text = "A kettle that boils a litre of water in three minutes."
    rows = [ResponseRow(id="1", split="train", group="1", question="Kettle", response=text)]
    student = CausalStudent(kind="causal", base="scratch", format="alpaca", lora=None, quantization="none")
    make_tokenizer(student, rows).save_pretrained(folder)


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """Plan and train one case. An unsloth one imports unsloth before all that it changes."""
    if case.backend == "unsloth":
        import unsloth  # noqa: F401
    import torch

    from finetune.causal_model import load_causal_tokenizer
    from finetune.causal_plan import Plan
    from finetune.silence import quiet

    student = load_recipe(ROOT / "recipes" / f"{case.recipe}.yaml").causal("llama3")
    update: dict[str, Any] = {"backend": case.backend, "epochs": 1}
    student = student.model_copy(update=update | ({"max_length": 64} if case.tiny else {}))
    base, machine = Base(case.recipe, str(folder), None, None), find_machine()
    device = Device(f"device of {case.gib:g} GiB", case.gib, machine.precision == "bf16", gpu=machine.device == "cuda")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = read_architecture("an 8B Llama", config)
    assert not isinstance(model, str), model
    found = fit(model, settings_of(student, device, unsloth=case.backend == "unsloth"), device)
    plan = Plan(found.micro_batch, bool(found.settings.checkpointing), found.settings.backend)  # type: ignore[arg-type]
    draw = torch.Generator().manual_seed(0)
    size = (case.steps * student.batch_size, student.max_length)
    rows = [Encoded(ids, len(ids) // 4) for ids in torch.randint(6, 256, size, generator=draw).tolist()]
    lesson, none = CausalLesson([str(number) for number in range(len(rows))], rows, []), CausalLesson([], [], [])
    course = CausalCourse(
        "llama3", student, 3407, base, load_causal_tokenizer(base), lesson, none, machine, "", case.recipe
    )
    told = asdict(case) | {
        "max_length": student.max_length, "micro_batch": plan.micro_batch, "checkpointing": plan.checkpointing,
        "refused": found.refusal, "planned_gib": round(found.memory.total / GIB, 2),
    }  # fmt: skip
    with quiet(), tempfile.TemporaryDirectory() as work:
        limit = None if case.tiny or found.refusal else case.gib
        return told | _trained(course, plan, Path(work) / "students" / "llama3" / "checkpoints" / "seed", limit)


def _trained(course: CausalCourse, plan: Any, work: Path, limit: float | None) -> dict[str, Any]:
    """Train; what it took, within `limit` GiB where there is one."""
    import torch

    from finetune.causal import make_batching, model_to_train
    from finetune.causal_trainer import CausalTrainer

    gpu = course.machine.device == "cuda"
    if gpu and limit is not None:
        total = torch.cuda.mem_get_info()[1]
        torch.cuda.set_per_process_memory_fraction((limit * GIB - CUDA_CONTEXT) / total)
    try:
        model = model_to_train(course, plan)
        trainer = CausalTrainer(course, model, make_batching(course, model, plan), plan, work)
        trainer.marks.steps = frozenset()  # no checkpoints
        trainer.args.save_strategy = "no"
        seconds = seconds_of(trainer, WARM_UP)
    except torch.OutOfMemoryError as error:
        return {"fits": False, "said": str(error).splitlines()[0]}
    tokens = (len(trainer.steps) - WARM_UP) * course.student.batch_size * course.student.max_length
    told: dict[str, Any] = {"packed": trainer.batching.capacity is not None, "losses": _ends(trainer)}
    return told | {"tokens_per_second": round(tokens / seconds, 1)} | (_peak() if gpu else {})


def _ends(trainer: Any) -> list[float]:
    losses = [round(entry["loss"], 4) for entry in trainer.state.log_history if "loss" in entry]
    return [losses[0], losses[-1]]


def _peak() -> dict[str, Any]:
    """The GPU's memory at the most, in GiB."""
    import torch

    free, total = torch.cuda.mem_get_info()
    outside = total - free - torch.cuda.memory_reserved()
    reserved = torch.cuda.max_memory_reserved()
    return {
        "allocated_gib": round(torch.cuda.max_memory_allocated() / GIB, 2), "reserved_gib": round(reserved / GIB, 2),
        "outside_gib": round(outside / GIB, 2), "peak_gib": round((reserved + outside) / GIB, 2), "fits": True,
    }  # fmt: skip


def cases(steps: int) -> list[Case]:
    """What is measured: the published settings on 8 and 16 GB, and those made for 8."""
    wanted = [("llama3-products", 7.6), ("llama3-products", 14.5), ("llama3-products-rtx4060", 7.6)]
    return [Case(recipe, gib, backend, steps) for recipe, gib in wanted for backend in ("plain", "unsloth")]


def run_all(folder: Path, steps: int) -> dict[str, Any]:
    """All cases, each in a process of its own."""
    import torch

    runs: list[dict[str, Any]] = []
    for case in cases(steps):
        if case.backend == "unsloth" and find_spec("unsloth") is None:
            say(f"{case.recipe} on {case.gib:g} GiB by unsloth: not installed, left out")
            continue
        runs.append(_in_child(["--case", json.dumps(asdict(case)), "--folder", str(folder)]))
        say(json.dumps(runs[-1]))
    for run in runs:
        if "peak_gib" in run:
            run["difference"] = round(run["peak_gib"] / run["planned_gib"] - 1, 3)
    return {
        "bench": "gpu_qlora", "gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "steps": steps,
        "unsloth": "installed" if find_spec("unsloth") else "not installed", "runs": runs, "goal_within": WITHIN,
        "met": all(run["fits"] and abs(run.get("difference", 1.0)) <= WITHIN for run in runs),
    }  # fmt: skip


def _in_child(arguments: list[str]) -> dict[str, Any]:
    """The last line of this program with these arguments."""
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _why_not() -> str | None:
    """Why nothing can be measured here."""
    import torch

    if not torch.cuda.is_available():
        return "this machine has no CUDA GPU, which is what is measured; --tiny runs the same code without one"
    free, total = torch.cuda.mem_get_info()
    if total - free > IDLE * GIB:
        return f"{(total - free) / GIB:.1f} GiB of this GPU are taken by others: it is measured alone"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=24, help="optimizer steps of each training, 3 or more")
    parser.add_argument("--folder", type=Path, help="where the base is made (default: the system's temporary folder)")
    parser.add_argument("--tiny", action="store_true", help="a smoke test on any machine: measures nothing")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        make_base(args.folder, LLAMA_3_8B)
        print("{}")
        return 0
    if args.case:
        print(json.dumps(measure(Case(**json.loads(args.case)), args.folder)))
        return 0
    why_not = None if args.tiny else _why_not()
    if why_not is not None:
        say(f"gpu_qlora: {why_not}")
        return 2
    with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
        if args.tiny:
            make_base(Path(scratch), TINY)
            case = Case("llama3-products", 7.6, "plain", 3, tiny=True)
            print(json.dumps(_in_child(["--case", json.dumps(asdict(case)), "--folder", scratch])))
            return 0
        _in_child(["--make", "--folder", scratch])  # a process that has used the GPU keeps some of it
        found = run_all(Path(scratch), max(3, args.steps))
    (ROOT / "bench" / "results" / "gpu_qlora.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0 if found["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
