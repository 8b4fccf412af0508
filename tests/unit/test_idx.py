import gzip
import io
import struct

import numpy as np
import pytest

from fashion.errors import DataError
from fashion.images.idx import read_idx, write_idx

IMAGES = np.arange(2 * 5 * 3, dtype=np.uint8).reshape(2, 5, 3)


def read(content: bytes, dimensions: int = 3):
    return read_idx(io.BytesIO(content), "data/some.gz", dimensions)


def compressed(*parts: bytes) -> bytes:
    return gzip.compress(b"".join(parts))


@pytest.mark.parametrize("array", [IMAGES, IMAGES[0, 0], np.empty((0, 5, 3), np.uint8)])
def test_what_was_written_is_read_again(array):
    again = read(write_idx(array), array.ndim)
    assert again.dtype == np.uint8
    np.testing.assert_array_equal(again, array)


def test_the_same_array_gives_the_same_bytes():
    assert write_idx(IMAGES) == write_idx(IMAGES.copy(order="F"))


def test_labels_in_the_place_of_images_are_told_by_their_magic_number():
    with pytest.raises(DataError, match=r"data/some.gz: expected the magic number 0x00000803 .*, found 0x00000801"):
        read(write_idx(IMAGES[0, 0]))


def test_a_truncated_file_is_named_in_the_error():
    content = write_idx(IMAGES)
    for length in (5, len(content) // 2, len(content) - 1):
        with pytest.raises(DataError, match=r"data/some.gz: .*truncated"):
            read(content[:length])


def test_an_empty_file_is_named_in_the_error():
    with pytest.raises(DataError, match="data/some.gz: .*empty"):
        read(b"")
    with pytest.raises(DataError, match="data/some.gz: .*found an empty file"):
        read(compressed())


def test_a_file_that_is_no_gzip_is_named_in_the_error():
    with pytest.raises(DataError, match=r"data/some.gz: expected a gzip file"):
        read(b"<html>404 not found</html>")


def test_an_altered_byte_is_found_by_the_checksum_of_gzip():
    content = bytearray(write_idx(np.arange(256, dtype=np.uint8)))
    content[len(content) // 2] ^= 1
    with pytest.raises(DataError, match=r"data/some.gz: "):
        read(bytes(content), 1)


def test_a_header_cut_short_is_named_in_the_error():
    with pytest.raises(DataError, match="data/some.gz: expected a header of 16 bytes, found 8"):
        read(compressed(struct.pack(">II", 0x803, 2)))


@pytest.mark.parametrize(("present", "found"), [(29, "contains 29"), (31, "contains more than 30")])
def test_a_header_and_a_content_that_disagree_in_size_are_told_apart(present, found):
    header = struct.pack(">IIII", 0x803, 2, 5, 3)
    with pytest.raises(DataError, match=f"data/some.gz: the header claims 30 bytes .*{found}"):
        read(compressed(header, bytes(present)))


def test_a_header_that_claims_a_billion_images_is_refused():
    with pytest.raises(DataError, match="the file is not read"):
        read(compressed(struct.pack(">IIII", 0x803, 10**9, 28, 28)))
