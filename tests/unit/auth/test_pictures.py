"""Which pictures the bank accepts. It reads their sides with little work from any bytes."""

import io
import struct
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sandbox.seed.faces import picture
from services.auth.pictures import (
    BYTES_MAX,
    MARKERS_MAX,
    Picture,
    PictureFault,
    PictureRefused,
    check_picture,
    sides_of,
)

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
READ_BYTES_MAX = 16 * MARKERS_MAX
MEMORY_BYTES_MAX = 16_384
MEGABYTE = zlib.compress(bytes(1_000_000), 9)
"""A thousand bytes that decompress to a million."""
INFLATED = {
    "zTXt": b"a\0\0" + MEGABYTE,
    "iTXt": b"a\0\1\0\0\0" + MEGABYTE,
    "iCCP": b"a\0\0" + MEGABYTE,
}
"""Chunks that are no pixels, which a usual reader of PNG decompresses."""


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, between: bytes = b"") -> bytes:
    """Return a PNG; `between` comes before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return PNG + header + between + chunk(b"IDAT", MEGABYTE) + chunk(b"IEND", b"")


def sized(width: int, height: int, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("L", (width, height)).save(out, form, **options)
    return out.getvalue()


def with_segments(count: int, segment: bytes = b"\xff\xe1\0\2") -> bytes:
    """Return a JPEG with so many segments before those of a usual one."""
    usual = sized(200, 100, "JPEG")
    return JPEG + segment * count + usual[len(JPEG) :]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (picture("ana"), None),
        (picture("ana", encoding="PNG"), None),
        (sized(80, 4096), None),
        (sized(79, 200), PictureFault.SIDE_TOO_SHORT),
        (sized(80, 4097), PictureFault.SIDE_TOO_LONG),
        (png(0, 200), PictureFault.SIDE_TOO_SHORT),
        (png(5_000, 5_000), PictureFault.SIDE_TOO_LONG),
        (png(2**32 - 1, 2**32 - 1), PictureFault.SIDE_TOO_LONG),
        (b"", PictureFault.NOT_A_PICTURE),
        (PNG + bytes(100), PictureFault.NOT_A_PICTURE),
        (JPEG + bytes(100), PictureFault.NOT_A_PICTURE),
        (JPEG + b"\xff\xd9" + bytes(100), PictureFault.NOT_A_PICTURE),
        (sized(200, 200, "GIF"), PictureFault.NOT_A_PICTURE),
        (sized(200, 200, "BMP"), PictureFault.NOT_A_PICTURE),
        (picture("ana")[:20], PictureFault.NOT_A_PICTURE),
        (picture("ana", encoding="PNG")[:32], PictureFault.NOT_A_PICTURE),
        (sized(200, 200) + bytes(BYTES_MAX), PictureFault.TOO_MANY_BYTES),
        (bytes(5 * 1024 * 1024), PictureFault.TOO_MANY_BYTES),
    ],
)
def test_only_a_jpeg_or_png_of_a_usual_size_is_accepted(
    data: bytes, fault: PictureFault | None
) -> None:
    assert check_picture(data) is fault


def test_a_picture_that_is_not_accepted_cannot_be_made() -> None:
    """So what holds a Picture needs no further check."""
    assert Picture(picture("ana")).data == picture("ana")
    with pytest.raises(PictureRefused) as refused:
        Picture(b"<svg/>")
    assert refused.value.fault is PictureFault.NOT_A_PICTURE


@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from(["PNG", "JPEG"]),
    st.fixed_dictionaries(
        {},
        optional={
            "progressive": st.booleans(),
            "quality": st.integers(1, 95),
            "icc_profile": st.binary(min_size=1, max_size=200_000),
            "exif": st.binary(min_size=1, max_size=60_000),
            "comment": st.binary(min_size=1, max_size=60_000),
            "restart_marker_rows": st.integers(1, 4),
        },
    ),
)
def test_the_sides_are_those_that_pillow_wrote(
    width: int, height: int, form: str, options: dict[str, Any]
) -> None:
    assert sides_of(sized(width, height, form, **options)) == (width, height)


@pytest.mark.parametrize("kind", INFLATED)
def test_nothing_in_a_png_is_decompressed(kind: str) -> None:
    """1.4 MB of such chunks take a usual reader seconds, in which no other call is served."""
    one = chunk(kind.encode(), INFLATED[kind])
    data = png(200, 200, one * (1_400_000 // len(one)))
    assert len(data) > 1_300_000
    tracemalloc.start()
    try:
        assert check_picture(data) is None
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES_MAX
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("segment", [b"\xff\xe1\0\2", b"\xff"], ids=["segments", "fill"])
def test_a_jpeg_has_its_sides_after_a_bounded_number_of_markers(segment: bytes) -> None:
    before = with_segments(0).index(b"\xff\xc0")
    usual = sum(
        with_segments(0)[len(JPEG) : before].count(kind) for kind in (b"\xff\xe0", b"\xff\xdb")
    )
    fits = MARKERS_MAX - usual - 1
    assert sides_of(with_segments(fits, segment)) == (200, 100)
    assert sides_of(with_segments(fits + 1, segment)) is None


class Counted(bytes):
    """Bytes that count how many of them are read."""

    read = 0

    def __getitem__(self, place: Any) -> Any:
        got = super().__getitem__(place)
        self.read += len(got) if isinstance(got, bytes) else 1
        return got


HEADS = [b"", JPEG, JPEG + b"\xff", PNG, png(200, 200)[:33], with_segments(3)]
PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"\xff", b"\xff\xe1\0\2", b"\xff\xe1\0\0", b"\xff\xc0\0\x11\x08", bytes(100)]),
)


@given(st.sampled_from(HEADS), PIECES, st.integers(0, 40_000), PIECES)
def test_any_bytes_are_accepted_or_have_a_fault_after_few_reads(
    head: bytes, piece: bytes, times: int, tail: bytes
) -> None:
    data = Counted(head + piece * times + tail)
    assert check_picture(data) in (None, *PictureFault)
    assert data.read <= READ_BYTES_MAX


@given(st.sampled_from(["JPEG", "PNG"]), st.integers(0, 2000), st.integers(0, 255))
def test_a_damaged_picture_is_accepted_or_has_a_fault(form: Any, place: int, value: int) -> None:
    data = bytearray(picture("ana", encoding=form))
    data[place % len(data)] = value
    assert check_picture(bytes(data)) in (None, *PictureFault)
