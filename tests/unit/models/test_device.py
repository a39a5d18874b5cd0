import platform
import resource

import pytest
import torch

from eddpm.models import device
from eddpm.models.device import in_hardware, note_precision, pick_device


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's allocator")
def test_memory_of_a_freed_tensor_on_the_cpu_is_used_again():
    if pick_device().type != "cpu":
        pytest.skip("torch keeps the memory of a GPU itself")

    def new_pages() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(4 * 2**20)  # 16 MiB: 4,096 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    assert [new_pages() for _ in range(50)][-1] < 100  # the first ones may find no hole that is large enough


def test_half_precision_without_instructions_for_it_is_said_to_be_slow(monkeypatch, caplog):
    cpu = torch.device("cpu")
    assert in_hardware(cpu, torch.float32)
    assert in_hardware(torch.device("cuda"), torch.float16)
    for found in (True, False):
        monkeypatch.setattr(device, "in_hardware", lambda device, dtype, found=found: found)
        with caplog.at_level("INFO"):
            note_precision(cpu, "bfloat16")
        assert ("no instructions for bfloat16" in caplog.text) is not found
