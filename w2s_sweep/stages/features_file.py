"""Features-file stage: the vectors that a file has of all examples, in the form of the features stage."""

from safetensors.numpy import save_file

from w2s_sweep.data.vectors_file import read_vectors
from w2s_sweep.errors import DataError
from w2s_sweep.kinds.forward import FeaturesFile
from w2s_sweep.runner.context import Context
from w2s_sweep.sources import fetch
from w2s_sweep.training.examples import load_ids, load_texts


def run(context: Context[FeaturesFile]) -> None:
    ids, texts = load_ids(context.input("data")), load_texts(context.input("data"))
    if len(texts) > len(ids):
        raise DataError("features: a file has one vector an example, and pairs need one for each text.")
    said = read_vectors(fetch(context.stage.hints.of_model.source, context.settings.file, "dataset"))
    features = said.of(ids if said.by == "id" else texts)
    save_file({"features": features}, context.out / "features.safetensors")
    counts = {"examples": len(ids), "rows": len(said.names), "width": int(features.shape[1])}
    context.finish(counts | {"found by": said.by})
