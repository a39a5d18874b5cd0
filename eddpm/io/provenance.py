"""The origin of a result: code and versions."""

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def provenance() -> dict[str, str]:
    """The git commit of the package, "-dirty" where it or the workflow differs, and the versions of the libraries.

    "unknown" stands for the commit where the package is in no checkout of its own, and for the version of a package
    that is not installed.
    """
    return {"commit": _commit(), **{name: _version(name) for name in ("eddpm", "torch", "numpy", "scipy")}}


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(PACKAGE), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        at_root = git("rev-parse", "--show-prefix") in ("", "eddpm/")
        if not (at_root and git("ls-files", "__init__.py")):
            return "unknown"
        # Not of configurations and profiles: settings stand beside each result. A new file decides nothing until one
        # that is tracked names it.
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":/workflow")
        return git("rev-parse", "HEAD") + "-dirty" * bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
