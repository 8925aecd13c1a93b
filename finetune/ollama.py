"""The Modelfile that makes an Ollama model of a GGUF file (https://docs.ollama.com/modelfile)."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.turns import Turns, go_template
from recipes.errors import TrainingError


def modelfile(
    gguf: str,
    turns: Turns,
    stops: Sequence[str],
    *,
    temperature: float,
    top_p: float,
    max_length: int,
    system: str | None = None,
) -> str:
    """Text of a Modelfile that lies beside the file named `gguf`; `ollama create NAME -f Modelfile` reads it.

    stops: texts that end an answer: EOS first, and what the format would go on with. max_length: tokens of question
    and answer together (num_ctx). system: the system message unless another is given with a question.
    top_k and repeat_penalty are turned off: Ollama has 40, and 1.1 in some versions, which the student was not scored
    with.
    Raises TrainingError for a text that a Modelfile cannot hold.
    """
    if system is not None and turns.system is None:
        raise TrainingError("the format has no place for a system message: put it into the instruction")
    lines = [
        "# ollama create NAME -f Modelfile",
        f"FROM ./{gguf}",
        f'TEMPLATE """{go_template(turns)}"""',
        *(f"PARAMETER stop {_value(stop)}" for stop in dict.fromkeys(stops)),
        f"PARAMETER temperature {temperature:g}",
        f"PARAMETER top_p {top_p:g}",
        "PARAMETER top_k 0",
        f"PARAMETER num_ctx {max_length}",
        "PARAMETER repeat_penalty 1",
        *([] if system is None else [f"SYSTEM {_value(system)}"]),
    ]
    return "\n".join(lines) + "\n"


def _value(text: str) -> str:
    """Text in quotation marks. A Modelfile knows no escapes: a value ends where a line ends with its marks."""
    marks = '"""' if '"' in text or "\n" in text else '"'
    strange = next((one for one in text if not (one.isprintable() or one in "\n\t")), None)
    if strange is not None:
        raise TrainingError(f"a Modelfile cannot hold the character U+{ord(strange):04X} of {text[:40]!r}: remove it")
    if any(line.rstrip(" \t").endswith('"""') for line in text.split("\n")[:-1]):
        raise TrainingError(f'a Modelfile cannot hold a line that ends with """, as in {text[:40]!r}: change it')
    return f"{marks}{text}{marks}"
