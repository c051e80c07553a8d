"""The support desk's Python handlers."""

from streams import Answer, Refusal, Task


def is_photo(task: Task) -> str | None:
    """Find a photo in every image. A listener."""
    return "photo" if task.image else None


def file_photo(task: Task) -> Answer | Refusal:
    """File a photo under its content's hash, with the customer's words. A worker."""
    if task.image is None:
        return Refusal("missing_information", "there is no photo")
    return Answer({"filed_as": f"photos/{task.image[:12]}", "caption": task.text})
