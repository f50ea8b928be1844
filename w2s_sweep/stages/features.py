"""Features stage: one frozen vector for every example, computed once per model and dataset for all probes."""

from safetensors.numpy import save_file

from w2s_sweep.models.features import frozen_features
from w2s_sweep.stages import warm
from w2s_sweep.stages.context import Context
from w2s_sweep.stages.rows import load_texts


def run(context: Context) -> None:
    stage = context.stage
    texts = load_texts(context.input("data"))
    backbone = warm.frozen_backbone(stage)
    tokens = warm.token_ids(stage, backbone, texts)
    features = frozen_features(
        backbone,
        tokens,
        layer=stage.settings["feature_layer"],
        pooling=stage.settings["pooling"],
        precision=stage.settings["precision"],
        token_budget=context.settings.micro_batch_tokens,
        on_progress=context.progress_or_stop,
    )
    save_file({"features": features}, context.out / "features.safetensors")
    context.finish({"examples": len(tokens), "tokens": sum(map(len, tokens)), "width": int(features.shape[1])})
