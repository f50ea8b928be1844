"""Weights & Biases: one run per unique trained stage, one summary run per sweep."""

from w2s_sweep.tracking.wandb.settings import Wandb

__all__ = ["Wandb"]
