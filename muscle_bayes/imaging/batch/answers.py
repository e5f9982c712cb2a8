"""What came of one task."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer[Value]:
    """What came of one task.

    Attributes
    ----------
    number : int
        Position of the task.
    value : object or None
        What the function returned.
    error : Exception or None
        What it raised, or that it killed its worker.
    killed : int
        How many workers ended while they had this task.
    """

    number: int
    value: Value | None = None
    error: Exception | None = None
    killed: int = 0
