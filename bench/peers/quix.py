"""A hop of Quix Streams."""

from __future__ import annotations

from quixstreams import Application

from bench.peers.loop import loop


def main() -> None:
    own = loop()
    app = Application(
        broker_address=own.servers, consumer_group=own.source, auto_offset_reset="earliest", loglevel="WARNING"
    )
    source = app.topic(own.source, value_deserializer="bytes", key_deserializer="bytes")
    target = app.topic(own.target, value_serializer="bytes", key_serializer="bytes")
    app.dataframe(source).apply(lambda _: own.values, expand=True).to_topic(target)
    app.run()


if __name__ == "__main__":
    main()
