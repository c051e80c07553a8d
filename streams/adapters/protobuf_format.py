"""Protobuf messages of a registry's schema, decoded as JSON without generated code.

The JSON is Protobuf's own mapping (https://protobuf.dev/programming-guides/json/), with the names of the .proto file
and with fields that have their default value: 64-bit integers are strings, bytes are base64, enums are names.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, Final

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from streams.adapters.schema_ids import split_indexes
from streams.core.errors import UnreadableError
from streams.core.messages import RawEvent

ENVELOPE: Final = frozenset(one.name for one in fields(RawEvent))
BUILT_IN: Final = (
    (re.compile(r"google/(?:protobuf|type)/[a-z_]+\.proto"), ""),
    (re.compile(r"confluent/(?:types?/)?[a-z_]+\.proto"), "confluent_kafka.schema_registry."),
)
"""Files that serializers do not register, and the package that has them."""
_TOGETHER: Final = "Check that the bytes, the schema and the message's place in it belong together."


@dataclass(frozen=True, slots=True)
class Protobuf:
    """One file of messages, and the pool with all that it imports."""

    name: str
    file: FileDescriptorProto
    pool: DescriptorPool

    def record(self, data: memoryview) -> Mapping[str, Any]:
        indexes, body = split_indexes(data)
        found = self._descriptor(indexes)
        message = GetMessageClass(found)()
        try:
            message.ParseFromString(bytes(body))
            size = message.ByteSize()
            message.DiscardUnknownFields()
            if message.ByteSize() != size:
                raise _bad(f"The value has fields that {found.full_name} has not.")
            decoded: dict[str, Any] = MessageToDict(
                message,
                always_print_fields_with_no_presence=True,
                preserving_proto_field_name=True,
                descriptor_pool=self.pool,
            )
        except UnreadableError:
            raise
        except Exception as error:  # of many kinds: of the parser, of invalid strings, times and types in an Any
            raise _bad(f"The value is not a {found.full_name} ({error}).") from error
        return _envelope(message, decoded)

    def _descriptor(self, indexes: tuple[int, ...]) -> Descriptor:
        """Return the message at a place in the file."""
        names, level = [self.file.package] if self.file.package else [], self.file.message_type
        for index in indexes:
            if not 0 <= index < len(level) or level[index].options.map_entry:
                raise _bad(f"Schema {self.name} has no message at the place {'.'.join(map(str, indexes))}.")
            names.append(level[index].name)
            level = level[index].nested_type
        return self.pool.FindMessageTypeByName(".".join(names))


def protobuf(name: str, text: str, imports: Iterable[tuple[str, str]]) -> Protobuf:
    """Return the decoder of a schema. Each import has its path and its text, after what it imports itself.

    The texts are serialized descriptors in base64. Raises UnreadableError for one that cannot be used.
    """
    pool = DescriptorPool()
    try:
        for path, imported in imports:
            _add(pool, _parsed(name, imported), path)
        file = _parsed(name, text)
        _add(pool, file, f"escalon/{name}")
    except UnreadableError:
        raise
    except Exception as error:  # of many kinds, among them the pool's own
        what = f"Schema {name} cannot be used ({type(error).__name__}: {error})."
        raise UnreadableError("bad_schema", what, "Register a valid schema, with all that it imports.") from error
    return Protobuf(name, file, pool)


def is_serialized(text: str) -> bool:
    """True if a registry's schema is a serialized descriptor, and no text in the language of .proto files."""
    try:
        return bool(FileDescriptorProto.FromString(b64decode(text, validate=True)).ListFields())
    except (ValueError, DecodeError):
        return False


def _parsed(name: str, text: str) -> FileDescriptorProto:
    if not is_serialized(text):
        what = f"Schema {name}, or one that it imports, is text of the .proto language."
        remedy = "Use a registry that serves `format=serialized`, or register serialized descriptors."
        raise UnreadableError("bad_schema", what, remedy)
    return FileDescriptorProto.FromString(b64decode(text))


def _add(pool: DescriptorPool, file: FileDescriptorProto, path: str) -> None:
    file.name = path
    for needed in file.dependency:
        _add_built_in(pool, needed)
    if not _has(pool, path):
        pool.Add(file)


def _add_built_in(pool: DescriptorPool, path: str) -> None:
    """Add a file that comes with Protobuf or with Confluent's client, unless the pool has it."""
    package = next((package for pattern, package in BUILT_IN if pattern.fullmatch(path)), None)
    if package is None or _has(pool, path):
        return
    module = import_module(package + path.removesuffix(".proto").replace("/", ".") + "_pb2")
    file = FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
    for needed in file.dependency:
        _add_built_in(pool, needed)
    pool.Add(file)


def _has(pool: DescriptorPool, path: str) -> bool:
    try:
        pool.FindFileByName(path)
    except KeyError:
        return False
    return True


def _envelope(message: Message, decoded: dict[str, Any]) -> dict[str, Any]:
    """Return the fields without those of the envelope that are not set: no event has the id 0."""
    is_set = {one.name for one, _ in message.ListFields()}
    found = {name: value for name, value in decoded.items() if name in is_set or name not in ENVELOPE}
    if isinstance(sent := getattr(message, "time", None), int) and "time" in found:
        found["time"] = sent  # seconds or milliseconds, which the mapping writes as a string
    return found


def _bad(what: str) -> UnreadableError:
    return UnreadableError("bad_protobuf", what, _TOGETHER)
