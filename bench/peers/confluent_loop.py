"""A bare loop of confluent-kafka's consumer and producer, whose work is done in C."""

from __future__ import annotations

from confluent_kafka import Consumer, Producer

from bench.peers.loop import loop


def main() -> None:
    own = loop()
    servers = {"bootstrap.servers": own.servers}
    consumer = Consumer({**servers, "group.id": own.source, "auto.offset.reset": "earliest"})
    producer = Producer({**servers, "linger.ms": 5, "acks": "all", "queue.buffering.max.messages": 1_000_000})
    consumer.subscribe([own.source])
    while True:
        for record in consumer.consume(1000, 0.5):
            for value in own.values:
                producer.produce(own.target, value, key=record.key())
        producer.poll(0)


if __name__ == "__main__":
    main()
