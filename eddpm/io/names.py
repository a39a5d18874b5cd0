"""Names as messages show them."""

import re
from collections.abc import Iterable

_LONGEST = 120  # characters of a name in a message


def shown(name: str) -> str:
    """A name on one line, whatever characters it holds, shortened in the middle; in quotes where spaces end it."""
    plain = escaped(name)
    if len(plain) > _LONGEST:
        plain = f"{plain[: _LONGEST // 2]}...{plain[-_LONGEST // 2 :]}"
    return plain if plain == plain.strip() else f"'{plain}'"


def escaped(name: str) -> str:
    """A name with line breaks, tabs and bytes that are no Unicode as backslash escapes."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in name)


def masked(text: str) -> str:
    """A text without the secrets of the URLs in it: user names, passwords, and all that stands after "?" or "#"."""
    text = re.sub(r"(?<=://)[^/?#\s]*@", "***@", text)
    return re.sub(r"((?:://|url: /)[^\s?#]*[?#])\S+", r"\1***", text)  # requests names paths alone, too


def listed(items: Iterable[str], most: int = 10) -> str:
    """The first few of some items, and how many more there are."""
    items = list(items)
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
