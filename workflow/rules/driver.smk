# Checks before the first job: that this snakemake is alone here, and that nothing is missing.
import contextlib
import shutil
import subprocess
import time

import psutil
from snakemake.exceptions import WorkflowError

from eddpm.config.assets import (
    check_files,
    check_reference,
    missing_files,
    not_here_yet,
)
from eddpm.io.files import TEMPORARY
from eddpm.io.lock import DirectoryLock


def tell(line):
    print(line, file=sys.stderr)


driver_lock = None  # released with its object


def refuse_second_driver():
    """Lock this folder until the process ends, so that after a kill the same command goes on."""
    global driver_lock
    try:
        driver_lock = driver_lock or DirectoryLock(Path(".snakemake"))
    except EddpmError as error:
        raise WorkflowError(str(error)) from None


def submits_to_slurm():
    return not workflow.local_exec and workflow.executor_plugin.name == "slurm"


def refuse_slurm_without_its_programs():
    if submits_to_slurm() and not shutil.which("sbatch"):
        raise WorkflowError(
            "the profile submits to Slurm, but there is no sbatch in PATH; run snakemake on a machine that has it,"
            " or without the profile"
        )


def end_leftover_processes():
    """End the jobs that a killed snakemake has left running here; SIGTERM has a training save its state first.

    They would go on beside their successors.
    """
    left = [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("EDDPM_JOB_OF") == str(Path.cwd())
    ]
    if left:
        names = ", ".join(str(process.pid) for process in left)
        tell(f"Ending processes of a former snakemake here: {names}")
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(process)
        _, left = psutil.wait_procs(left, timeout=60)


def remove_leftover_files():
    """Remove the temporary names of jobs that were killed while they wrote, once none of them is running."""
    for folder in FOLDERS:
        for path in folder.rglob(".*.tmp"):
            if TEMPORARY.fullmatch(path.name):
                path.unlink(missing_ok=True)


def cancel_leftover_jobs():
    """End the Slurm jobs that a killed snakemake has left in the queue.

    They would sample beside their successors; and where one fails, Snakemake removes its output, whoever finished it.
    """
    left = leftover_jobs()
    if left:
        tell(f"Cancelling Slurm jobs of a former snakemake here: {', '.join(left)}")
    deadline = time.monotonic() + 120
    while left:
        # Jobs that have just ended are no error.
        subprocess.run(["scancel", *left], capture_output=True)
        if time.monotonic() > deadline:
            raise WorkflowError(
                f"{Path.cwd()}: Slurm jobs {', '.join(left)} of a former snakemake do not end; try again once they have"
            )
        time.sleep(1)
        left = leftover_jobs()


def leftover_jobs():
    """The Slurm jobs that Snakemake submitted from this folder, by its own comments."""
    if not shutil.which("squeue"):
        return []
    listed = subprocess.run(
        ["squeue", "--me", "--noheader", "--format=%A %k %Z"], capture_output=True
    )
    if listed.returncode and submits_to_slurm():
        raise WorkflowError(f"squeue: {os.fsdecode(listed.stderr).strip()}")
    # Folders in any encoding, as Python reads them.
    jobs = [line.split(" ", 2) for line in os.fsdecode(listed.stdout).splitlines()]
    return [
        job
        for job, comment, folder in jobs
        if comment.startswith(("rule_", "group_"))
        and Path(folder).resolve() == Path.cwd()
    ]


def refuse_missing_files():
    """Name all files at once that planned jobs wait for and nobody can fetch, before any job starts."""
    planned = [str(file) for job in workflow.dag.needrun_jobs() for file in job.output]
    # Where outputs are stored elsewhere, or made by a module, their paths have a prefix.
    missing = [
        file.message
        for each in PROJECTS
        for file in missing_files(each)
        if any(path.endswith(file.output) for path in planned)
    ]
    if missing:
        named = dict.fromkeys(missing)
        raise WorkflowError("files that the project names are missing:", *named)


def refuse_bad_files():
    """Files from outside that are not what they should be, and published numbers: jobs would find out late."""
    from eddpm.reporting.published import read_published

    try:
        for each in PROJECTS:
            check_files(each)
            check_reference(each)
            if each.published:
                read_published(Path(each.published))
    except EddpmError as error:
        raise WorkflowError(str(error)) from None


def refuse_study(wildcards):
    """In place of the inputs of `study`: there is none, or another workflow asks for it by its inputs alone."""
    if not project.study:
        raise WorkflowError(
            "the project has no study; name its file in the key `study`"
        )
    raise WorkflowError(
        "the parts of the study are not read; name the target `study` in the command, as your workflow calls it"
    )


# Said at every start, a dry run's too, while something is not there; what is stored elsewhere cannot be seen here.
if workflow.is_main_process and not workflow.storage_settings.default_storage_provider:
    for line in not_here_yet(project):
        tell(line)
