"""The Python handlers of the pipeline of images."""

from streams import Answer, Task


def is_photo(task: Task) -> str | None:
    """A listener."""
    return "photo" if task.image else None


def file_photo(task: Task) -> Answer:
    """A worker."""
    return Answer({"filed": task.image})


def file_repeat(task: Task) -> Answer:
    """A worker for what was seen before."""
    return Answer({"repeats": task.image})
