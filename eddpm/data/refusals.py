"""Reasons why a source is no data set as it is, in one line: what was found there, and the remedy."""

import os
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import NoReturn

from eddpm.config.userpaths import why_absent
from eddpm.data.classes import PASSED_OVER, Entry, Folders, Listing, prefix_of, with_counts
from eddpm.data.kinds import is_companion, remedy, summary
from eddpm.errors import ArtifactError, ConfigError, escaped
from eddpm.io.filekinds import kind_of, refuse_impostor
from eddpm.io.names import listed, shown

_WORD = (
    r"train(?:ing)?|trn|val(?:id(?:ation|ate)?)?|dev(?:el(?:opment)?)?|hold[-_ ]?out|test(?:ing)?|tst|eval(?:uation)?"
)
_AFFIX = r"set|data|dataset|images?|imgs?|pictures?|pics?|photos?|samples?|split|seg|part|all|full"
_SPLIT = re.compile(rf"(?<![a-z])({_WORD})(?:{_AFFIX})?(?![a-z])")
_WORDS = {  # for each setting the beginnings of fitting words, the best first
    "dataset.source": ("tra", "trn"),
    "dataset.validation_source": ("val", "dev", "hol", "tes", "tst", "eva"),
}


def refuse_other_file(source: str) -> NoReturn:
    """A source that is no folder, zip or npz."""
    wanted = "give one folder of images for each class, their zip (named .zip), or an npz"
    if not os.path.exists(source):
        raise ArtifactError(f"dataset '{source}': does not exist{why_absent(source)}; {wanted}")
    try:
        kind = kind_of(refuse_impostor(Path(source), text=True))
    except ArtifactError as error:
        raise ArtifactError(f"dataset '{source}': is no folder, .zip or .npz; {error}") from None
    unpack = "unpack it, and " if kind.endswith("archive") else ""
    raise ArtifactError(f"dataset '{source}': is no folder, .zip or .npz, but {kind}; {unpack}{wanted}")


def refuse_listing(source: str, listing: Listing, num_classes: int) -> None:
    """Raise ArtifactError or ConfigError where a folder or a zip is no data set of so many classes."""
    _refuse_splits(source, listing)
    loose, total = listing.loose, len(listing.loose) + len(listing.entries)
    if loose and listing.by_prefixes:
        raise ArtifactError(
            f"dataset '{source}': {len(loose)} of {total} images have no '_' in their names, and so no class:"
            f" {listed(map(shown, loose), most=3)}; rename them, or set dataset.classes: folders"
        )
    if not listing.entries:
        raise ArtifactError(f"dataset '{source}': {_without_images(listing)}")
    refuse_class_count(source, listing.classes, listing.entries, num_classes, _hints(listing, num_classes))


def refuse_class_count(
    source: str, classes: tuple[str, ...], entries: list[Entry], wanted: int, hints: str = ""
) -> None:
    """Raise ConfigError, with the classes and what else was found, where they are not as many as `wanted`."""
    if len(classes) != wanted:
        noun = "class" if len(classes) == 1 else "classes"
        raise ConfigError(
            f"dataset '{source}': has {len(classes)} {noun}, {with_counts(classes, entries)}, but num_classes is"
            f" {wanted}{hints}; change either"
        )


def _without_images(listing: Listing) -> str:
    kinds = [*listing.not_counted.values(), *listing.beside.values()]
    if listing.loose:
        prefixes = _prefixes_of(listing.loose)
        instead = ", or set dataset.classes: prefixes, for classes by the beginnings of their names: " + prefixes
        holds = f"holds {len(listing.loose)} images, but in no class folder"
        return f"{holds}; put those of each class into a folder of their own{instead if prefixes else ''}"
    if kinds:
        steps = remedy(kind for kind in kinds if not is_companion(kind))
        return f"holds no images that are read, but {summary(kinds)}; {steps or 'check the path'}"
    there = f" ({'; '.join(listing.remarks)})" if listing.remarks else ""
    return f"holds no images{there}; check the path"


def _prefixes_of(names: list[str]) -> str:
    """The classes that images would have by their names; "" where they would have none, or one alone."""
    prefixes = Counter(prefix_of(name.rpartition("/")[2]) for name in names)
    if "" in prefixes or len(prefixes) == 1:
        return ""
    return listed(f"{shown(prefix)} ({count})" for prefix, count in sorted(prefixes.items()))


def _hints(listing: Listing, wanted: int) -> str:
    """Other folders and files that may have been meant as classes."""
    found = [listing.without_images] if listing.without else []
    if listing.loose:
        found.append(f"{len(listing.loose)} images lie in no class folder")
    if len(listing.classes) == 1 and (prefixes := _prefixes_of([entry.name for entry in listing.entries])):
        found.append(f"dataset.classes: prefixes would find {prefixes}")
    inner = set().union(*listing.inner.values())
    if len(inner) == wanted or (len(inner) > 1 and all(names == inner for names in listing.inner.values())):
        found.append(f"the folders one level down may be the classes: {listed(map(shown, sorted(inner)))}")
    found += [remark for remark in listing.remarks if remark.startswith(PASSED_OVER)]
    return "".join(f"; {hint}" for hint in found)


# Splits -----------------------------------------------------------------------------------------------------------


def _refuse_splits(source: str, listing: Listing) -> None:
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
        steps = "put the images of each split apart, as train/CLASS and test/CLASS (links will do), and name both"
    else:
        steps = _steps(source, parent, splits, listing)
    raise ArtifactError(
        f"dataset '{source}': the folders {names}{place} look like splits of the data, not like classes; {steps}"
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


def _steps(source: str, parent: Folders, splits: dict[str, str], listing: Listing) -> str:
    names, also, depth = sorted(splits), "", len(parent)
    if not listing.by_prefixes:
        deep = {each[depth] for each in listing.folders if each[:depth] == parent and len(each) > depth + 1}
        if deep & splits.keys() or not _prefixes_of([entry.name for entry in listing.entries]):
            names = sorted(deep & splits.keys())
        else:
            also = ", with dataset.classes: prefixes, for classes by the beginnings of the images' names"
    is_folder = Path(source).is_dir()
    top = Path(source if is_folder else "FOLDER").joinpath(*parent)
    best = {key: [name for word in words for name in names if splits[name] == word] for key, words in _WORDS.items()}
    named = [f"{key}: {escaped(str(top / found[0]))}" for key, found in best.items() if found]
    steps = "name " + (" and ".join(named) + also or "a folder that holds one folder of images for each class")
    return steps if is_folder else f"unpack it, and {steps}"
