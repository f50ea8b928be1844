"""What the stand-ins for SLURM's commands do with the stand-in for its controller.

They know the options, columns and refusals of SLURM 22.05 that the launcher meets. What is said here of SLURM is asked
of a real one as well (contract.py).
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from tests.launch.slurm.controller import ENDED, Call, Controller, Refusal, Task, moment, parts


def answer(controller: Controller, call: Call) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    controller.calls.append(call)
    try:
        _trip(controller, str(call))
        if call.program == "scontrol" and not call.arguments:
            return _lines(controller, call.stdin)
        return 0, "".join(f"{line}\n" for line in COMMANDS[call.program](controller, call.arguments)), ""
    except Refusal as refusal:
        return 1, "", f"{refusal}\n"
    finally:
        controller.schedule()


def _trip(controller: Controller, line: str) -> None:
    for fault in controller.faults:
        if fault.words in line and fault.after:
            fault.after -= 1
        elif fault.words in line and fault.times:
            fault.times -= 1
            raise Refusal(fault.error)


def _lines(controller: Controller, stdin: str) -> tuple[int, str, str]:
    """scontrol goes on after a line that is refused, and tells by its status at the end."""
    said: list[str] = []
    for line in stdin.splitlines():
        try:
            list(scontrol(controller, shlex.split(line)))
        except Refusal as refusal:
            said.append(f"{refusal}\n")
        controller.schedule()
    return int(bool(said)), stdin, "".join(said)


def options(words: Sequence[str]) -> dict[str, str]:
    """`--user ann --me -j=7` -> {user: ann, me: "", j: 7}."""
    found: dict[str, str] = {}
    if not words:
        return found
    for word, after in zip(words, [*words[1:], "-"], strict=True):
        key, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-"):
            found[key] = value if equals or after.startswith("-") else after
    return found


def sbatch(controller: Controller, arguments: Sequence[str]) -> Iterator[str]:
    with open(arguments[-1]) as script:
        lines = [shlex.split(line)[1:] for line in script if line.startswith("#SBATCH ")]
    # The command line beats the script; SBATCH_*, which would beat it too, tests do not let through.
    asked = options([word for line in lines for word in line]) | options(arguments[:-1])
    indices, _, throttle = asked.get("array", "").partition("%")
    count = int(indices.removeprefix("0-")) + 1 if indices else 1
    memory_gb, gpus = int(asked.get("mem", "0").removesuffix("GB")), int(asked.get("gpus-per-node", 0))
    refused = "sbatch: error: Batch job submission failed: "
    if count > controller.max_array:
        raise Refusal(f"{refused}Invalid job array specification")
    if "hold" not in asked and (memory_gb > controller.node_memory_gb or gpus > controller.node_gpus):
        raise Refusal(f"{refused}Requested node configuration is not available")
    queued = sum(task.user == controller.me and task.state not in ENDED for task in controller.tasks)
    if controller.max_submit is not None and queued + count > controller.max_submit:
        policy = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
        raise Refusal(f"sbatch: error: AssocMaxSubmitJobLimit\n{refused}{policy}")
    for index in range(count):
        task = Task(
            array=controller.next,
            index=index if indices else None,
            name=asked["job-name"],
            user=controller.me,
            minutes=int(asked["time"]),
            memory_mb=1024 * memory_gb,
            gpus=gpus,
            throttle=int(throttle or count),
            kill=asked.get("kill-on-invalid-dep") == "yes",
            requeue="requeue" in asked,
            dependency=asked.get("dependency", ""),
            begin=moment(asked["begin"]) if "begin" in asked else None,
            held="JobHeldUser" if "hold" in asked else "",
        )
        controller.add(task)
    controller.next += 1
    yield f"Submitted batch job {controller.next - 1}"


def squeue(controller: Controller, arguments: Sequence[str]) -> Iterator[str]:
    asked = options(arguments)
    users = [controller.me] if "me" in asked else asked.get("user", "").split(",")
    users = [user for user in users if user == controller.me or not controller.private]
    listed = [task for task in controller.tasks if task.user in users and task.state not in ENDED]
    for task in controller.unfinished(asked["job"]) if "job" in asked else listed:
        starts = task.begins if task.state == "PENDING" else task.started
        columns: Mapping[str, object] = {
            "%F": task.array,
            "%K": "N/A" if task.index is None else task.index,
            "%j": task.name,
            "%T": task.state,
            "%r": controller.reason(task),
            "%L": f"{task.minutes}:00",
            "%l": f"{task.minutes}:00",
            "%S": "N/A" if starts is None else starts.isoformat(timespec="seconds"),
        }
        yield "|".join(str(columns[column]) for column in asked["format"].split("|"))


def sacct(controller: Controller, arguments: Sequence[str]) -> Iterator[str]:
    if not controller.accounting:
        raise Refusal("Slurm accounting storage is disabled")
    asked = options(arguments)
    for task in (task for job in asked["j"].split(",") for task in controller.named(job)):
        state = "CANCELLED by 0" if task.state == "CANCELLED" and not task.dependency else task.state
        columns = {"JobID": task.job, "JobName%60": task.name, "State": state, "ExitCode": task.exit}
        yield "|".join(columns[column] for column in asked["format"].split(","))


def scancel(controller: Controller, arguments: Sequence[str]) -> Iterator[str]:
    """A job that is not there is no error."""
    for task in (task for job in arguments for task in controller.named(job) if task.state not in ENDED):
        if task.user != controller.me:
            raise Refusal(f"scancel: error: Kill job error on job id {task.job}: Access/permission denied")
        task.state = "CANCELLED"
    yield from ()


def scontrol(controller: Controller, arguments: Sequence[str]) -> Iterator[str]:
    match list(arguments):
        case ["show", "config"]:
            yield "Configuration data as of 2026-01-01T00:00:00"
            yield f"ClusterName             = {controller.cluster}"
            yield f"PrivateData             = {'jobs' if controller.private else 'none'}"
            yield f"MaxArraySize            = {controller.max_array}"
        case ["show", "job", job]:
            for task in controller.unfinished(job):
                yield f"JobId={task.array} JobState={task.state} Reason={controller.reason(task)}"
                yield f"   Requeue={int(task.requeue)} Restarts={task.restarts} BatchFlag=1"
        case ["--detail", "show", "node", "--oneliner"]:
            yield from controller.nodes
        case ["show", "partition", "--oneliner"]:
            for name, limits in controller.partitions.items():
                plain = {"Default": "NO", "MaxNodes": "UNLIMITED", "MaxTime": "UNLIMITED", "MaxMemPerNode": "UNLIMITED"}
                yield " ".join(f"{key}={value}" for key, value in ({"PartitionName": name} | plain | limits).items())
        case ["update" | "release", *_] if controller.fixed:
            raise Refusal("slurm_update error: Access/permission denied")
        case ["update", *changes]:
            fields = {key.lower(): value for key, _, value in (change.partition("=") for change in changes)}
            for task in controller.unfinished(fields["jobid"]):
                _update(controller, task, fields)
        case ["release", job]:
            for task in controller.unfinished(job):
                task.held = ""
        case ["requeue", job]:
            for task in controller.unfinished(job):
                _requeue(task)
        case ["quit"]:
            pass
        case other:
            raise Refusal(f"invalid keyword: {' '.join(other)}")


def _update(controller: Controller, task: Task, fields: Mapping[str, str]) -> None:
    if task.state != "PENDING":
        raise Refusal(f"{task.job}: Job is no longer pending execution")
    task.apart = task.apart or fields["jobid"] == task.job
    if "dependency" in fields:
        if any(_circular(controller, task, job) for _, job in parts(fields["dependency"])):
            raise Refusal(f"{task.job}: Circular job dependency")
        task.dependency = fields["dependency"]
    if "starttime" in fields:
        task.begin = moment(fields["starttime"])
    task.minutes = int(fields.get("timelimit", task.minutes))
    task.memory_mb = int(fields.get("minmemorynode", task.memory_mb))


def _circular(controller: Controller, task: Task, job: str) -> bool:
    """Whether `job` waits for `task`; in that, a task that was never changed alone counts as its whole array."""
    return any(
        one is task or (not one.apart and one.array == task.array) or _circular(controller, task, one.job)
        for other in controller.named(job)
        for _, needed in parts(other.dependency)
        for one in controller.named(needed)
    )


def _requeue(task: Task) -> None:
    if not task.requeue or task.state != "RUNNING":
        raise Refusal(f"Requested operation is presently disabled for job {task.job}")
    task.state, task.started, task.begin = "PENDING", None, datetime.now() + timedelta(minutes=2)
    task.restarts += 1


def sacctmgr(controller: Controller, arguments: Sequence[str]) -> Iterator[str]:
    """The limits of the user's associations: MaxSubmitJobs and GrpSubmitJobs."""
    if not controller.accounting:
        raise Refusal("You are not running a supported accounting_storage plugin")
    assert f"user={controller.me}" in arguments
    yield f"{controller.max_submit or ''}|"


COMMANDS = {
    "sbatch": sbatch,
    "squeue": squeue,
    "sacct": sacct,
    "scancel": scancel,
    "scontrol": scontrol,
    "sacctmgr": sacctmgr,
}
