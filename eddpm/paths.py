"""Paths as people write them, with a home folder or environment variables; and names as messages show them."""

import os
import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

_LONGEST = 120  # characters of a name in a message


def expand(path: str) -> str:
    """`~` and environment variables replaced, as a shell would; what is not set stays, and so does a URL."""
    return path if "://" in path else os.path.expanduser(os.path.expandvars(path))


UserPath = Annotated[str, Field(min_length=1), AfterValidator(expand)]


def why_absent(path: str) -> str:
    """The reason why a path leads nowhere, if there is one to be said: ", since $SCRATCH is not set", or nothing."""
    names = [name for pair in re.findall(r"\$(?:(\w+)|\{(\w+)\})", path) for name in pair if name]
    reasons = [f"${name} is not set" for name in dict.fromkeys(names) if name not in os.environ]
    if path.startswith("~"):
        reasons.append(f"there is no home folder {path.partition('/')[0]}")
    if os.path.islink(path):
        reasons.append("it is a link to nowhere")
    return f", since {' and '.join(reasons)}" if reasons else ""


def shown(name: str) -> str:
    """A name on one line, whatever characters it holds, shortened in the middle; in quotes where spaces end it."""
    plain = escaped(name)
    if len(plain) > _LONGEST:
        plain = f"{plain[: _LONGEST // 2]}...{plain[-_LONGEST // 2 :]}"
    return plain if plain == plain.strip() else f"'{plain}'"


def escaped(name: str) -> str:
    """A name with line breaks, tabs and what is no Unicode as backslash escapes."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in name)


def listed(items: Iterable[str], most: int = 10) -> str:
    """The first few of some items, and how many more there are."""
    items = list(items)
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
