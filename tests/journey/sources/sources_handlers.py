"""The Python handler of the pipeline that reads topics of its user's."""

from streams import Answer, Task


def reply(task: Task) -> Answer:
    """A worker."""
    if task.text is not None and "broken" in task.text:
        raise RuntimeError("it cannot")
    return Answer({"reply": "from nine to five"}, confidence=0.95)
