"""The device that networks run on."""

import torch


def pick_device() -> torch.device:
    """A GPU if torch can use one. Threads on the CPU follow OMP_NUM_THREADS, which the workflow sets for each job."""
    # float32 means float32; who wants speed asks for half precision.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
