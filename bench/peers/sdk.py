"""Anthropic's SDK alone: each answer is streamed and read to its end."""

from __future__ import annotations

import asyncio

from anthropic import AsyncAnthropic

from bench.peers.peer import given, measure, prompt


async def main() -> None:
    argument = given()
    client, body = AsyncAnthropic(api_key="none", base_url=argument["url"]), argument["body"]

    async def call(number: int) -> None:
        messages = [{"role": "user", "content": prompt(body, number)}]
        async for _ in await client.messages.create(**{**body, "messages": messages, "stream": True}):
            pass

    await measure(call, argument["calls"])


if __name__ == "__main__":
    asyncio.run(main())
