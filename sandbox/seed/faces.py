"""Draws faces for the sandbox's Rekognition: real pictures, the same for the same arguments.

A face is a magenta frame around 8 by 8 grey cells that follow from the person's name. Names with
the same text before "~" are siblings: they look alike, but not alike enough to log in.
"""

import io
import random
from typing import Literal

from PIL import Image, ImageChops, ImageDraw

Kind = Literal["live", "photo_of_photo", "nobody", "two"]
Encoding = Literal["JPEG", "PNG"]
SIDE_PX = 160
JPEG_QUALITY = 80
CELLS = 8
SIBLING_CELLS = 7
"""The cells in which two siblings differ."""
GREYS = (40, 216)
FRAME = (235, 20, 235)
PRINT = (20, 225, 235)
PAPER = (245, 245, 240)
SKIN = (128, 128, 128)
NOISE = 3
INSET = 0.14
"""The distance from the frame's outer edge to the cells, as a part of the frame's side."""
THICKNESS = 0.1
"""The thickness of the frame, as a part of its side."""


def picture(
    name: str,
    *,
    pose: int = 0,
    kind: Kind = "live",
    other: str = "",
    side_px: int = SIDE_PX,
    encoding: Encoding = "JPEG",
) -> bytes:
    """Return a picture of a person, below 20 KB at the default size.

    Another `pose` changes the face's place, size and brightness. "photo_of_photo" shows a printed
    photograph of the face, "nobody" an empty room, "two" the person next to the person `other`.
    """
    dice = random.Random(f"{name}/{pose}/{kind}")
    columns = 2 if kind == "two" else 1
    image = _room((side_px * columns, side_px), dice)
    draw = ImageDraw.Draw(image)
    if kind != "nobody":
        _face(draw, name, (0, side_px), dice, printed=kind == "photo_of_photo")
    if kind == "two":
        _face(draw, other or f"{name} and company", (side_px, side_px), dice, printed=False)
    return _encoded(_noisy(image, dice), encoding)


def _room(size: tuple[int, int], dice: random.Random) -> Image.Image:
    shade = Image.linear_gradient("L").resize(size).point([70 + x // 4 for x in range(256)])
    tint = dice.randrange(20)
    return Image.merge(
        "RGB", (shade, shade.point([x + tint for x in range(236)] + [255] * 20), shade)
    )


def _face(
    draw: ImageDraw.ImageDraw, name: str, at: tuple[int, int], dice: random.Random, *, printed: bool
) -> None:
    """Draw a face into the square that begins at column at[0] and has the side at[1]."""
    start, room = at
    side = round(room * dice.uniform(0.46, 0.5) if printed else room * dice.uniform(0.62, 0.74))
    free = room - side
    left = start + round(free * dice.uniform(0.4, 0.6))
    top = round(free * dice.uniform(0.4, 0.6))
    if printed:
        _frame(draw, (left, top), side, grown=0.36, colour=PRINT)
        _frame(draw, (left, top), side, grown=0.2, colour=PAPER)
    _frame(draw, (left, top), side, grown=0, colour=FRAME)
    _frame(draw, (left, top), side, grown=-THICKNESS, colour=SKIN)
    _draw_cells(draw, identity(name), (left, top), side, light=dice.uniform(0.9, 1.1))


def _frame(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    side: int,
    *,
    grown: float,
    colour: tuple[int, int, int],
) -> None:
    more = round(side * grown)
    left, top = corner
    draw.rectangle(
        (left - more, top - more, left + side + more - 1, top + side + more - 1), fill=colour
    )


def _draw_cells(
    draw: ImageDraw.ImageDraw,
    cells: list[int],
    corner: tuple[int, int],
    side: int,
    *,
    light: float,
) -> None:
    step = side * (1 - 2 * INSET) / CELLS
    left, top = corner[0] + side * INSET, corner[1] + side * INSET
    for index, cell in enumerate(cells):
        row, column = divmod(index, CELLS)
        level = min(255, round(cell * light))
        box = (left + column * step, top + row * step)
        draw.rectangle((*box, box[0] + step - 1, box[1] + step - 1), fill=(level, level, level))


def identity(name: str) -> list[int]:
    """Return the grey levels of a person's cells, row by row."""
    family, sibling, _ = name.partition("~")
    dice = random.Random(family)
    cells = [dice.randrange(*GREYS) for _ in range(CELLS * CELLS)]
    if sibling:
        own = random.Random(name)
        for index in own.sample(range(len(cells)), SIBLING_CELLS):
            darkest, span = GREYS[0], GREYS[1] - GREYS[0]
            cells[index] = darkest + (cells[index] - darkest + span // 2) % span
    return cells


def _noisy(image: Image.Image, dice: random.Random) -> Image.Image:
    size = image.size
    grain = Image.frombytes("L", size, dice.randbytes(size[0] * size[1]))
    grain = grain.point([x % (2 * NOISE + 1) for x in range(256)])
    return Image.merge("RGB", [ImageChops.add(band, grain, 1, -NOISE) for band in image.split()])


def _encoded(image: Image.Image, encoding: Encoding) -> bytes:
    out = io.BytesIO()
    image.save(out, encoding, quality=JPEG_QUALITY)
    return out.getvalue()
