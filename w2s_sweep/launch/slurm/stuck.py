"""Reasons for which SLURM may let a task wait for ever, and what to do about each."""

STUCK = {
    "PartitionTimeLimit": "it asks for more time than the partition gives: set hydra.launcher.max_minutes or minutes",
    "PartitionNodeLimit": "it asks for more nodes than the partition gives",
    "MaxMemPerLimit": "it asks for more memory than the partition gives: set hydra.launcher.memory_gb or partition",
    "PartitionConfig": "it asks for what the partition does not give: set hydra.launcher.cpus, gpus or partition",
    "PartitionDown": "the partition is down: wait, or set hydra.launcher.partition",
    "PartitionInactive": "the partition takes no jobs: wait, or set hydra.launcher.partition",
    "QOSMax": "it is above a limit of its QOS: it waits for your other jobs, or for ever if it asks for more than the "
    "QOS gives a job (sacctmgr show qos); hydra.launcher.max_parallel, minutes, gpus and qos set what it asks for",
    "QOSGrp": "the QOS has used up what it may: wait, or set hydra.launcher.qos",
    "AssocGrp": "your account has used up what it may: wait, or set hydra.launcher.account",
    "AssocMax": "it is above a limit of your account: it waits for your other jobs, or for ever if it asks for more "
    "than the account gives a job; hydra.launcher.max_parallel, minutes and account set what it asks for",
    "MaxSubmitJobs": "you have as many jobs as you may: wait",
    "ReqNodeNotAvail": "nodes that could run it are down or reserved: wait for their maintenance, ask for less time "
    "(hydra.launcher.max_minutes), or name the reservation (hydra.launcher.sbatch={reservation: NAME})",
    "Reservation": "its reservation has not begun or has ended",
    "BadConstraints": "no node has what it asks for: set hydra.launcher.constraint, gpus or memory_gb",
    "InvalidQOS": "its QOS is not one of yours: set hydra.launcher.qos",
    "InvalidAccount": "its account is not one of yours: set hydra.launcher.account",
    "JobHeldAdmin": "an administrator holds it: ask them",
    "JobHeldUser": "it is on hold: scontrol release JOB",
    "Licenses": "it waits for licenses",
}
"""Start of a reason of squeue -> what it means for the person who waits."""


def explain_reason(reason: str) -> str:
    """What a reason of squeue means for the person who waits; empty where the task just waits its turn."""
    return next((text for start, text in STUCK.items() if reason.lstrip("(").startswith(start)), "")
