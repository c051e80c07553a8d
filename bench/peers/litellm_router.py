"""LiteLLM's Router with a callback, which gets the record of every call. Answers are not streamed, which is cheaper."""

from __future__ import annotations

import asyncio
import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from litellm.integrations.custom_logger import CustomLogger

from bench.peers.peer import WARM_UP, given, measure, prompt


class Audit(CustomLogger):  # type: ignore[misc]
    """Keeps the records, and sets an event when it has all."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self.records: list[Any] = []
        self.expected, self.complete = expected, asyncio.Event()

    async def async_log_success_event(self, kwargs: dict[str, Any], **_: Any) -> None:
        self.records.append(kwargs["standard_logging_object"])
        if len(self.records) == self.expected:
            self.complete.set()


async def main() -> None:
    argument = given()
    body, calls = argument["body"], argument["calls"]
    audit = Audit(calls + WARM_UP)
    litellm.callbacks = [audit]
    system = "".join(block["text"] for block in body["system"])
    target = {"model": f"anthropic/{body['model']}", "api_base": argument["url"], "api_key": "none"}
    router = litellm.Router(model_list=[{"model_name": "worker", "litellm_params": target}])

    async def call(number: int) -> None:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt(body, number)}]
        await router.acompletion(model="worker", messages=messages, max_tokens=body["max_tokens"])

    await measure(call, calls, audit.complete)


if __name__ == "__main__":
    asyncio.run(main())
