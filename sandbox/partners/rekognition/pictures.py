"""The picture language: how the sandbox finds and compares faces in real PNG and JPEG pictures.

A face is a square with a magenta frame around 8 by 8 grey cells; the cells are the identity. A
printed photograph has a cyan frame around the face. Two faces are as similar as the grey levels of
their cells correlate, so brightness, size, place, noise and JPEG compression change little.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageChops

from sandbox.partners.rekognition.errors import AwsError, invalid_parameter

FORMATS = ("PNG", "JPEG")
BYTES_MAX = 5 * 1024 * 1024
"""The limit of the real service for a picture that a request contains."""
PIXELS_MAX = 4096 * 4096
SIDE_PX_MIN = 80
"""The smallest side that the real service accepts."""
WORK_PX = 256
"""Faces are searched in a picture of this size."""
FACES_MAX = 100
CELLS = 8
SAMPLES = 3
"""Samples in a row of a cell. Only the middle one counts, so a frame may be found a little off."""
INSET = 0.14
"""The distance from the frame's outer edge to the cells, as a part of the frame's side."""
FRAME_PX_MIN = 16
ASPECT_MIN, ASPECT_MAX = 0.7, 1.4
COVER_MIN, COVER_MAX = 0.12, 0.6
"""The part of its box that a frame covers; a full square covers 1, a single line almost 0."""
_LOW, _HIGH = 110, 150
_CURVE = ((-1.0, 0.0), (0.0, 1.0), (0.5, 50.0), (0.7, 80.0), (0.9, 97.0), (0.95, 99.0), (1.0, 100))
"""Correlation of the cells -> similarity in percent; linear between two points."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in parts of the picture's width and height, as AWS's BoundingBox."""

    left: float
    top: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """The part of the picture that the box covers."""
        return self.width * self.height

    def contains(self, other: "Box") -> bool:
        """Return whether another box is inside this one."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.left + self.width >= other.left + other.width
            and self.top + self.height >= other.top + other.height
        )

    def view(self) -> dict[str, float]:
        """Return the box as the API shows it."""
        return {
            "Width": self.width,
            "Height": self.height,
            "Left": self.left,
            "Top": self.top,
        }


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a picture: its box, the grey levels of its cells, and whether it is printed."""

    box: Box
    cells: tuple[int, ...]
    printed: bool


def faces(data: bytes) -> list[Face]:
    """Return the faces in a picture, the largest first; raise AwsError for an unusable picture."""
    image = _decoded(data)
    prints = list(_frames(image, _is_cyan))
    found = [
        Face(box, _cells(image, box), any(each.contains(box) for each in prints))
        for box in _frames(image, _is_magenta)
    ]
    return sorted(found, key=lambda face: face.box.area, reverse=True)[:FACES_MAX]


def shrunk(data: bytes) -> bytes:
    """Return a picture as a small JPEG, as the real service cuts one out of a video."""
    out = io.BytesIO()
    _decoded(data).save(out, "JPEG", quality=90)
    return out.getvalue()


def similarity(one: Face, other: Face) -> float:
    """Return how similar two faces are, in percent."""
    x = _correlation(one.cells, other.cells)
    for (x0, y0), (x1, y1) in pairwise(_CURVE):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return _CURVE[-1][1]


def _decoded(data: bytes) -> Image.Image:
    """Return a picture of at most WORK_PX; the header is checked before pixels are decoded."""
    if len(data) > BYTES_MAX:
        raise AwsError("ImageTooLargeException", "Image exceeds the limit of 5 MB")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if min(image.size) < SIDE_PX_MIN or image.width * image.height > PIXELS_MAX:
                raise invalid_parameter()
            image.draft("RGB", (2 * WORK_PX, 2 * WORK_PX))
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise AwsError("InvalidImageFormatException", "Request has invalid image format") from error
    small.thumbnail((WORK_PX, WORK_PX), Image.Resampling.BOX)
    return small


def _is_magenta(red: Image.Image, green: Image.Image, blue: Image.Image) -> Image.Image:
    return ImageChops.darker(ImageChops.darker(_bright(red), _dark(green)), _bright(blue))


def _is_cyan(red: Image.Image, green: Image.Image, blue: Image.Image) -> Image.Image:
    return ImageChops.darker(ImageChops.darker(_dark(red), _bright(green)), _bright(blue))


def _bright(band: Image.Image) -> Image.Image:
    return band.point([0] * _HIGH + [1] * (256 - _HIGH))


def _dark(band: Image.Image) -> Image.Image:
    return band.point([1] * _LOW + [0] * (256 - _LOW))


def _frames(image: Image.Image, coloured: Callable[..., Image.Image]) -> Iterator[Box]:
    """Yield the boxes of hollow squares of one colour."""
    mask = coloured(*image.split())
    width, height = image.size
    for pixels, (left, top, right, bottom) in _patches(bytearray(mask.tobytes()), width):
        across, down = right - left, bottom - top
        if min(across, down) < FRAME_PX_MIN or not ASPECT_MIN < across / down < ASPECT_MAX:
            continue
        if not COVER_MIN < pixels / (across * down) < COVER_MAX:
            continue
        inner = (left + across // 4, top + down // 4, right - across // 4, bottom - down // 4)
        if mask.crop(inner).getbbox() is None:
            yield Box(left / width, top / height, across / width, down / height)


def _patches(mask: bytearray, width: int) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """Yield the size and the box of each group of neighbouring pixels; clear the mask."""
    start = mask.find(1)
    while start >= 0:
        mask[start] = 0
        waiting, pixels = [start], 0
        left, right, bottom = start % width, start % width, start // width
        while waiting:
            at = waiting.pop()
            pixels += 1
            column, row = at % width, at // width
            left, right, bottom = min(left, column), max(right, column), max(bottom, row)
            for near in _neighbours(at, column, width, len(mask)):
                if mask[near]:
                    mask[near] = 0
                    waiting.append(near)
        yield pixels, (left, start // width, right + 1, bottom + 1)
        start = mask.find(1, start)


def _neighbours(at: int, column: int, width: int, size: int) -> Iterator[int]:
    if column > 0:
        yield at - 1
    if column < width - 1:
        yield at + 1
    if at >= width:
        yield at - width
    if at + width < size:
        yield at + width


def _cells(image: Image.Image, box: Box) -> tuple[int, ...]:
    width, height = image.size
    left, top = (box.left + INSET * box.width) * width, (box.top + INSET * box.height) * height
    across, down = (1 - 2 * INSET) * box.width * width, (1 - 2 * INSET) * box.height * height
    side = CELLS * SAMPLES
    area = (left, top, left + across, top + down)
    grey = image.convert("L").resize((side, side), Image.Resampling.BOX, box=area).tobytes()
    middle = SAMPLES // 2
    return tuple(
        grey[row * side + column]
        for row in range(middle, side, SAMPLES)
        for column in range(middle, side, SAMPLES)
    )


def _correlation(xs: tuple[int, ...], ys: tuple[int, ...]) -> float:
    """Return Pearson's correlation; 0 for a face of one grey level, which resembles no other."""
    x0, y0 = sum(xs) / len(xs), sum(ys) / len(ys)
    both = sum((x - x0) * (y - y0) for x, y in zip(xs, ys, strict=True))
    spread = sum((x - x0) ** 2 for x in xs) * sum((y - y0) ** 2 for y in ys)
    return min(1.0, both / spread**0.5) if spread else 0.0
