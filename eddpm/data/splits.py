"""Folders that look like the splits of a data set, such as train and test, where classes are looked for."""

import re
from collections import defaultdict
from pathlib import Path

from eddpm.data.classes import Folders, Listing
from eddpm.data.refusals import prefixes_of
from eddpm.errors import ArtifactError
from eddpm.io.names import escaped, listed, shown

_WORD = (
    r"train(?:ing)?|trn|val(?:id(?:ation|ate)?)?|dev(?:el(?:opment)?)?|hold[-_ ]?out|test(?:ing)?|tst|eval(?:uation)?"
)
_AFFIX = r"set|data|dataset|images?|imgs?|pictures?|pics?|photos?|samples?|split|seg|part|all|full"
_SPLIT = re.compile(rf"(?<![a-z])({_WORD})(?:{_AFFIX})?(?![a-z])")
_FOR_TRAINING, _FOR_VALIDATION = ("tra", "trn"), ("val", "dev", "hol", "tes", "tst", "eva")  # the best first


def refuse_splits(source: str, listing: Listing, layout: str) -> None:
    """Raise ArtifactError, with the remedy, where a folder holds two or more that are named like splits."""
    children = defaultdict(set)
    for folders in listing.folders:
        for depth, name in enumerate(folders):
            children[folders[:depth]].add(name)
    found = {parent: splits for parent in sorted(children) if (splits := named_like_splits(children[parent]))}
    if not found:
        return
    parent, splits = next(iter(found.items()))
    names = listed(f"'{shown(name)}'" for name in sorted(splits))
    place = f" in {shown('/'.join(parent))}" if parent else ""
    if len(found) > 1:
        remedy = "put the images of each split apart, as train/CLASS and test/CLASS (links will do), and name both"
    else:
        remedy = _remedy(source, parent, splits, listing, layout)
    raise ArtifactError(
        f"dataset '{source}': the folders {names}{place} look like splits of the data, not like classes; {remedy}"
        " (or rename them, if they are classes)"
    )


def named_like_splits(names: set[str]) -> dict[str, str]:
    """Those of the names, if two or more, that say train, test or the like and no more; with the word's beginning."""
    found, apart = {}, defaultdict(dict)
    for name in names:
        plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold()
        if match := _SPLIT.search(plain):
            others = re.findall(r"[^\W\d_]+", f"{plain[: match.start()]} {plain[match.end() :]}")
            word = match[1][:3]
            apart[tuple(others)][name] = word
            if all(re.fullmatch(f"{_AFFIX}|[a-z]", each) for each in others):
                found[name] = word
    for same in apart.values():  # that differ in this word alone: cifar_train, cifar_test
        if len(set(same.values())) > 1:
            found |= same
    return found if len(found) > 1 else {}


def _remedy(source: str, parent: Folders, splits: dict[str, str], listing: Listing, layout: str) -> str:
    depth = len(parent)

    def holding(least: int) -> list[str]:
        """Those of the splits in which images lie `least` folders deep."""
        deep = {each[depth] for each in listing.folders if len(each) > depth + least and each[:depth] == parent}
        return sorted(deep & splits.keys())

    def best(words: tuple[str, ...], names: list[str]) -> list[str]:
        return [name for word in words for name in names if splits[name] == word][:1]

    names, also = holding(1), ""  # folders in them, which may be those of classes
    if layout == "prefixes":
        names = holding(0)
    elif not names and prefixes_of([entry.name for entry in listing.entries]):
        names, also = holding(0), ", with dataset.classes: prefixes, for classes by the beginnings of the images' names"
    is_folder = Path(source).is_dir()
    top = Path(source if is_folder else "FOLDER")
    keys = {"dataset.source": best(_FOR_TRAINING, names), "dataset.validation_source": best(_FOR_VALIDATION, names)}
    named = [f"{key}: {escaped(str(top.joinpath(*parent, *name)))}" for key, name in keys.items() if name]
    steps = "name " + (" and ".join(named) + also or "a folder that holds one folder of images for each class")
    return steps if is_folder else f"unpack it, and {steps}"
