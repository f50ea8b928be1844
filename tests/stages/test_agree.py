"""Solutions that are kept: of samples that were cut none stands for its answer where whole ones are wanted."""

import pyarrow as pa
import pyarrow.parquet as pq

from w2s_sweep.predictions import SAMPLES, SAMPLES_SCHEMA
from w2s_sweep.stages.agree import ended_texts, shares_of
from w2s_sweep.training.answers import read_samples

ROWS = [
    ("a", 0, "so 3, 3, 3", "3", False), ("a", 1, "#### 3", "3", True), ("a", 2, "it is 3", "3", True),
    ("b", 0, "4 4 4 4", "4", False), ("b", 1, "#### 5", "5", True),
    ("c", 0, "no", None, True), ("c", 1, "none", None, True),
]  # fmt: skip
ANSWERS = {"a": "3", "b": "4", "c": None}


def test_the_first_whole_text_stands_for_the_answer_of_most(tmp_path):
    table = [dict(zip(SAMPLES_SCHEMA.names, row, strict=True)) for row in reversed(ROWS)]
    pq.write_table(pa.Table.from_pylist(table, schema=SAMPLES_SCHEMA), tmp_path / SAMPLES)
    samples = read_samples(tmp_path)
    assert ended_texts(samples, ANSWERS) == {"a": "#### 3"}
    assert shares_of(samples, ANSWERS) == {"a": 1.0, "b": 0.5, "c": 0.0}
