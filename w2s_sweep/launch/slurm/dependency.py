"""What a task waits for, task by task, in SLURM's words; finished stages are never named."""

from collections import Counter
from collections.abc import Mapping

from w2s_sweep.plan.packs import Pack


def dependency(pack: Pack, owner: Mapping[str, str], sizes: Counter[str]) -> str:
    """The dependency of a pack; `owner`: stage -> job that will make it, `sizes`: job -> stages it is to make.

    `afterok` where nothing in the pack could run without the task, so that SLURM cancels it when that task fails;
    `afterany` where a part could: the job looks at its inputs itself.
    """
    by_job: dict[str, set[str]] = {}
    for key in pack.waits_for:
        if key in owner:
            by_job.setdefault(owner[key], set()).add(key)
    return ",".join(
        f"{'afterok' if sizes[job] == len(keys) and _all_need(pack, keys) else 'afterany'}:{job}"
        for job, keys in sorted(by_job.items())
    )


def _all_need(pack: Pack, keys: set[str]) -> bool:
    """Whether each stage of the pack needs all of `keys`, directly or through others of the pack."""
    needs: dict[str, set[str]] = {}
    for stage in pack.stages:
        direct = set(stage.inputs.values())
        needs[stage.key] = direct.union(*(needs[k] for k in direct if k in needs))
    return all(keys <= need for need in needs.values())
