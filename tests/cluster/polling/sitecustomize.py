"""Snakemake asks Slurm for news every second. Left alone it waits 10 s longer after each question without any.

Its jobs are started by $STAND_IN, where there is one (tests/forks.py).
"""

import os
import sys

from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

RemoteExecutor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, seconds: None)
sys.executable = os.environ.get("STAND_IN", sys.executable)
