"""The one error that a user's input can cause."""


class InputError(ValueError):
    """Bad input from outside: the message names the file or argument, what was found and what was expected.

    The command line prints it as one line and ends with exit code 2; pytest turns it into a usage error.
    """


class Missing(Exception):
    """What a measurement needs is not here, and nobody asked to make it: what it is, and the command that brings it."""

    def __init__(self, needs: str, command: str) -> None:
        super().__init__(f"needs {needs}: {command}")
        self.needs, self.command = needs, command
