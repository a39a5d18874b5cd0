"""Time of jobs: from the speed of sampling to the time of an image and a job, and the size of shards."""

import functools

from eddpm.config.settings import PositiveFloat, Settings
from eddpm.diffusion.respacing import kept_timesteps


class Speed(Settings):
    """Images times denoising steps per second of one job, with a classifier beside the denoiser and without."""

    guided: PositiveFloat
    unguided: PositiveFloat


MOST_MINUTES = 720  # of a training too, which goes on in its retries

# ADM at 256 pixels on one A100: 0.07 and 0.12 images per second of 250 steps (Rombach et al., 2022, table 18).
PUBLISHED = Speed(guided=17.5, unguided=30.0)


@functools.cache  # asked for every job, of a few kinds of runs
def image_seconds(speed: Speed | None, diffusion_steps: int, steps: str, guided: bool) -> float:
    """Seconds for one image of so many (respaced) steps; without a speed, by the published one."""
    speed = speed or PUBLISHED
    return len(kept_timesteps(diffusion_steps, steps)) / (speed.guided if guided else speed.unguided)


def shard_size(target_minutes: float, seconds_per_image: float, num_images: int) -> int:
    """Images of a run whose sampling takes at most that long: one at least, and no more than there are."""
    return max(1, int(min(num_images, target_minutes * 60 / seconds_per_image + 1e-6)))


def job_minutes(seconds: float, attempt: int) -> int:
    """Time to ask a cluster for: half as much again and ten minutes to start; twice that in each further attempt.

    None asks for more than MOST_MINUTES, or what the first one did: it goes on from finished batches, and a job that
    asks for more than its partition allows waits in the queue for ever.
    """
    minutes = round(1.5 * seconds / 60 + 10)
    return min(minutes * 2 ** (attempt - 1), max(minutes, MOST_MINUTES))
