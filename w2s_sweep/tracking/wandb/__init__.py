"""Weights & Biases: one run per unique trained stage, one summary run per sweep."""
