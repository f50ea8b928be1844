"""Weights that a finished stage left for those that go on with them."""

from pathlib import Path

from w2s_sweep.errors import DataError


def stored_weights(folder: Path, name: str) -> Path:
    """The file `name` of a finished stage; DataError saying how to get it where the stage kept none."""
    if not (folder / name).is_file():
        raise DataError(
            f"keep_weights: stage {folder.name} kept no weights ({name}) that could read further rows. Full "
            f"fine-tuning keeps them with keep_weights=true: set it, delete {folder} and run the sweep again."
        )
    return folder / name
