"""A private Slurm of one node on this machine, with GPUs that exist only for its scheduler.

Keys, sockets, ports, state and logs are its own: no installed Slurm is touched, and several can run side by side.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
CPUS, MEMORY_MB, GPUS = 64, 256_000, 8  # promised to jobs, whatever the machine has
PATH = f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin"

# A job is killed 2 s after it was asked to stop, be it at its time limit, and stays on record. One that is queued again
# may start after 5 s, the least that credentials can last.
# config_overrides: the node has the CPUs and the memory that are given here.
CONFIG = """\
ClusterName=test{controller_port}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
GresTypes=gpu
OverTimeLimit=0
KillWait=2
MinJobAge=3600
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:{gpus}
PartitionName=cpu Nodes={host} Default=YES MaxTime=1-0
PartitionName=gpu Nodes={host} MaxTime=1-0
"""


def unavailable() -> str:
    """Why no Slurm can run here; empty if one can."""
    missing = [program for program in PROGRAMS if not shutil.which(program, path=PATH)]
    if missing:
        return f"needs {', '.join(missing)} (apt-get install munge slurmctld slurmd slurm-client)"
    return "needs root, as whom Slurm's daemons run" if os.geteuid() else ""


class Slurm:
    """The daemons, from `start` to `stop`, and what one asks of them."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short: it holds a socket
        self._daemons: list[subprocess.Popen] = []
        self.environment = os.environ | {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.folder}/bin:{PATH}",
        }

    def start(self) -> None:
        self._write_files()
        socket_option = ("--socket", self.folder / "munge.socket")
        self._launch(
            *("munged", "--foreground", "--force", *socket_option, "--key-file", self.folder / "munge.key"),
            *("--pid-file", self.folder / "munged.pid", "--seed-file", self.folder / "munged.seed"),
        )
        self._wait_for("munged", lambda: self._works("munge", *socket_option, "--no-input"))
        self._launch("slurmctld", "-D", "-i")
        self._wait_for("slurmctld", lambda: "is UP" in self._ask("scontrol", "ping"))
        self._launch("slurmd", "-D")
        self._wait_for("slurmd", lambda: "State=IDLE" in self._ask("scontrol", "show", "node"))

    def stop(self) -> None:
        """End the jobs, then the daemons, then whatever process is left of them, and remove every file."""
        if len(self._daemons) == 3 and all(daemon.poll() is None for daemon in self._daemons):
            self._works("scancel", "--user=root")
            deadline = time.monotonic() + 15
            while self._ask("squeue", "--noheader") and time.monotonic() < deadline:
                time.sleep(0.2)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder)

    def jobs(self) -> list[dict[str, str]]:
        """Every job since the start, ended ones too, oldest first, as `scontrol show job` tells of it."""
        lines = self._ask("scontrol", "show", "job", "--details", "--oneliner").splitlines()
        jobs = [dict(re.findall(r"([\w:/]+)=(\S*)", line)) for line in lines if line.startswith("JobId=")]
        return sorted(jobs, key=lambda job: int(job["JobId"]))

    def run(self, *command: str) -> None:
        subprocess.run(command, env=self.environment, check=True)

    def processes(self, *words: str) -> list[int]:
        """The processes that were started for this Slurm, by it or by others, with all of `words` in their command."""
        mark = f"SLURM_CONF={self.environment['SLURM_CONF']}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
                command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:  # it has just ended
                continue
            if mark in environment and set(words) <= set(command):
                found.append(int(entry.name))
        return found

    def _write_files(self) -> None:
        for name in ("bin", "state", "spool"):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        controller_port, node_port = _free_ports(2)
        configuration = CONFIG.format(
            folder=self.folder,
            host=socket.gethostname().split(".")[0],
            controller_port=controller_port,
            node_port=node_port,
            cpus=CPUS,
            memory_mb=MEMORY_MB,
            gpus=GPUS,
        )
        (self.folder / "slurm.conf").write_text(configuration)
        for number in range(GPUS):  # a GPU is any character device
            (self.folder / f"gpu{number}").symlink_to("/dev/null")
        (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpu[0-{GPUS - 1}]\n")
        # Snakemake takes SLURM_CONF out of the environment in which a job starts its step.
        wrapper = self.folder / "bin/srun"
        real = shutil.which("srun", path=PATH)
        wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {real} "$@"\n')
        wrapper.chmod(0o755)

    def _launch(self, name: str, *arguments: str | Path) -> None:
        with open(self.folder / f"{name}.out", "wb") as output:
            daemon = subprocess.Popen(
                [shutil.which(name, path=PATH), *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the daemons
            )
        self._daemons.append(daemon)

    def _wait_for(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not ready():
            if self._daemons[-1].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start:\n{(self.folder / f'{name}.out').read_text()[-3000:]}")
            time.sleep(0.1)

    def _works(self, *command: str | Path) -> bool:
        return subprocess.run(command, env=self.environment, capture_output=True, check=False).returncode == 0

    def _ask(self, *command: str) -> str:
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False).stdout


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
