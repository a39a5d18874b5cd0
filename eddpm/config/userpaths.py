"""Paths as people write them, with a home folder or environment variables."""

import os
import re
from typing import Annotated

from pydantic import AfterValidator, Field


def expand(path: str) -> str:
    """`~` and environment variables replaced, as a shell would; what is not set stays, and so does a URL.

    A path that begins with "-", which commands would take for an option, is given as one below "./".
    """
    if "://" in path:
        return path
    path = os.path.expanduser(os.path.expandvars(path))
    return f"./{path}" if path.startswith("-") else path


def one_line(text: str) -> str:
    """The text itself. Raises ValueError at a line break or another control character."""
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text):
        raise ValueError("has a line break, a tab or another control character; remove it")
    return text


Line = Annotated[str, AfterValidator(one_line)]
UserPath = Annotated[str, Field(min_length=1), AfterValidator(one_line), AfterValidator(expand)]


def why_absent(path: str) -> str:
    """The reason why a path leads nowhere, if there is one to be said: ", since $SCRATCH is not set", or nothing."""
    names = [name for pair in re.findall(r"\$(?:(\w+)|\{(\w+)\})", path) for name in pair if name]
    reasons = [f"${name} is not set" for name in dict.fromkeys(names) if name not in os.environ]
    if path.startswith("~"):
        reasons.append(f"there is no home folder {path.partition('/')[0]}")
    if os.path.islink(path):
        reasons.append("it is a link to nowhere")
    return f", since {' and '.join(reasons)}" if reasons else ""
