"""What /metrics counts, beside what the answers say themselves."""

from __future__ import annotations

import httpx
from talking import serving

from rag.assistant import Assistant
from recipes.assistant import Assistant as Settings
from recipes.students import Answering


def test_metrics_count_the_tokens_that_usage_tells() -> None:
    assistant = Assistant(Settings(model="extractive"), Answering(), None, None)
    with serving(assistant) as at:  # type: ignore[arg-type]
        body = {"messages": [{"role": "user", "content": "Thanks!"}]}
        usage = httpx.post(at.url + "/v1/chat/completions", json=body).json()["usage"]
        text = httpx.get(at.url + "/metrics").text
    assistant.close()
    for kind in ("prompt", "completion"):
        assert usage[f"{kind}_tokens"] > 0
        assert f'tutelage_tokens_total{{kind="{kind}"}} {usage[f"{kind}_tokens"]}.0' in text
