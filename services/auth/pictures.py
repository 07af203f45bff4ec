"""What a picture must be before the face service gets it: JPEG or PNG, of a usual size.

The sides are read from the fixed header alone. Nothing is decompressed, and at most
`MARKERS_MAX` markers are read, so the work does not grow with what a caller sends.
"""

import struct
import zlib
from dataclasses import dataclass, field
from enum import StrEnum

BYTES_MAX = 1_500_000
SIDE_PX_MIN = 80
"""The face service accepts no smaller side."""
SIDE_PX_MAX = 4096
MARKERS_MAX = 256
"""The largest number of markers and fill bytes before the sides of a JPEG. A camera writes about
ten; 1.5 MB of the largest segments are 23."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = b"\0\0\0\x0dIHDR"
"""Length and type of a PNG's first chunk (ISO/IEC 15948)."""
_JPEG = b"\xff\xd8"
_FILL = 0xFF
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers of a frame header, which has the sides (ITU-T T.81, table B.1)."""
_WITHOUT_SEGMENT = frozenset({0x00, 0x01, *range(0xD0, 0xDB)})
"""Markers that have no segment, and the scan (0xDA): after one of them, no frame header follows."""


class PictureFault(StrEnum):
    """What is wrong with a picture."""

    NOT_A_PICTURE = "NOT_A_PICTURE"
    """It is neither JPEG nor PNG, or its header is damaged."""
    TOO_MANY_BYTES = "TOO_MANY_BYTES"
    SIDE_TOO_SHORT = "SIDE_TOO_SHORT"
    SIDE_TOO_LONG = "SIDE_TOO_LONG"


class PictureRefused(Exception):
    """The picture cannot be used. Take a new JPEG or PNG picture of at most 1.5 MB."""

    def __init__(self, fault: PictureFault) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that the face service may get. Making one raises PictureRefused for any other."""

    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if fault := check_picture(self.data):
            raise PictureRefused(fault)


def check_picture(data: bytes) -> PictureFault | None:
    """Return what is wrong with a picture; None for one that the face service may get."""
    if len(data) > BYTES_MAX:
        return PictureFault.TOO_MANY_BYTES
    sides = sides_of(data)
    if sides is None:
        return PictureFault.NOT_A_PICTURE
    if max(sides) > SIDE_PX_MAX:
        return PictureFault.SIDE_TOO_LONG
    return PictureFault.SIDE_TOO_SHORT if min(sides) < SIDE_PX_MIN else None


def sides_of(data: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels; None for what is neither a PNG nor a JPEG."""
    if data[:8] == _PNG:
        return _png_sides(data[8:33])
    return _jpeg_sides(data) if data[:2] == _JPEG else None


def _png_sides(header: bytes) -> tuple[int, int] | None:
    """Return the sides in the first chunk: length, type, 13 bytes and their checksum."""
    if len(header) != 25 or header[:8] != _PNG_HEADER:
        return None
    width, height, checksum = struct.unpack(">8xII5xI", header)
    return (width, height) if zlib.crc32(header[4:21]) == checksum else None


def _jpeg_sides(data: bytes) -> tuple[int, int] | None:
    """Return the sides in the first frame header, which follows segments of known lengths."""
    place = len(_JPEG)
    for _ in range(MARKERS_MAX):
        start = data[place : place + 9]
        if len(start) < 9 or start[0] != _FILL:
            return None
        marker, length = start[1], int.from_bytes(start[2:4])
        if marker == _FILL:
            place += 1
            continue
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", start[5:9])
            return width, height
        if marker in _WITHOUT_SEGMENT or length < 2:
            return None
        place += 2 + length
    return None
