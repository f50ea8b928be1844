"""What known GPUs can compute at most, to compare with: dense matrix products, from their makers' data sheets."""

from typing import Literal

Products = Literal["bf16", "tf32", "fp32"]
"""What numbers matrix products take; all of them add up in 32 bits."""

PEAKS: tuple[tuple[str, float, float, str], ...] = (
    ("B200", 2250, 1125, "NVIDIA DGX B200 datasheet, a GPU's share, half of its numbers with sparsity"),
    ("GH200", 989.5, 494.5, "NVIDIA GH200 Grace Hopper Superchip datasheet, half of its numbers with sparsity"),
    ("H200 NVL", 835.5, 417.5, "NVIDIA H200 Tensor Core GPU datasheet, half of its numbers with sparsity"),
    ("H200", 989.5, 494.5, "NVIDIA H200 Tensor Core GPU datasheet, SXM, half of its numbers with sparsity"),
    ("H100 PCIe", 756, 378, "NVIDIA H100 Tensor Core GPU Architecture whitepaper, table 2, PCIe"),
    ("H100 NVL", 835.5, 417.5, "NVIDIA H100 NVL datasheet, half of its numbers with sparsity"),
    ("H100", 989.4, 494.7, "NVIDIA H100 Tensor Core GPU Architecture whitepaper, table 2, SXM5"),
    ("A100", 312, 156, "NVIDIA A100 Tensor Core GPU datasheet"),
    ("A40", 149.7, 74.8, "NVIDIA A40 datasheet"),
    ("A30", 165, 82, "NVIDIA A30 Tensor Core GPU datasheet"),
    ("A10", 125, 62.5, "NVIDIA A10 Tensor Core GPU datasheet"),
    ("RTX A6000", 154.8, 77.4, "NVIDIA Ampere GA102 GPU Architecture whitepaper, table of the RTX A6000"),
    ("L40S", 362, 183, "NVIDIA L40S datasheet"),
    ("L4", 121, 60, "NVIDIA L4 Tensor Core GPU datasheet, half of its numbers with sparsity"),
    ("RTX 4090", 165.2, 82.6, "NVIDIA Ada GPU Architecture whitepaper, table 2, sums in 32 bits"),
    ("RTX 3090", 71, 35.6, "NVIDIA Ampere GA102 GPU Architecture whitepaper, table 9, sums in 32 bits"),
)
"""(words of the name that CUDA gives, bf16, tf32 in TFLOP/s, source); the first that fits counts."""


def peak_of(name: str, products: Products) -> float | None:
    """FLOP/s of a GPU of this name; None where it is not in the table, or the table says nothing of such products."""
    if products == "fp32":
        return None
    said = name.replace("-", " ").split()
    if {"MIG", "Laptop"} & set(said):  # a part of a card, or another chip of the same name
        return None
    for words, bf16, tf32, _ in PEAKS:
        if set(words.split()) <= set(said):
            return (bf16 if products == "bf16" else tf32) * 1e12
    return None
