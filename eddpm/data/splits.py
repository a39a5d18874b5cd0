"""Folders that look like the splits of a data set, such as train and test, where classes are looked for."""

import re
from collections import defaultdict
from pathlib import Path

from eddpm.data.classes import Folders, Listing
from eddpm.errors import ArtifactError
from eddpm.paths import escaped, listed, shown

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
        remedy = _remedy(source, parent, splits, listing.folders, layout)
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


def _remedy(source: str, parent: Folders, splits: dict[str, str], folders: set[Folders], layout: str) -> str:
    depth, least = len(parent), len(parent) + (1 if layout == "prefixes" else 2)
    holding = {each[depth] for each in folders if len(each) >= least and each[:depth] == parent}

    def best(words: tuple[str, ...]) -> list[str]:
        """The first of such splits that holds folders, which may be those of classes, or, by prefixes, images."""
        return [name for word in words for name in sorted(holding) if splits.get(name) == word][:1]

    is_folder = Path(source).is_dir()
    top = Path(source if is_folder else "FOLDER")
    keys = {"dataset.source": best(_FOR_TRAINING), "dataset.validation_source": best(_FOR_VALIDATION)}
    named = [f"{key}: {escaped(str(top.joinpath(*parent, *name)))}" for key, name in keys.items() if name]
    steps = "name " + (" and ".join(named) or "a folder that holds one folder of images for each class")
    return steps if is_folder else f"unpack it, and {steps}"
