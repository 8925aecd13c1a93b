"""Turns as a chat template of the tokenizer (Jinja): for transformers, vLLM and llama.cpp."""

from __future__ import annotations

import json

from finetune.turns import Turns


def jinja_template(turns: Turns) -> str:
    """A template that puts a conversation as `turns.render` does, BOS included, where transformers puts none itself.

    A system message is left out where the format has no place for one.
    """
    start = f"{{{{ {_text(turns.bare)} }}}}"
    if turns.system is not None:
        before, after = map(_text, turns.system)
        told = f"{{{{ {before} + messages[0]['content'] + {after} }}}}"
        start = f"{{% if messages[0]['role'] == 'system' %}}{told}{{% else %}}{start}{{% endif %}}"
    said = {
        role: f"{{{{ {_text(before)} + message['content'] + {_text(after)} }}}}"
        for role, (before, after) in (("user", turns.user), ("assistant", turns.assistant))
    }
    return (
        f"{{{{ bos_token or '' }}}}{start}{{% for message in messages %}}"
        f"{{% if message['role'] == 'user' %}}{said['user']}"
        f"{{% elif message['role'] == 'assistant' %}}{said['assistant']}{{% endif %}}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{{{{ {_text(turns.ask)} }}}}{{% endif %}}"
    )


def _text(text: str) -> str:
    """A string of Jinja; JSON's escapes are Python's and Jinja's too."""
    return json.dumps(text, ensure_ascii=False)
