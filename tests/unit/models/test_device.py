import platform
import resource

import pytest
import torch

from eddpm.models.device import pick_device


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's allocator")
def test_memory_of_a_freed_tensor_on_the_cpu_is_used_again():
    if pick_device().type != "cpu":
        pytest.skip("torch keeps the memory of a GPU itself")

    def new_pages() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(4 * 2**20)  # 16 MiB: 4,096 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    assert [new_pages() for _ in range(50)][-1] < 100  # the first ones may find no hole that is large enough
