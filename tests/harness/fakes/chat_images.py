"""Images in requests to the fake Chat Completions API."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL import Image

from tests.harness.fakes.messages_wire import tokens

PATCH = 32
"""Pixels of a side of the square that is one token."""


def images_of(body: Mapping[str, Any]) -> list[Image.Image]:
    """The images of a request, decoded. Raises ValueError for one that is not in a data URL."""
    return [_image(url) for message in body["messages"] for url in _urls(message)]


def input_tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    """The tokens of messages: four characters of text, or a square of pixels, each."""
    texts = [part["text"] for message in messages for part in _parts(message) if part["type"] == "text"]
    images = [_image(url) for message in messages for url in _urls(message)]
    if not images:
        return tokens([dict(message) for message in messages])
    return sum(map(tokens, texts)) + sum(map(image_tokens, images))


def image_tokens(image: Image.Image) -> int:
    """The tokens of one image."""
    return -(-image.width // PATCH) * -(-image.height // PATCH)


def wrong_with_images(body: Mapping[str, Any]) -> str | None:
    """The reason for which the API would refuse the images of a request."""
    try:
        images_of(body)
    except (ValueError, OSError, binascii.Error) as error:
        return f"Invalid image: {error}"
    return None


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _urls(message: Mapping[str, Any]) -> Iterator[str]:
    yield from (part["image_url"]["url"] for part in _parts(message) if part["type"] == "image_url")


def _image(url: str) -> Image.Image:
    kind, comma, data = url.partition(";base64,")
    if not comma or not kind.startswith("data:image/"):
        raise ValueError("not a data URL of an image")
    image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
    image.load()
    if image.get_format_mimetype() != kind.removeprefix("data:"):
        raise ValueError(f"{kind} is not what it is")
    return image
