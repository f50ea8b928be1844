"""Weak-to-strong generalization sweeps as one deduplicated graph of fine-tuning stages."""

__version__ = "0.1.0"
