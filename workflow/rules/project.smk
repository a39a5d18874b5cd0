# The checked project, and how its jobs are run: by which Python, package and shell.
import functools
import hashlib
import os
import shlex
import sys
from pathlib import Path

from snakemake.settings.types import SharedFSUsage

# The checkout that this file lies in. Where it comes from elsewhere (git+file://, a URL), the package is the installed
# one; wherever it is used from, paths follow the package.
sys.path.insert(0, str(Path(str(workflow.current_basedir)).parents[1]))

import eddpm
from eddpm.errors import EddpmError
from eddpm.config.project import Project
from eddpm.config.projectfile import DEFAULT, find, load_project
from eddpm.config.settings import merged, read_yaml

REPO = Path(eddpm.__file__).parents[1]


def quoted(path):
    """For the shell, and for Snakemake, to which braces are placeholders."""
    return shlex.quote(str(path)).replace("{", "{{").replace("}", "}}")


def checksums(*paths):
    """Params in place of inputs, for files that decide an output: the paths of inputs could have no braces."""
    return [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]


# Jobs use this Python and this checkout, wherever they run, and large pages for their tensors (a tenth faster on CPUs).
# Modules of a cluster bring packages by PYTHONPATH: they stay, behind this checkout.
# A job that is killed outright cannot say so; `leave_word $? LOG` does, for `eddpm status`.
# `launch N` becomes a command, under torchrun with N > 1: a signal reaches the training itself, which then saves its state.
# Logs are UTF-8 in any locale. A launcher that snakemake was started by, if any, has none of these processes.
shell.prefix(
    f'export PATH={quoted(Path(sys.executable).parent)}:"$PATH"; '
    f'export PYTHONPATH={quoted(REPO)}"${{{{PYTHONPATH:+:$PYTHONPATH}}}}" THP_MEM_ALLOC_ENABLE=1; '
    f"export EDDPM_JOB_OF={quoted(Path.cwd())} PYTHONUTF8=1 PYTHONIOENCODING=utf-8; "
    "unset RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT; "
    'leave_word() {{ [ "$1" -ne 137 ] || echo "eddpm sampling: killed, by hand or for want of memory" >> "$2";'
    ' exit "$1"; }}; '
    'launch() {{ processes=$1; shift; [ "$processes" -le 1 ] ||'
    ' set -- torchrun --standalone --nproc-per-node "$processes" --no-python -- "$@"; exec "$@"; }}; '
)


def configuration():
    """The values of the project, and the files that they are from.

    Without a file, what the command line says, or a workflow that has this one as a module, changes the digits'.
    """
    files, changes = workflow.configfiles, workflow.config_settings.config
    if workflow.modifier.namespace:  # that of a module
        needed = {
            name for name, key in Project.model_fields.items() if key.is_required()
        }
        if config and (files or needed <= config.keys()):
            return config, [os.path.relpath(file) for file in files]
        files, changes = [], config
    # Read anew: where parts of a file share their values by anchors, Snakemake changes them all at once.
    files = [os.path.relpath(file) for file in files or [find(DEFAULT)]]
    values = functools.reduce(merged, [*map(read_yaml, files), changes])
    if changes and workflow.is_main_process:
        print(f"{', '.join(files)}, changed in {', '.join(changes)}", file=sys.stderr)
    return values, files


try:
    values, CONFIG_FILES = configuration()
    project = load_project(values, ", ".join(CONFIG_FILES) or "the command line")
except EddpmError as error:
    print(f"eddpm: {error}", file=sys.stderr)
    sys.exit(2)


def send(*files):
    """Have Snakemake send files of the project to machines that do not share this file system, as it sends config files.

    Elsewhere its report would read them, as UTF-8, in which a table need not be.
    """
    if SharedFSUsage.SOURCES not in workflow.storage_settings.shared_fs_usage:
        found = (Path(os.path.relpath(find(file))) for file in files if file)
        workflow.configfiles.extend(
            file for file in found if file not in workflow.configfiles
        )


if not workflow.modifier.namespace:
    workflow.configfiles[:] = map(Path, CONFIG_FILES)
    send(values["runs"], project.published)
