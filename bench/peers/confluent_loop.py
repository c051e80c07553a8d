"""A bare loop of confluent-kafka's consumer and producer, whose work is done in C."""

from __future__ import annotations

from confluent_kafka import Consumer, Producer

from bench.peers.loop import loop

MOST_WAITING = 5000
"""Messages not confirmed before no more are read, so that their CPU time falls into the time of their output."""


def main() -> None:
    own = loop()
    servers = {"bootstrap.servers": own.servers}
    consumer = Consumer({**servers, "group.id": own.source, "auto.offset.reset": "earliest"})
    producer = Producer({**servers, "linger.ms": 5, "acks": "all"})
    consumer.subscribe([own.source])
    while True:
        for record in consumer.consume(1000, 0.5):
            for value in own.values:
                producer.produce(own.target, value, key=record.key())
        while len(producer) > MOST_WAITING:
            producer.poll(0.001)


if __name__ == "__main__":
    main()
