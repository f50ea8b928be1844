# The results of a sweep from Python, as a notebook: editors that know `# %%` run it cell by cell.
# It reads the sweep of `make demo` in the usual store ($W2S_STORE or ./runs); nothing is trained here.

# %%
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import w2s_sweep as w2s

sweep = w2s.load("demo")

# %% One row per group of cells that differ in the seed only; docs/COLUMNS.md says what the columns are.
print(sweep.groups.select(["loss", "weak", "student", "ceiling", "pgr", "pgr_low", "pgr_high"]).to_pylist())

# %% One row per cell, and what is compared with the baseline. `.to_pandas()` makes a data frame of any table.
print(sweep.cells.select(["cell", "loss", "seed", "state", "student", "pgr"]).to_pylist())
print(
    sweep.comparisons.select(["loss", "baseline_loss", "difference", "difference_low", "difference_high"]).to_pylist()
)

# %% The figures of the report, as matplotlib objects.
figure = sweep.figures()["pgr"]
figure  # noqa: B018 - the notebook shows it


# %% Which test examples does the student get right although its supervisor is wrong?
def answers(role: str) -> pa.Table:
    """id and whether the role is right, on the test examples of cell 0."""
    table = sweep.predictions(0, role)
    table = table.filter(pc.equal(table["split"], "test"))
    right = np.stack(table["probs"].to_pylist()).argmax(1) == table["truth"].to_numpy()
    return pa.table({"id": table["id"], role: right})


both = answers("weak").join(answers("student"), "id")
corrected = both.filter(pc.and_not(both["student"], both["weak"]))
copied = both.filter(pc.invert(pc.or_(both["student"], both["weak"])))
print(f"of {both.num_rows} test examples the student corrects {corrected.num_rows} errors and copies {copied.num_rows}")

# %% Their texts are in the data stage, which every stage of the cell has among its inputs.
student = sweep.key(0, "student")
data = sweep.store.path(sweep.results.record["stages"][student]["inputs"]["data"])
texts = pq.read_table(data / "examples.parquet", columns=["id", "text", "label"])
print(corrected.join(texts, "id").select(["text", "label"]).slice(0, 5).to_pylist())
