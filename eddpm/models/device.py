"""The device that networks run on."""

import ctypes
import logging
import os
import platform

import torch

logger = logging.getLogger(__name__)

# Parameters of glibc's mallopt, and their values in bytes.
MALLOPT = {-3: 32 * 2**20, -1: 2**31 - 1}  # M_MMAP_THRESHOLD: the most that glibc takes; M_TRIM_THRESHOLD: never


def pick_device() -> torch.device:
    """A GPU if torch can use one. Threads on the CPU follow OMP_NUM_THREADS, which the workflow sets for each job."""
    # float32 means float32; who wants speed asks for half precision.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        _repeat_to_the_bit()
    else:
        _keep_freed_memory()
    return device


def _repeat_to_the_bit() -> None:
    """Let a GPU give the same bits each time, as a CPU does: of its own accord, it adds gradients in any order.

    An operation that cannot do so is an error of torch's.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without which matrix products are refused
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs time, changes nothing


def _keep_freed_memory() -> None:
    """Let this process use freed memory again, as torch does on a GPU.

    glibc gives the memory of each large tensor back to the kernel, which clears every page before it gives it out
    again: a fifth of the time of a small network (benchmarks/sampling.py). The peak stays the same.
    """
    if platform.libc_ver()[0] == "glibc":
        for parameter, value in MALLOPT.items():
            ctypes.CDLL(None).mallopt(parameter, value)


def in_hardware(device: torch.device, dtype: torch.dtype) -> bool:
    """False for half precision on a CPU without instructions for it, where a product takes many times as long as in
    float32."""
    if device.type != "cpu" or dtype not in (torch.bfloat16, torch.float16):
        return True
    name = {torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
    return torch.backends.mkldnn.is_available() and getattr(torch.ops.mkldnn, f"_is_mkldnn_{name}_supported")()


def note_precision(device: torch.device, precision: str) -> None:
    """Say so where a precision is much slower than float32 on this device, since it is mostly chosen for speed."""
    if not in_hardware(device, getattr(torch, precision)):
        logger.info(f"this CPU has no instructions for {precision}: float32 is many times as fast here")


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
