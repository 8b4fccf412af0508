"""Whether the memory of what is freed goes back to the system, in a process of its own each."""

import os
import subprocess
import sys

import pytest

PICTURES = """
import sys
import numpy as np
import psutil
from fashion.serving.memory import return_what_is_freed

MEBIBYTE = 1 << 20
if sys.argv[1] == "returned":
    return_what_is_freed()
np.ones(30 * MEBIBYTE, np.uint8)  # The largest one; from then on glibc keeps what is smaller.
before = psutil.Process().memory_info().rss
kept, pictures = [], []
for _ in range(10):
    pictures.append(np.ones(20 * MEBIBYTE, np.uint8))
    kept.append(bytearray(200_000))  # Something that lives on lies between them.
pictures.clear()
print((psutil.Process().memory_info().rss - before) // MEBIBYTE)
"""


@pytest.mark.skipif(not os.confstr("CS_GNU_LIBC_VERSION"), reason="another C library than glibc keeps other habits")
def test_what_pictures_took_goes_back_as_they_are_freed_and_would_not_otherwise():
    kept, returned = (
        int(subprocess.run([sys.executable, "-c", PICTURES, how], check=True, capture_output=True, text=True).stdout)
        for how in ("kept", "returned")
    )
    assert kept > 100 > 20 > returned
