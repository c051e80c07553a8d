"""The lag of consumer groups, as the broker knows it: what is published and not handled yet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.adapters.kafka import KafkaConfig
from streams.core.errors import ServiceError

LAG_SECONDS: Final = 3.0
"""The wait for one answer of the broker."""
_Place = tuple[str, int]
Find = Callable[[Iterable[str]], Sequence[str]]


class GroupLags:
    """Asks one cluster. It blocks: use it in a thread."""

    def __init__(self, config: KafkaConfig) -> None:
        self._admin = AdminClient(config.confluent(log_level=0))

    def read(self, groups: Mapping[str, Collection[str]], found: Mapping[str, Find] | None = None) -> dict[str, int]:
        """Return the messages that each group has not handled, by the topics it reads; missing topics count as empty.

        `found` finds, among all topics, further ones that a group reads. Raises ServiceError if the broker does not
        answer.
        """
        try:
            known = self._admin.list_topics(timeout=LAG_SECONDS).topics
            further = {group: find(known) for group, find in (found or {}).items()}
            places = {
                group: [
                    TopicPartition(topic, number)
                    for topic in [*topics, *further.get(group, ())]
                    if topic in known
                    for number in known[topic].partitions
                ]
                for group, topics in groups.items()
            }
            every = list(dict.fromkeys((one.topic, one.partition) for some in places.values() for one in some))
            first, last = self._offsets(every, OffsetSpec.earliest()), self._offsets(every, OffsetSpec.latest())
            return {group: self._lag(group, some, first, last) for group, some in places.items()}
        except KafkaException as error:
            what = f"Kafka does not report how far its readers are ({error.args[0].str()})."
            raise ServiceError(what, "Check the broker, then try again.") from error

    def _lag(
        self, group: str, places: Iterable[TopicPartition], first: Mapping[_Place, int], last: Mapping[_Place, int]
    ) -> int:
        asked = ConsumerGroupTopicPartitions(group, list(places))
        if not asked.topic_partitions:
            return 0
        future = self._admin.list_consumer_group_offsets([asked], request_timeout=LAG_SECONDS)[group]
        committed = {(one.topic, one.partition): one.offset for one in future.result(LAG_SECONDS).topic_partitions}
        return sum(max(0, last[place] - max(first[place], offset)) for place, offset in committed.items())

    def _offsets(self, places: Iterable[_Place], spec: OffsetSpec) -> dict[_Place, int]:
        asked: dict[TopicPartition, OffsetSpec] = {TopicPartition(*place): spec for place in places}
        if not asked:
            return {}
        answers: Mapping[TopicPartition, Future[Any]] = self._admin.list_offsets(
            asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=LAG_SECONDS
        )
        return {
            (place.topic, place.partition): int(future.result(LAG_SECONDS).offset) for place, future in answers.items()
        }
