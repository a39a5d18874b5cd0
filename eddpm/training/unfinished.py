"""The state of an unfinished training, beside the weights to be. One that is of no use is put aside, never lost."""

import hashlib
import json
import logging
import os
import zipfile
from pathlib import Path

import torch

from eddpm.config.frozen import difference
from eddpm.errors import ArtifactError, first_line, reading, writing
from eddpm.training.distributed import World
from eddpm.training.loop import Trainer

logger = logging.getLogger(__name__)


def resume(trainer: Trainer, path: Path, identity: dict, world: World) -> None:
    """Bring the trainer to where an unfinished training of this identity stands, if there is one.

    `path` is its state, with "identity" and "trainer". A state of another identity is put aside under a name of its
    own, and comes back with that identity; a damaged one is put aside for good. The log tells of each. Raises
    ArtifactError where a disk fails, or the processes of the world see different states.
    """
    moves = []
    for place in (path, _aside(path, identity)):
        if trainer.step or not os.path.lexists(place):
            continue
        try:
            found = _read(place)
            if found["identity"] == identity:
                trainer.load_state_dict(found["trainer"])
                target, why = path, "is of these settings, and goes on"
            else:
                target = _aside(path, found["identity"])
                why = f"is of other settings ({difference(found['identity'], identity)})"
        except ValueError as fault:
            target, why = path.with_name(f"{path.name}.damaged"), f"is damaged ({fault})"
        if target != place:
            moves.append((place, target, why))
    if world.max(trainer.step) != trainer.step or world.max(-trainer.step) != -trainer.step:
        raise ArtifactError(f"{path}: not seen by every process; wait for the file system, and start again")
    if world.leads:
        for place, target, why in moves:
            with writing(target):
                os.replace(place, target)
            logger.info(f"{place} {why}: kept as {target.name}")
        if moves and not trainer.step:
            logger.info("the training starts anew")


def _aside(path: Path, identity: dict) -> Path:
    """The name of the state of another training: one for each identity."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return path.with_name(f"{path.stem}-{digest[:16]}{path.suffix}")


def _read(place: Path) -> dict:
    """Read a state, with its "identity" and "trainer". ValueError if it is damaged, or none."""
    with reading(place):
        try:
            if not place.is_file():
                raise ValueError("no file")
            with zipfile.ZipFile(place) as archive:  # torch does not look at the checksums
                if broken := archive.testzip():
                    raise ValueError(f"the checksum of {broken} is wrong")
            with open(place, "rb") as file:
                state = torch.load(file, map_location="cpu", weights_only=True)
            if not isinstance(state, dict) or not isinstance(state.get("identity"), dict) or "trainer" not in state:
                raise ValueError("not of a training")
            _aside(place, state["identity"])  # which may hold anything
        except Exception as error:  # of nearly any kind where bytes are damaged
            raise ValueError(first_line(error)) from error
    return state
