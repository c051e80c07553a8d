"""Images in requests to the fake Messages API: what it refuses, and the tokens that it counts for them."""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL import Image

PATCH = 28
"""Pixels of the side of a square that counts as a token, as at Anthropic."""
MOST_BASE64 = 5_000_000
MOST_SIDE = 8_000


def tokens(value: Any) -> int:
    """A made-up count of tokens: four characters each."""
    text = value if isinstance(value, str) else json.dumps(value)
    return -(-len(text) // 4)


def input_tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    """The tokens of the messages' texts, as above, and of their images by their size."""
    sources = list(_sources(messages))
    if not sources:
        return tokens(messages)
    texts = [part["text"] for one in messages for part in one["content"] if part["type"] == "text"]
    return tokens("".join(texts)) + sum(image_tokens(shown(one)) for one in sources)


def image_tokens(image: Image.Image) -> int:
    """The tokens of an image that is within the limits."""
    return math.ceil(image.width / PATCH) * math.ceil(image.height / PATCH)


def images_of(body: Mapping[str, Any]) -> list[Image.Image]:
    """The images of a request, decoded."""
    return [shown(one) for one in _sources(body["messages"])]


def shown(source: Mapping[str, Any]) -> Image.Image:
    """The image in a source block of a request."""
    image = Image.open(io.BytesIO(base64.b64decode(source["data"], validate=True)))
    image.load()
    return image


def wrong_image(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """The reason for which the API would refuse an image; None if it would not."""
    for source in _sources(messages):
        where = "messages.0.content.0.image.source"
        if source.get("type") != "base64" or set(source) != {"type", "media_type", "data"}:
            return f"{where}: only base64 sources are known here"
        if len(source["data"]) > MOST_BASE64:
            return f"{where}.base64: image exceeds 5 MB maximum"
        try:
            image = shown(source)
        except (binascii.Error, OSError):
            return f"{where}.base64.data: Could not process image"
        if source["media_type"] != Image.MIME[str(image.format)]:
            return f"{where}.base64: the image is not {source['media_type']}"
        if max(image.size) > MOST_SIDE:
            return f"{where}.base64: At least one of the image dimensions exceed max allowed size: 8000 pixels"
    return None


def _sources(messages: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for message in messages:
        if isinstance(message["content"], list):
            yield from (part["source"] for part in message["content"] if part["type"] == "image")
