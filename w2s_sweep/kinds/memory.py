"""What a stage holds in memory: bytes of weights, gradients, moments of Adam and activations, from the widths of its
transformer; and what of it fits a device.

Not in it: temporaries inside of a kernel, and what an allocator loses to fragments; `HEADROOM` is for these.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from w2s_sweep.config.finetune import MOST_TOKENS, Precision, Quantise
from w2s_sweep.kinds.activations import Way, of_block, skipped
from w2s_sweep.kinds.shape import Shape
from w2s_sweep.kinds.writing import Writing, on_each, writing_of

HEADROOM = 0.92
"""Share of a device's memory that is planned with."""
CONTEXT = 1.0e9
"""Bytes that CUDA, its libraries and their workspaces take on a device."""
ENOUGH_TOKENS = 2048
"""Tokens of a forward pass that keep a GPU busy: rather so few than computing activations twice."""


@dataclass(frozen=True)
class Memory:
    """What a stage holds at once, in bytes, without the constant part that every process needs."""

    fixed: float = 0.0
    """On the device, however many tokens a forward pass has; 0 means that the stage runs on the CPU."""
    token: float = 0.0
    """For each token of a forward pass."""
    token_checkpointed: float | None = None
    """The same where blocks compute their activations again in the backward pass; None where nothing is kept anyway."""
    least: int = 1
    """Tokens of the longest row, which goes through the model whole."""
    weights: Literal["bf16", "fp32", "nf4"] = "fp32"
    """Of the weights on the device, but of those that train with adapters, which are in 32 bits."""
    host: float = 0.0
    """On the host, where weights are there twice for a moment while they are loaded."""
    shared: float = 0.0
    """What of `fixed` several devices divide among them; 0 means that the stage runs on one."""
    gathered: float = 0.0
    """What each of several devices holds beside its share: the weights of blocks while they compute, and all that is
    outside of blocks."""

    own: float = 0.0
    """What of `fixed` is there once more for each further stage that trains on the same frozen weights."""
    writing: Writing | None = None
    """What it holds while it writes texts, where it does; not at the same time as what is above."""

    def students(self, count: int) -> "Memory":
        """What so many of them hold together, whose rows go through the weights in the same passes."""
        return replace(self, fixed=self.fixed + (count - 1) * self.own)

    def on(self, gpus: int) -> "Memory":
        """What each of so many devices holds."""
        if gpus == 1:
            return self
        fixed = on_each(gpus, self.fixed, self.shared, self.gathered)
        return replace(self, fixed=fixed, writing=self.writing and self.writing.on(gpus))

    def alone(self, writing: Writing) -> "Memory":
        """Where the model only writes: nothing trains."""
        return replace(
            self,
            fixed=writing.fixed,
            token=writing.token,
            token_checkpointed=None,
            shared=writing.shared,
            gathered=writing.gathered,
            own=0.0,
            writing=writing,
        )

    def device(self, tokens: float, checkpointing: bool = False, room: float = 0.0) -> float:
        """Bytes on the device, what CUDA takes included; 0 on the CPU. `room`: of the keys, values and logits of texts
        that are written."""
        if not self.fixed:
            return 0.0
        each = self.token_checkpointed if checkpointing and self.token_checkpointed is not None else self.token
        writes = 0.0 if self.writing is None else self.writing.device(tokens, room)
        return CONTEXT + max(self.fixed + each * tokens, writes)


ON_CPU = Memory()


@dataclass(frozen=True)
class Fit:
    """How a stage is run so that it fits a device."""

    checkpointing: bool
    """Whether activations of blocks are computed again in the backward pass."""
    tokens: int
    """Tokens of a forward pass."""
    device: float
    """Bytes that it then holds on the device."""
    room: float | None = None
    """Bytes for the keys, values and logits of texts that are written; None where none are."""


