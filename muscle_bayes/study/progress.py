"""What a run tells while it works; silent unless somebody listens."""


class Progress:
    """Told about stages; this one says nothing, the command line's draws bars."""

    def start(self, stage: str, total: int | None = None) -> None:
        """Say that a stage begins.

        Parameters
        ----------
        stage : str
            Name for people.
        total : int, optional
            Number of steps, where there are several.
        """

    def advance(self, note: str = "") -> None:
        """Say that one step of the stage is done.

        Parameters
        ----------
        note : str
            What the step was about.
        """

    def finish(self, note: str = "") -> None:
        """Say that the stage is done.

        Parameters
        ----------
        note : str
            Its result in a few words.
        """

    def say(self, text: str) -> None:
        """Say how something is done: on which device, by which weights.

        Parameters
        ----------
        text : str
            One sentence.
        """

    def warn(self, text: str) -> None:
        """Say something that a reader should know.

        Parameters
        ----------
        text : str
            One sentence.
        """
