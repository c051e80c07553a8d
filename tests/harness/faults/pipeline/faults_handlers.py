"""The Python handlers of the fault suite's pipeline."""

from streams import Answer, Task


def is_photo(task: Task) -> str | None:
    """A listener."""
    return "photo" if task.image else None


def file_photo(task: Task) -> Answer:
    """A worker."""
    return Answer({"filed": task.image})
