"""Stand-ins of `snakemake` and `python -m eddpm` that start at once: forks of one process that has imported both.

A stand-in hands its arguments, folder, environment and open files to the process that serves them, and ends with the
exit code of the fork. A kill does not reach the fork: tests that kill start the real programs, or look for the
forks (`faults/experiment.py`), children of the process whose number is in the file `pid`.

    with serving(folder) as programs:  # a folder for PATH
        ...
"""

import atexit
import gc
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

REPO = Path(__file__).parents[1]
ENDED = 137  # the exit code of a fork that could not say its own

STAND_IN = f"""\
#!{os.path.realpath(sys.executable)} -IS
import json, os, socket, sys
module, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
if module == "python":
    if arguments[:1] != ["-m"] or arguments[1:2] not in (["eddpm"], ["snakemake"]):
        os.execv({sys.executable!r}, [{sys.executable!r}, *arguments])
    module, arguments = arguments[1], arguments[2:]
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(os.path.dirname(os.path.abspath(sys.argv[0])) + "/socket")
    request = json.dumps([module, arguments, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(request)
    code = connection.recv(1)
    connection.recv(1)  # nothing, once the fork is gone
sys.exit(code[0] if code else {ENDED})
"""


@contextmanager
def serving(folder: Path, repo: Path = REPO) -> Iterator[Path]:
    """The folder of the stand-ins, while they are served, of the package in `repo`."""
    for name in ("python", "snakemake"):
        (folder / name).write_text(STAND_IN)
        (folder / name).chmod(0o755)
    # Of a job that has more threads than the machine has cores, those that wait must not spin.
    environment = os.environ | {"PYTHONPATH": str(repo), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    server = subprocess.Popen([sys.executable, __file__, folder], env=environment, **how)
    try:
        assert server.stdout.readline() == "ready\n"
        yield folder
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # with forks that a failed test has left
        server.wait()


def serve(folder: Path) -> None:
    """Answer the stand-ins of `folder`; each fork becomes its program, and ends."""
    import snakemake.cli
    import torch

    import eddpm.cli
    import eddpm.stages

    for stage in pkgutil.iter_modules(eddpm.stages.__path__):
        import_module(f"eddpm.stages.{stage.name}")

    snakemake.cli.get_argument_parser()  # which imports plugins
    gc.freeze()  # what forks share, they need not look through
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where tests run in the background, without one
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/socket")
    listener.listen()
    (folder / "pid").write_text(str(os.getpid()))
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:  # its other end is closed: the tests have ended
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            break
        connection.close()
    listener.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    module, arguments = _take_over(connection)
    sys.argv[:] = [module, *arguments]
    if module == "snakemake":
        sys.executable = f"{folder}/python"  # whose folder comes first in the PATH of its jobs
        program = snakemake.cli.main
    else:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        program = eddpm.cli.main
    try:
        code = program(arguments) or 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    connection.send(bytes([code]))
    os._exit(code)  # to take all that was imported apart would cost two seconds


def _take_over(connection: socket.socket) -> tuple[str, list[str]]:
    """Become what the stand-in is, in its folder and environment, with its open files; its module and arguments."""
    size, files, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as request:
        module, arguments, where, environment = json.loads(request.read(int.from_bytes(size, "big")))
    for file, standard in zip(files, range(3), strict=True):
        os.dup2(file, standard)
        os.close(file)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(where)
    os.environ.clear()
    os.environ.update(environment)
    return module, arguments


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