def fit(need: Memory, device: float, most: int = MOST_TOKENS) -> Fit | None:
    """The fastest way to run in `device` bytes, with at most `most` tokens a forward pass; None where there is none."""
    room = device * HEADROOM - CONTEXT - need.fixed
    wanted = max(need.least, min(most, ENOUGH_TOKENS))
    for checkpointing, each, enough in ((False, need.token, wanted), (True, need.token_checkpointed, need.least)):
        if each is None:
            continue
        tokens = int(min(max(most, need.least), room / each))
        if tokens >= enough:
            found = Fit(checkpointing, tokens, need.device(tokens, checkpointing))
            return found if need.writing is None else _with_texts(need, need.writing, found, device)
    return None


def _with_texts(need: Memory, writing: Writing, found: Fit, device: float) -> Fit | None:
    """With as many texts as are written together at best, or fewer; None where there is no room for one."""
    free = device * HEADROOM - CONTEXT
    for least in (max(need.least, min(found.tokens, ENOUGH_TOKENS)), need.least):
        if (parts := writing.divide(free, device, least, found.tokens)) is not None:
            tokens, room = parts
            return Fit(found.checkpointing, tokens, need.device(tokens, found.checkpointing, room), room)
    return None


COUNTS = (1, 2, 4, 8)
"""GPUs that a stage may compute on, where nobody says how many."""


def fewest(need: Memory, device: float, counts: Sequence[int] = COUNTS) -> int:
    """The first of `counts` GPUs of `device` bytes each on which a stage fits; the last where it fits on none, or the
    first where each of several holds as much as one."""
    return next((gpus for gpus in counts if fit(need.on(gpus), device) is not None), counts[-1 if need.shared else 0])


def explain_too_large(what: str, need: Memory, device: float, gpus: int = 1) -> str:
    """What is wrong where `fit` finds nothing, and what helps."""
    least = need.device(need.least, need.token_checkpointed is not None)
    help_ = ["a smaller model", "a GPU with more memory (SLURM: hydra.launcher.gpu_memory_gb and a constraint)"]
    if need.token_checkpointed is not None:
        help_.insert(0, "finetune=lora where all weights train")
    if CONTEXT + need.fixed < HEADROOM * device:
        help_.insert(0, "a lower dataset.max_tokens")
    where = "It computes on one GPU." if gpus == 1 else f"That is each of the {gpus} GPUs that it computes on."
    return (
        f"{what}: needs about {least / 1e9:.0f} GB for one row of {need.least} tokens, and its share of the GPU is "
        f"{device / 1e9:.0f} GB. {where} Use {', or '.join(help_)}."
    )


