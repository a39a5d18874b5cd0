"""Names as messages show them."""

import re
from collections import Counter
from collections.abc import Iterable

from eddpm.errors import escaped

_LONGEST = 120  # characters of a name in a message


def shown(name: str) -> str:
    """A name on one line, whatever characters it holds, shortened in the middle; in quotes where spaces end it."""
    plain = shortened(escaped(name), _LONGEST)
    return plain if plain == plain.strip() else f"'{plain}'"


def shortened(text: str, most: int) -> str:
    """A text of more than `most` characters without its middle."""
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 2 :]}"


def repeated(names: Iterable[str]) -> str | None:
    """The fault of an archive that holds a name more than once; None of others."""
    for name, count in Counter(names).most_common(1):
        if count > 1:
            return f"holds {shown(name)} {count} times, of which only one can count"
    return None


def masked(text: str) -> str:
    """A text without the secrets of the URLs in it: user names, passwords, and all that stands after "?" or "#"."""
    text = re.sub(r"(?<=://)[^/?#\s]*@", "***@", text)
    return re.sub(r"((?:://|url: /)[^\s?#]*[?#])\S+", r"\1***", text)  # requests names paths alone, too


def listed(items: Iterable[str], most: int = 10) -> str:
    """The first few of some items, and how many more there are."""
    items = list(items)
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
