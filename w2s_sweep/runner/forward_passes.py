"""Forward passes of a stage without training: what is done is kept in its work folder, like a training's checkpoint."""

import logging

from safetensors import SafetensorError
from safetensors.numpy import load_file, save  # pyright: ignore[reportUnknownVariableType]

from w2s_sweep.errors import Preempted
from w2s_sweep.kinds import Kind
from w2s_sweep.models.forward_passes import Passes
from w2s_sweep.models.ranks import this_process
from w2s_sweep.runner.context import Context
from w2s_sweep.store.files import write_bytes

log = logging.getLogger(__name__)


class KeptPasses(Passes):
    """Goes on from the stage's checkpoint; saves when one is due, and before it leaves."""

    def __init__(self, context: Context[Kind], name: str = "checkpoint"):
        """`name` of the file, for a stage that has another checkpoint too."""
        self._context = context
        self._file = context.work / f"{name}.safetensors"

    def begin(self, rows: int, width: int) -> None:
        super().begin(rows, width)
        try:
            kept = load_file(self._file)
        except (FileNotFoundError, SafetensorError):
            kept = {}
        if "values" in kept and kept["values"].shape == self.values.shape:
            self.values, self.done = kept["values"], kept["done"]
            self._context.on_continue()
            log.info("goes on after %d of %d rows", self.done.sum(), rows)

    def after_batch(self) -> None:
        done, rows = int(self.done.sum()), len(self.done)
        self._context.progress(done, rows)
        if done == rows:
            return
        stop = self._context.stop()
        if stop or self._context.checkpoint_due():
            if this_process().leads:
                write_bytes(self._file, save({"values": self.values, "done": self.done}))
            self._context.on_save(done)
        if stop:
            raise Preempted
