# Outputs that have changed since the workflow made them: put right before jobs are planned from them.
import itertools

from eddpm.errors import writing
from eddpm.io.checksums import Checksums
from eddpm.io.files import write_text

CHECKSUMS = Path(paths.CHECKSUMS.format(experiment=project.experiment))
EXPERIMENTS = [each.experiment for each in PROJECTS]
DATASETS = {each: Path(paths.DATASET.format(experiment=each)) for each in EXPERIMENTS}
# Of all outputs.
FOLDERS = [
    Path(paths.ASSETS),
    *(dataset.parent for dataset in DATASETS.values()),
    *(Path(paths.RESULTS.format(experiment=each)) for each in EXPERIMENTS),
]
SKEW = 60  # seconds that clocks of hosts may differ


def mend_outputs():
    """Put right what was changed by hand, by a disk or by a clean-up of old files, before jobs are planned from it.

    Frozen settings and shards of the data set become what they were, and no job runs for them. Other outputs are set
    aside, so that they are made again where something needs them.
    """
    checksums = Checksums(CHECKSUMS)
    of_datasets = {each: damaged_shards(each, checksums) for each in EXPERIMENTS}
    shards = sum(of_datasets.values(), [])
    changed = {
        path: digest for path, digest in checksums.changed().items() if is_read(path)
    }
    from_future = [path for path in checksums if is_read(path) and lies_in_future(path)]
    if workflow.output_settings.dryrun:
        for path in [*changed, *shards, *from_future[:1]]:
            tell(f"{path}: is not what the workflow made; a run puts it right first")
        return
    if not (changed or shards or from_future):
        if checksums.renewed:  # touched, or copied with all that is beside them
            with contextlib.suppress(EddpmError):  # on a disk for reading alone
                checksums.save()
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
            aside = free_name(f"{path}.changed")
            with writing(Path(path)):
                os.replace(path, aside)
            tell(
                f"{path}: was changed after it was made; it is now {aside}, and made again where it is needed"
            )
    if from_future:
        bring_back(checksums)
    checksums.save()
    for experiment, damaged in of_datasets.items():
        if damaged:
            repair_shards(experiment, damaged)


def free_name(name):
    """This name, or the first with a number behind it that no file has."""
    others = (f"{name}.{number}" for number in itertools.count(2))
    return next(
        each for each in itertools.chain([name], others) if not os.path.lexists(each)
    )


def is_read(path):
    """It is not of a part of the study that this command leaves out, whose settings are not known then."""
    return any(Path(path).is_relative_to(folder) for folder in FOLDERS)


def lies_in_future(path):
    """The clock was set back: Snakemake takes no output that is older than an input."""
    return os.path.lexists(path) and os.lstat(path).st_mtime > time.time() + SKEW


def bring_back(checksums):
    """Date all outputs from the future to now, in their order."""
    files = [
        file for folder in FOLDERS for file in folder.rglob("*") if lies_in_future(file)
    ]
    tell(
        f"{len(files)} outputs are from the future, such as {files[0]}: the clock was set back; now they are from today"
    )
    files.sort(key=lambda file: os.lstat(file).st_mtime_ns)
    now = time.time_ns() - len(files)
    for later, file in enumerate(files):
        digest = checksums.digest(file) if str(file) in checksums else None
        os.utime(file, ns=(now + later,) * 2, follow_symlinks=False)
        if digest:
            checksums.record(file, digest)


def recorded_shards(experiment):
    """The files of the prepared data set, with the SHA-256 in dataset.json; none where it is not prepared."""
    if not DATASETS[experiment].exists():
        return {}
    from eddpm.data.store import recorded_files  # with numpy, which takes a moment

    return recorded_files(DATASETS[experiment])


def repair_shards(experiment, damaged):
    """Here and not by a job: all that was made from the data set would be made again after it."""
    settings = paths.SETTINGS.format(experiment=experiment, part="dataset")
    path = Path(settings)
    if not path.exists() or path.read_text(encoding="utf-8") != FROZEN[settings]:
        return  # the data set will be prepared anew
    from eddpm.stages.prepare import repair_dataset

    tell(
        f"Making shards of the data set again, which are missing or damaged: {', '.join(map(str, damaged))}"
    )
    try:
        repair_dataset(path, DATASETS[experiment], damaged, workflow.cores or 1)
    except EddpmError as error:
        tell(str(error))  # a job that needs the data set will end so; there may be none


def damaged_shards(experiment, checksums):
    """The files of the prepared data set that are missing, or other than dataset.json says."""

    def is_sound(path, digest):
        return path.exists() and checksums.digest(path) == digest

    recorded = recorded_shards(experiment)
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
        for experiment, dataset in DATASETS.items():
            if has_ended and str(dataset) in job.output:  # the job has read its shards
                for path, digest in recorded_shards(experiment).items():
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
    try:
        mend_outputs()
    except (EddpmError, OSError) as error:
        # No job may use what is damaged, and its checksum must not be taken down.
        tell(f"eddpm: {error}")
        sys.exit(2)
