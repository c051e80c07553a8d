"""The Python handler of the pipeline whose events must be remedied."""

from streams import Answer, Task


def echo(task: Task) -> Answer:
    """A worker that repeats the event, three kilobytes of it where the event asks for that."""
    return Answer({"echo": task.text.ljust(3000, ".") if "at length" in task.text else task.text})
