"""How long work tells how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with (done, total), in whatever unit the work counts; the last call has done = total."""
