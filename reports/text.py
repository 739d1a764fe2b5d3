"""Text from outside, made safe to print: no control characters, no line ends, no endless messages."""

MOST = 700  # characters of one message


def printable(text: str) -> str:
    r"""Text with every character that a terminal acts on, or cannot show, written as an escape such as `\n`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def one_line(text: str, most: int = MOST) -> str:
    """Text as one printable line of at most `most` characters; a longer one loses its middle."""
    line = printable(text)
    if len(line) <= most:
        return line
    half = (most - 3) // 2
    return f"{line[:half]} … {line[-half:]}"
