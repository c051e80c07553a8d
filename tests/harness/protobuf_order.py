"""An order in Protobuf, whose file imports another and one of Google's, without generated code."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import DESCRIPTOR as TIMESTAMP

MONEY: Final = "shop.Money"
ORDER: Final = "shop.Order"
LINE: Final = "shop.Order.Line"
_TYPES: Final = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "bool": FieldDescriptorProto.TYPE_BOOL,
}


@cache
def files() -> DescriptorPool:
    """A pool with both files; Order is the second message of its own."""
    pool = DescriptorPool()
    pool.AddSerializedFile(TIMESTAMP.serialized_pb)
    money = FileDescriptorProto(name="shop/money.proto", package="shop", syntax="proto3")
    _fields(money.message_type.add(name="Money"), units="int64", nanos="int32")
    pool.Add(money)
    file = FileDescriptorProto(name="shop/order.proto", package="shop", syntax="proto3")
    file.dependency.extend(["shop/money.proto", "google/protobuf/timestamp.proto"])
    _fields(file.message_type.add(name="Unused"), x="int32")
    order = file.message_type.add(name="Order")
    _fields(order.nested_type.add(name="Line"), sku="string", count="int32")
    _fields(order, text="string", cents="int64", total=".shop.Money", urgent="bool")
    order.field.add(name="at", number=5, type=11, type_name=".google.protobuf.Timestamp", label=1)
    order.field.add(name="lines", number=6, type=11, type_name=f".{LINE}", label=3)
    pool.Add(file)
    return pool


def order(*, text: str, cents: int = 0, total: tuple[int, int] | None = None, **more: Any) -> Any:
    """One order."""
    message = GetMessageClass(files().FindMessageTypeByName(ORDER))(text=text, cents=cents, **more)
    if total is not None:
        message.total.units, message.total.nanos = total
    return message


def _fields(message: Any, **named: str) -> None:
    for number, (name, kind) in enumerate(named.items(), start=1):
        if kind in _TYPES:
            message.field.add(name=name, number=number, type=_TYPES[kind], label=1)
        else:
            message.field.add(name=name, number=number, type=11, type_name=kind, label=1)
