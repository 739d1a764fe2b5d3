"""The one error that a user's input can cause."""


class InputError(ValueError):
    """Bad input from outside: the message names the file or argument, what was found and what was expected.

    The command line prints it as one line and ends with exit code 2; pytest turns it into a usage error.
    """
