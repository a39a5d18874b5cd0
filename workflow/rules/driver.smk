# Checks before the first job: that this snakemake is alone here, that nothing is missing, and that no output has been
# changed since the workflow made it.
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
from eddpm.io.checksums import Checksums
from eddpm.io.files import write_text
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
        for file in missing_files(project)
        if any(path.endswith(file.output) for path in planned)
    ]
    if missing:
        raise WorkflowError("files that the project names are missing:", *missing)


def refuse_bad_files():
    """Files from outside that are not what they should be, and published numbers: jobs would find out late."""
    from eddpm.reporting.published import read_published

    try:
        check_files(project)
        check_reference(project)
        if project.published:
            read_published(Path(project.published))
    except EddpmError as error:
        raise WorkflowError(str(error)) from None


# Outputs that have changed since the workflow made them ------------------------------------------------------------

CHECKSUMS = Path(paths.CHECKSUMS.format(experiment=project.experiment))
DATASET = Path(paths.DATASET.format(experiment=project.experiment))


def mend_outputs():
    """Put right what was changed by hand, by a disk or by a clean-up of old files, before jobs are planned from it.

    Frozen settings and shards of the data set become what they were, and no job runs for them. Other outputs are set
    aside, so that they are made again where something needs them.
    """
    checksums = Checksums(CHECKSUMS)
    shards = damaged_shards(checksums)
    changed = checksums.changed()
    if not (changed or shards):
        return
    if workflow.output_settings.dryrun:
        for path in [*changed, *shards]:
            tell(f"{path}: is not what the workflow made; a run puts it right first")
        return
    try:
        refuse_second_driver()
    except WorkflowError:
        return  # the files may be about to change; if jobs are to run, this ends the start
    for path, digest in changed.items():
        text = FROZEN.get(path)
        if text is not None and hashlib.sha256(text.encode()).hexdigest() == digest:
            write_text(Path(path), text)
            os.utime(path, ns=(checksums.recorded_time(path),) * 2)
            checksums.record(path, digest)
            tell(f"{path}: was changed after it was made; now it is as it was")
        else:
            os.replace(path, f"{path}.changed")
            tell(
                f"{path}: was changed after it was made; it is now {path}.changed, and made again where it is needed"
            )
    checksums.save()
    if shards:
        repair_shards(shards)


def recorded_shards():
    """The files of the prepared data set, with the SHA-256 in dataset.json; none where it is not prepared."""
    if not DATASET.exists():
        return {}
    from eddpm.data.store import recorded_files  # with numpy, which takes a moment

    return recorded_files(DATASET)


def repair_shards(damaged):
    """Here and not by a job: all that was made from the data set would be made again after it."""
    settings = paths.SETTINGS.format(experiment=project.experiment, part="dataset")
    path = Path(settings)
    if not path.exists() or path.read_text(encoding="utf-8") != FROZEN[settings]:
        return  # the data set will be prepared anew
    from eddpm.stages.prepare import repair_dataset

    tell(
        f"Making shards of the data set again, which are missing or damaged: {', '.join(map(str, damaged))}"
    )
    try:
        repair_dataset(path, DATASET, damaged, workflow.cores or 1)
    except (
        EddpmError
    ) as error:  # which ends a job that needs the data set; there may be none
        tell(str(error))


def damaged_shards(checksums):
    """The files of the prepared data set that are missing, or other than dataset.json says."""

    def is_sound(path, digest):
        return path.exists() and checksums.digest(path) == digest

    recorded = recorded_shards()
    return [path for path, digest in recorded.items() if not is_sound(path, digest)]


def record_outputs():
    """Take down the checksums of outputs: of jobs that have ended well, or need not run."""
    if stored_elsewhere():
        return
    checksums = Checksums(CHECKSUMS)
    for job in workflow.dag.jobs:
        has_ended = workflow.dag.finished(job)
        if workflow.dag.needrun(job) and not has_ended:
            checksums.forget(job.output)
            continue
        for path in filter(os.path.isfile, job.output):
            checksums.record(path)
        if has_ended and job.rule.name == "prepare_dataset":  # which has read them
            for path, digest in recorded_shards().items():
                checksums.record(path, digest)
    try:
        checksums.save()
    except EddpmError as error:  # jobs will fail alike; or all are done
        tell(str(error))


def stored_elsewhere():
    """Outputs that are made by a module, or kept in a storage, are not below this folder under their own names."""
    return bool(
        workflow.storage_settings.default_storage_provider
        or workflow.modifier.namespace
    )


if workflow.is_main_process and not stored_elsewhere():
    mend_outputs()

# Said at every start, a dry run's too, while something is not there; what is stored elsewhere cannot be seen here.
if workflow.is_main_process and not workflow.storage_settings.default_storage_provider:
    for line in not_here_yet(project):
        tell(line)