LOGITS = 3 * 2**25 * 4
"""Bytes of the logits, their slopes and a temporary of the part of a batch whose likelihood is computed at a time."""
NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes of a weight in 4 bits: a scale of 8 bits for 64 of them, and for 256 of these one of 32 (Dettmers et al. 2023,
section 3)."""


def training(
    shape: Shape,
    precision: Precision,
    least: int,
    *,
    adapters: tuple[int, Sequence[str]] | None,
    stopping: bool,
    language: bool = False,
    quantise: Quantise = "none",
    dora: bool = False,
    writes: int = 0,
    last: bool = False,
) -> Memory:
    """Of training inside a transformer. `adapters`: rank and targets of LoRA, None trains every weight; `stopping`
    keeps the best parameters beside those that train; `language`: it computes likelihoods with an unembedding, which
    is counted as one of its own, in 32 bits; `quantise`: what becomes of frozen matrices; `dora`: adapters have
    magnitudes; `writes`: tokens of the longest text with what the language model then writes after it, 0 for none;
    `last`: of a text, the state of the last token alone is read."""
    lora, half, packed = adapters is not None, precision == "bf16", quantise == "nf4"
    rank, targets = adapters or (0, ())
    weight = 2 if half and lora else 4  # bytes; those that train are in 32 bits
    learnt = 16 + 4 * stopping  # of one that trains: with its gradient, two moments and its best value so far
    magnitudes = shape.outputs(targets) if dora else 0
    trained = (rank * shape.adapter_size(targets) + magnitudes) * shape.layers if lora else shape.params
    # what autocast keeps in 16 bits of weights that train
    copies = 2 * (trained if lora else shape.matrices * shape.layers) if half else 0
    logits = LOGITS if language else 0
    head = shape.head * (4 if lora else learnt) + logits if language else 0
    fixed = (_frozen(shape, weight, packed) if lora else 0) + trained * learnt + copies + head
    train: Way = "lora" if lora else "full"
    kept = of_block(shape, train, precision)
    unread = skipped(shape, train, precision) if last else 0.0
    if half and lora:
        kept += 2 * shape.kept_inputs(targets)
    if magnitudes:
        kept += magnitudes * (4 if half else 8)
        # what the norms of the widest matrix are computed from: it, its change, and a square
        wide = shape.inner if shape.kept_inputs(targets) else shape.hidden
        fixed += 4 * wide * (wide + 3 * shape.hidden)
    state = shape.hidden * weight
    alone = packed or magnitudes > 0  # neither matrices in 4 bits nor magnitudes are shared out
    writing = None
    if writes:
        # Gradients are never there while it writes, moments and best values are where it stops early.
        gone = (4 if stopping else 12) * (trained + (0 if lora else shape.head)) + logits
        writing = writing_of(
            shape,
            precision,
            writes,
            fixed=fixed - gone,
            weights=fixed - gone - copies,
            token=of_block(shape, "forward", precision),
        )
        whole = _gathered(shape, weight, half=half, lora=True, language=True) + shape.head * (4 - weight) - copies
        writing = writing if alone else replace(writing, shared=fixed - gone - copies, gathered=whole)
    return Memory(
        fixed=fixed,
        token=shape.layers * kept - unread + state,
        token_checkpointed=shape.layers * state + kept + state,
        least=least,
        weights="nf4" if packed else "bf16" if half and lora else "fp32",
        host=shape.params * 2 * weight,
        shared=0 if alone else fixed - copies - logits,
        gathered=0 if alone else _gathered(shape, weight, half=half, lora=lora, language=language) - copies,
        own=trained * learnt + copies if lora else 0,
        writing=writing,
    )


def _frozen(shape: Shape, weight: int, packed: bool) -> float:
    """Bytes of the weights below adapters; `packed`: matrices in 4 bits, one of which is whole again while it computes,
    at most that of a feed-forward layer."""
    if not packed:
        return shape.params * weight
    matrices = shape.matrices * shape.layers
    return (shape.params - matrices) * weight + matrices * NF4 + shape.hidden * shape.inner * weight


def _gathered(shape: Shape, weight: int, *, half: bool, lora: bool, language: bool) -> float:
    """Bytes that are whole on each of several devices (FSDP): two blocks, the one that computes and the next one, in 16
    bits where products are, with the gradients of one before they are divided; and embedding and unembedding with
    theirs. Blocks in 16 bits are the copies that autocast would keep."""
    gradient = 0 if lora else 4
    outside = shape.params - shape.matrices * shape.layers + (shape.head if language else 0)
    return shape.matrices * (2 * (2 if half else 4) + gradient) + max(0.0, outside) * (weight + gradient)


def running(shape: Shape, precision: Precision, least: int, kept: float = 0.0, writes: int = 0) -> Memory:
    """Of running a model without training it; `kept` bytes of a token stay, such as its keys and values; `writes`:
    tokens of the longest text with what the model writes after it, with an unembedding in 32 bits, 0 for none."""
    block = of_block(shape, "forward", precision)  # autograd keeps nothing: about what one block works with
    fixed = shape.params * (2 if precision == "bf16" else 4) + (4 * shape.head if writes else 0)
    need = Memory(fixed=fixed, token=block + kept, least=least, weights=precision, host=2 * fixed)
    if not writes:
        return need
    return need.alone(writing_of(shape, precision, writes, fixed=fixed, weights=fixed, token=block))
