"""The support desk's Python handlers."""

from streams import Answer, Refusal, Task


def is_photo(task: Task) -> str | None:
    """A listener: every image is a photo."""
    return "photo" if task.image else None


def file_photo(task: Task) -> Answer | Refusal:
    """A worker: files a photo under its content's hash, with what the customer wrote beside it."""
    if task.image is None:
        return Refusal("missing_information", "there is no photo")
    return Answer({"filed_as": f"photos/{task.image[:12]}", "caption": task.text})
