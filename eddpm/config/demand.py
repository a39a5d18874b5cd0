"""What the jobs of a project need: time and memory to ask a cluster for, and room on disk."""

from eddpm.config.project import Project
from eddpm.config.resources import job_megabytes, job_minutes
from eddpm.config.schema import SpaceConfig
from eddpm.config.spaces import space_of


def shard_images(project: Project, run: str, shard: str) -> int:
    start, stop = project.shards(run)[shard]
    return stop - start


def shard_minutes(project: Project, run: str, shard: str, attempt: int) -> int:
    """Of the job that samples a shard."""
    images = shard_images(project, run, shard)
    return job_minutes(images * project.image_seconds(project.all_runs[run]), attempt)


def sweep_minutes(project: Project, method: str, attempt: int) -> int:
    """Of the job that samples all scales of a method, one after the other."""
    rows = [project.sweep_runs[scale] for scale in project.sweep_of(method)]
    return job_minutes(sum(row.num_images * project.image_seconds(row) for row in rows), attempt)


def sampling_megabytes(project: Project, num_images: int, attempt: int) -> int:
    """Of a job that samples so many images of a run."""
    return job_megabytes(num_images * image_bytes(project), attempt)


def measuring_megabytes(project: Project, num_images: int, attempt: int) -> int:
    """Of a job that extracts or reads the features of so many images of a run."""
    return job_megabytes(num_images * feature_bytes(project), attempt)


def feature_bytes(project: Project) -> int:
    """Bytes of the features of one image, in all spaces."""
    return 4 * sum(_dimensions(project, space) for space in project.measure().spaces)


def image_bytes(project: Project) -> int:
    """Bytes of one sample: its pixels, its label and its number."""
    return project.dataset.image_size**2 * project.dataset.image_channels + 8 + 8


def _dimensions(project: Project, space: SpaceConfig) -> int:
    if network := space.classifier:
        side = network.image_size // 2 ** (len(network.channel_mult) - 1)
        return network.level_channels[-1] + 7 * side**2 + network.num_classes
    return space_of(space.name).numbers or project.dataset.image_size**2 * project.dataset.image_channels
