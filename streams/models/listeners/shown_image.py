"""An event's image as a language model is shown it: upright, within the provider's limits, without metadata."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streams.core.errors import UnreadableError
from streams.models.listeners.image import describe, pixels
from streams.models.providers.protocol import ImagePart

if TYPE_CHECKING:
    from PIL import Image

SMALL_PNG: Final = 500_000
"""Bytes up to which an image that came without loss is sent without loss: line art and screenshots, not photos."""
JPEG_QUALITY: Final = 90
_LOSSLESS: Final = ("PNG", "GIF", "BMP")


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """The largest image that a provider takes without making it smaller itself.

    An image of w x h pixels has ceil(w / patch) * ceil(h / patch) patches.
    """

    edge: int
    """Pixels of the longer side."""
    patch: int
    """Pixels of the side of a patch."""
    patches: int
    tokens: int
    """The most input tokens that an image within the limits is billed as."""
    bytes: int
    """Of the encoded image, before Base64."""


LIMITS: Final[Mapping[str, ImageLimits]] = {
    # https://platform.claude.com/docs/en/build-with-claude/vision: a patch of 28 x 28 pixels is a token; what has a
    # longer side than 1,568 pixels, or more than 1,568 tokens, is made smaller before the model sees it. Later models
    # see up to 2,576 pixels and 4,784 tokens; every model takes these. 5 MB in Base64 is the least of Anthropic's
    # own API, Bedrock and Vertex.
    "claude": ImageLimits(edge=1568, patch=28, patches=1568, tokens=1568, bytes=3_750_000),
    # https://platform.openai.com/docs/guides/images-vision: 1,536 patches of 32 x 32 pixels, at most 1.62 tokens each;
    # models that count tiles of 512 pixels bill fewer. Servers of open models bill about as many.
    "openai": ImageLimits(edge=2048, patch=32, patches=1536, tokens=2_500, bytes=3_750_000),
}
"""By provider of the pipeline file."""


def limits_of(provider: str) -> ImageLimits:
    """Return a provider's limits; those of Claude for a recording, which is sent nothing."""
    return LIMITS.get(provider, LIMITS["claude"])


def shown_image(sha256: str, data: bytes, limits: ImageLimits) -> ImagePart:
    """Return an image as a model is shown it: its first frame, upright, on white where it is transparent.

    Raises UnreadableError with the reason `not_an_image` or `image_too_large`, as the watcher of images does.
    """
    from PIL.Image import Resampling

    lossless = describe(data).format in _LOSSLESS
    image = pixels(data)
    size = fitted(image.width, image.height, limits)
    if size != image.size:
        image = image.resize(size, Resampling.LANCZOS)
    encoded = _encoded(image, "PNG") if lossless else b""
    if encoded and len(encoded) <= SMALL_PNG:
        return ImagePart(sha256, "image/png", encoded)
    encoded = _encoded(image, "JPEG", quality=JPEG_QUALITY)
    if len(encoded) > limits.bytes:
        what = f"The image still has {len(encoded)} bytes once it is scaled; the provider takes {limits.bytes}."
        raise UnreadableError("image_too_large", what)
    return ImagePart(sha256, "image/jpeg", encoded)


def fitted(width: int, height: int, limits: ImageLimits) -> tuple[int, int]:
    """Return the largest size of the same proportions within the limits; never a larger one than given."""
    most = limits.patches * limits.patch**2
    scale = min(1.0, limits.edge / max(width, height), math.sqrt(most / (width * height)))
    longer = math.floor(max(width, height) * scale)
    while longer > 1:
        size = _scaled(width, longer, max(width, height)), _scaled(height, longer, max(width, height))
        if math.ceil(size[0] / limits.patch) * math.ceil(size[1] / limits.patch) <= limits.patches:
            return size
        longer -= 1
    return 1, 1


def _scaled(side: int, longer: int, longer_before: int) -> int:
    return max(1, round(side * longer / longer_before))


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    to = io.BytesIO()
    image.save(to, kind, **options)
    return to.getvalue()
