"""A hop of faust-streaming: one agent that sends."""

from __future__ import annotations

from typing import Any

import faust

from bench.peers.loop import loop


def main() -> None:
    own = loop()
    app = faust.App(
        own.source, broker=f"kafka://{own.servers}", web_enabled=False, consumer_auto_offset_reset="earliest",
        topic_disable_leader=True, topic_allow_declare=False, producer_linger=0.005, store="memory://",
    )  # fmt: skip
    source = app.topic(own.source, value_type=bytes, value_serializer="raw")
    target = app.topic(own.target, value_type=bytes, value_serializer="raw")

    @app.agent(source)  # type: ignore[untyped-decorator]
    async def hop(stream: Any) -> None:
        async for event in stream.events():
            for value in own.values:
                await target.send(key=event.key, value=value)

    faust.Worker(app, loglevel="warn").execute_from_commandline()


if __name__ == "__main__":
    main()
