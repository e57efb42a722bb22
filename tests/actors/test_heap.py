"""What is freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

from prl_ray.actors.heap import release_free_memory

HOLES = """
import ctypes
from prl_ray.actors.heap import release_free_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) // 256

before, large = resident_mb(), []
for _ in range(2000):
    large.append(libc.malloc(100_000))
    ctypes.memset(large[-1], 1, 100_000)
    libc.malloc(64)  # stays, so that the heap cannot shrink from its end
for block in large:
    libc.free(block)
freed = resident_mb()
assert release_free_memory()
print(before, freed, resident_mb())
"""


def test_holes_in_the_heap_are_given_back() -> None:
    if not release_free_memory():
        pytest.skip("this C library has no malloc_trim")
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, timeout=60, check=True)
    before, freed, released = map(int, done.stdout.split())
    assert freed - before > 150, "glibc keeps it"
    assert released - before < 30
