"""A command that refuses an option given twice, where the last one would win without a word."""

from typing import Any

from typer.core import TyperCommand

from core.errors import InputError


class OnceCommand(TyperCommand):
    """A command whose options each take one value, unless they say that they take several."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as usual, once it is known that nothing is dropped.

        Raises:
            InputError: naming the option that is given twice.
        """
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        seen = []
        for parameter in order:
            single = parameter.param_type_name == "option" and not getattr(parameter, "multiple", False)
            if single and parameter in seen:
                raise InputError(f"{parameter.opts[0]} is given twice; expected once")
            seen.append(parameter)
        return super().parse_args(ctx, args)
