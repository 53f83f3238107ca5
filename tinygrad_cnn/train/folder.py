"""The folder of a training: its last checkpoint, its best weights, its log.

    last.safetensors   everything that it takes to go on
    best.safetensors   the weights of the best epoch
    log.jsonl          a line for each step and epoch
"""

import os
from pathlib import Path

from ..errors import ArgumentError, CheckpointError

LAST, BEST, LOG = "last.safetensors", "best.safetensors", "log.jsonl"


def begin_folder(folder: Path) -> None:
    """Make the folder of a new training.

    Raises
    ------
    ArgumentError
        If it holds another training, which would be lost.
    """
    if (folder / LAST).exists():
        raise ArgumentError(
            f"fit: {folder} holds the checkpoint of a training: go on with it (resume={os.fspath(folder)!r}), choose another "
            "folder, or delete it"
        )
    folder.mkdir(parents=True, exist_ok=True)


def checkpoint_to_resume(resume: Path, folder: Path | None) -> Path | None:
    """The file to go on from; None if the training is to be resumed in its own folder and has not saved anything yet.

    Raises
    ------
    CheckpointError
        If there is nothing at another place.
    """
    file = resume / LAST if resume.is_dir() else resume
    if file.is_file():
        return file
    if folder is not None and resume.resolve() == folder.resolve():
        return None
    raise CheckpointError(f"there is no checkpoint at {file}: name the folder of a training, or begin one without resume=")


def remove_fragments(folder: Path) -> None:
    """Remove what a killed process has left of files that it was writing."""
    for name in (LAST, BEST):
        for fragment in folder.glob(f".{name}.*.part"):
            fragment.unlink(missing_ok=True)
