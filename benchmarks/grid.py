"""Models of a few thousand weights and a dataset of short sentences with some wrong labels, as overrides."""

import json
from pathlib import Path

from tests.tiny import tiny_llama

ROOT = Path(__file__).parents[1]


def tiny_grid(folder: Path) -> list[str]:
    """Writes both into `folder`; everything but store, grid and launcher is said."""
    rows = folder / "rows.jsonl"
    texts = [
        {"sentence": f"a {'good' if i % 2 else 'bad'} film {i}", "label": (i % 2) ^ (i % 7 == 0)} for i in range(200)
    ]
    rows.write_text("".join(f"{json.dumps(text)}\n" for text in texts))
    weak, strong = (tiny_llama(folder / name, layers=layers) for name, layers in (("weak", 1), ("strong", 2)))
    return [
        *("finetune=full", "threads=1", "tracker=none"),
        *(f"weak.path={weak}", "weak.name=weak", f"strong.path={strong}", "strong.name=strong"),
        *("dataset=sst2", f"dataset.path={rows}", "dataset.name=tiny", "dataset.test_split=null"),
        *("dataset.n_train=null", "dataset.n_test=null"),
    ]
