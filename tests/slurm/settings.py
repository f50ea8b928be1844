"""What a test cluster looks like, and the configuration files that say so. Every path and port in them is private."""

import os
import pwd
import time
from dataclasses import dataclass
from pathlib import Path

from tests.slurm.processes import ClusterError

DEVICES = [f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "console")]
"""slurmd wants one existing character device for each GPU; nothing opens it. With a mere count it drains the node."""


@dataclass(frozen=True)
class Settings:
    """Size and features of a cluster; the resources are claimed, not checked against this machine."""

    nodes: int = 4
    cpus: int = 16
    """Per node."""
    memory_mb: int = 64000
    """Per node."""
    gpus: int = 2
    """Per node, at most 8; jobs see CUDA_VISIBLE_DEVICES."""
    accounting: bool = True
    """slurmdbd on a private mariadbd, so that `sacct` answers."""
    munge: bool = True
    """False: no authentication at all."""
    cred_expire: int = 5
    """Seconds, at least 5. A requeued job waits one second more before it may run again (SLURM's default: 120)."""
    slurmd_timeout: int = 20
    """Seconds without an answer after which a node is down; what SLURM lost sight of is missed after about six times
    as many, as it asks the nodes for their jobs so seldom."""
    name: str = "local"
    """Of the cluster, as SLURM has it."""
    extra: tuple[str, ...] = ()
    """Lines added at the end of slurm.conf."""


@dataclass(frozen=True)
class Place:
    """Where a cluster keeps its files, and its block of ports."""

    folder: Path
    sockets: Path
    """Usually the folder itself; a short one where the folder's name would make socket names too long."""
    port: int

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def munge_socket(self) -> Path:
        return self.sockets / "munge" / "munge.sock"

    @property
    def accounting_port(self) -> int:
        return self.port + 1

    @property
    def database_port(self) -> int:
        return self.port + 2

    @property
    def node_port(self) -> int:
        """Port of the first node; the others follow."""
        return self.port + 3


def node_names(settings: Settings) -> list[str]:
    return [f"n{i}" for i in range(1, settings.nodes + 1)]


def ports_needed(settings: Settings) -> int:
    return 3 + settings.nodes


def _user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _authentication(settings: Settings, place: Place) -> str:
    if settings.munge:
        return f"AuthType=auth/munge\nAuthInfo=socket={place.munge_socket},cred_expire={settings.cred_expire}"
    return f"AuthType=auth/none\nAuthInfo=cred_expire={settings.cred_expire}"


def _accounting(settings: Settings, place: Place) -> str:
    if not settings.accounting:
        return "AccountingStorageType=accounting_storage/none"
    lines = [
        "AccountingStorageType=accounting_storage/slurmdbd",
        "AccountingStorageHost=127.0.0.1",
        f"AccountingStoragePort={place.accounting_port}",
        "AccountingStorageTRES=gres/gpu" if settings.gpus else "",
        # the connection to slurmdbd takes its munge socket from here, not from AuthInfo
        f"AccountingStoragePass={place.munge_socket}" if settings.munge else "",
    ]
    return "\n".join(lines)


def _machines(settings: Settings, place: Place) -> str:
    several = settings.nodes > 1
    last = place.node_port + settings.nodes - 1
    ports = f"[{place.node_port}-{last}]" if several else str(place.node_port)
    gpus = f" Gres=gpu:{settings.gpus}" if settings.gpus else ""
    return (
        ("GresTypes=gpu\n" if settings.gpus else "")
        + f"NodeName={_nodes(settings)} NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports} "
        + f"CPUs={settings.cpus} RealMemory={settings.memory_mb}{gpus} State=UNKNOWN"
    )


def _nodes(settings: Settings) -> str:
    return f"n[1-{settings.nodes}]" if settings.nodes > 1 else "n1"


def gres_conf(settings: Settings) -> str:
    """The fake GPUs; ClusterError when this machine has too few character devices to stand for them."""
    devices = [device for device in DEVICES if Path(device).is_char_device()]
    if settings.gpus > len(devices):
        raise ClusterError(f"gpus: {settings.gpus} is too many. Allowed: 0 to {len(devices)}")
    if not settings.gpus:
        return ""
    return f"NodeName={_nodes(settings)} Name=gpu File={','.join(devices[: settings.gpus])}\n"


def slurmdbd_conf(settings: Settings, place: Place) -> str:
    return f"""\
{_authentication(settings, place)}
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={place.accounting_port}
SlurmUser={_user()}
PidFile={place.folder}/slurmdbd.pid
LogFile={place.folder}/log/slurmdbd.log
DebugLevel=info
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={place.database_port}
StorageUser=root
StorageLoc=slurm_acct
"""


def slurm_conf(settings: Settings, place: Place) -> str:
    """Short scheduling intervals, and three partitions: jobs of `low` are preempted by those of `main` and `high`.

    Every start begins at a higher job id: submitit names its files by job id alone, and would take those of an earlier
    cluster for its own. A preempted job gets SIGUSR2 first and ten seconds to leave.
    """
    folder = place.folder
    return f"""\
ClusterName={settings.name}
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={place.port}
{_authentication(settings, place)}
CredType=cred/{"munge" if settings.munge else "none"}
SlurmUser={_user()}
SlurmdUser={_user()}
FirstJobId={int(time.time()) % 670000 * 100 + 1}
StateSaveLocation={folder}/state
SlurmdSpoolDir={place.sockets}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory,CR_LLN
DefMemPerCPU=512
SlurmdParameters=config_overrides
ReturnToService=2
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=100000,bf_interval=1,bf_continue,\
default_queue_depth=1000
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
JobRequeue=1
KillWait=5
SlurmdTimeout={settings.slurmd_timeout}
MinJobAge=3600
MaxArraySize=10001
MaxJobCount=50000
{_accounting(settings, place)}
{_machines(settings, place)}
PartitionName=main Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF Default=YES
PartitionName=low Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=20 PreemptMode=OFF
{chr(10).join(settings.extra)}
"""


def write(settings: Settings, place: Place) -> None:
    """Write the configuration files into the cluster's folder."""
    place.conf.write_text(slurm_conf(settings, place))
    (place.folder / "gres.conf").write_text(gres_conf(settings))
    if settings.accounting:
        secret = place.folder / "slurmdbd.conf"
        secret.touch(mode=0o600)  # slurmdbd refuses any other mode
        secret.write_text(slurmdbd_conf(settings, place))
