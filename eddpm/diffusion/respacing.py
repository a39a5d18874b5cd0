"""ADM's respacing: which of the original timesteps a sampler keeps (Improved DDPM sec. 4). Plain numbers, no torch."""


def kept_timesteps(total: int, steps: str) -> list[int]:
    """Timesteps of 0..total-1, rising: "250" evenly, "ddim25" by an integer stride, "10,5,5" evenly in equal sections.

    Raises ValueError where there is no such subset.
    """
    if steps.startswith("ddim"):
        return _strided(total, int(steps.removeprefix("ddim")))
    return _sectioned(total, [int(count) for count in steps.split(",")])


def _strided(total: int, count: int) -> list[int]:
    stride = -(-total // count)  # the least that takes no more
    if stride < total and len(range(0, total, stride)) == count:
        return list(range(0, total, stride))
    raise ValueError(f"no integer stride takes exactly {count} of {total} timesteps")


def _sectioned(total: int, counts: list[int]) -> list[int]:
    kept, start = [], 0
    for section, count in enumerate(counts):
        size = total // len(counts) + (section < total % len(counts))
        if count > size:
            raise ValueError(f"section {section} has {size} timesteps, fewer than the {count} asked for")
        stride = (size - 1) / (count - 1) if count > 1 else 1.0
        position = 0.0
        for _ in range(count):
            kept.append(start + round(position))
            position += stride  # summed as ADM does: k * stride would round other ties
        start += size
    return kept
