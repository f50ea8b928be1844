"""Features stage: one frozen vector for every text, computed once per model and dataset for all probes."""

from safetensors.numpy import save_file

from w2s_sweep.models.features import frozen_features
from w2s_sweep.stages import warm
from w2s_sweep.stages.context import Context
from w2s_sweep.stages.passes import KeptPasses
from w2s_sweep.stages.rows import load_ids, load_texts


def run(context: Context) -> None:
    stage = context.stage
    examples, texts = len(load_ids(context.input("data"))), load_texts(context.input("data"))
    backbone = warm.frozen_backbone(context)
    tokens = warm.token_ids(stage, backbone, texts)
    features = frozen_features(
        backbone,
        tokens,
        layer=stage.settings["feature_layer"],
        pooling=stage.settings["pooling"],
        precision=stage.settings["precision"],
        token_budget=context.settings.micro_batch_tokens,
        passes=KeptPasses(context),
    )
    parts = {"features": features[:examples]}
    if len(texts) > examples:
        parts["features_other"] = features[examples:]
    save_file(parts, context.out / "features.safetensors")
    context.finish({"examples": examples, "tokens": sum(map(len, tokens)), "width": int(features.shape[1])})
