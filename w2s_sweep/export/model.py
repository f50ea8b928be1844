"""`w2s export-model`: a trained stage as a folder that transformers and PEFT load, checked with the lines of its
README against the predictions that the stage stored."""

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from w2s_sweep.errors import StoreError
from w2s_sweep.export.card import write_card
from w2s_sweep.export.forms import Form, write_adapter, write_probe, write_whole
from w2s_sweep.export.snippet import snippet
from w2s_sweep.export.trained import Trained, find_trained
from w2s_sweep.kinds.recipes import LoraRecipe
from w2s_sweep.kinds.training import Probe
from w2s_sweep.models.load import quiet_libraries
from w2s_sweep.predictions import FILE, read_predictions
from w2s_sweep.store import Store
from w2s_sweep.training.examples import load_rows
from w2s_sweep.training.labels import places

CHECKED = 32
"""Test predictions that an export is compared with."""


def export_model(store: Store, target: str, folder: Path, *, whole: bool = False) -> str:
    """Write the trained stage that `target` means (see `find_trained`) to `folder`; returns what to tell.

    `whole`: with all weights that it needs, adapters merged into them. Raises W2SError.
    """
    trained = find_trained(store, target)
    if folder.exists():
        raise StoreError(f"{folder} is there already. Name a folder that is not, or remove it.")
    names = trained.data.labels
    try:
        with quiet_libraries():
            folder.mkdir(parents=True)
            form = _write(trained, folder, names, whole=whole)
            code = snippet(form, folder)
            checked = _check(trained, code)
        (folder / "README.md").write_text(write_card(trained, form, code, names, checked), encoding="utf-8")
        for path in folder.iterdir():  # safetensors writes files that only their owner may read
            path.chmod(folder.stat().st_mode & 0o666)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return f"{folder}: {trained.label}\n{checked} README.md has the lines that load it."


def _write(trained: Trained, folder: Path, names: Sequence[str] | None, *, whole: bool) -> Form:
    settings = trained.settings
    if isinstance(settings, Probe):
        assert trained.features is not None
        return write_probe(trained, trained.features, folder, whole=whole)
    recipe = settings.finetune
    if isinstance(recipe, LoraRecipe) and not whole:
        return write_adapter(trained, settings, recipe, folder)
    return write_whole(trained, settings, names, folder)


def _check(trained: Trained, code: str) -> str:
    """Run the lines of the README on some test rows; what their logits differ by from those that were stored."""
    loaded: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of peft, about what it asks of transformers
        exec(code, loaded)  # our own lines: whoever loads the export runs the same
    rows = load_rows(trained.store.verify(trained.inputs["data"]), trained.settings.split)
    chosen = rows.on("test")[:CHECKED]
    stored = read_predictions(trained.folder / FILE)
    expected = stored.logits[places(stored.ids, rows.ids[chosen], "the stored predictions")]
    found: Any = loaded["logits"]([rows.texts[row] for row in chosen]).numpy()
    if rows.others is not None:
        found = np.concatenate([loaded["logits"]([rows.others[row] for row in chosen]).numpy(), found], axis=1)
    difference = float(np.abs(found - expected).max())
    return f"Checked on {len(chosen)} test examples: logits differ by {difference:.1e} at most from the stored ones."
