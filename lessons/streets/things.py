"""What stands and moves in a drawn street, each thing with the random draws of its looks."""

from collections.abc import Sequence

import numpy as np

from lessons.streets.canvas import Canvas, Point, Rgb
from lessons.streets.classes import (
    BUILDING,
    CAR,
    CYCLIST,
    FENCE,
    PEDESTRIAN,
    POLE,
    SIGN,
    TREE,
    VOID,
)

Draws = np.random.Generator
WALLS = [(0.62, 0.36, 0.28), (0.78, 0.72, 0.6), (0.55, 0.55, 0.56), (0.85, 0.84, 0.8)]
WALLS += [(0.45, 0.34, 0.26), (0.7, 0.6, 0.42), (0.5, 0.58, 0.66), (0.38, 0.4, 0.36)]
LEAVES = [(0.2, 0.36, 0.12), (0.3, 0.42, 0.16), (0.13, 0.27, 0.13), (0.45, 0.42, 0.14)]
LEAVES += [(0.5, 0.3, 0.12), (0.35, 0.28, 0.2)]
BODIES = [(0.85, 0.85, 0.85), (0.6, 0.61, 0.63), (0.12, 0.12, 0.14), (0.15, 0.25, 0.5)]
BODIES += [(0.6, 0.1, 0.1), (0.2, 0.36, 0.24), (0.35, 0.36, 0.38), (0.75, 0.65, 0.3)]
FENCES = [(0.3, 0.42, 0.3), (0.5, 0.5, 0.5), (0.42, 0.3, 0.2), (0.2, 0.2, 0.22), (0.8, 0.78, 0.74)]
POSTS = [(0.45, 0.46, 0.46), (0.2, 0.22, 0.22), (0.3, 0.36, 0.32), (0.6, 0.58, 0.54)]
PLATES = [(0.8, 0.1, 0.1), (0.1, 0.25, 0.65), (0.9, 0.8, 0.15), (0.92, 0.92, 0.9), (0.1, 0.4, 0.2)]
SKINS = [(0.85, 0.66, 0.55), (0.55, 0.38, 0.28), (0.34, 0.23, 0.17)]
GLASS = [(0.12, 0.15, 0.18), (0.3, 0.38, 0.45), (0.55, 0.62, 0.68)]


def one(rng: Draws, colours: Sequence[Rgb], spread: float = 0.06) -> Rgb:
    """One of the colours, a little changed."""
    rgb = np.array(colours[int(rng.integers(len(colours)))]) * rng.uniform(0.8, 1.2)
    r, g, b = (rgb + rng.normal(0, spread, 3)).clip(0.03, 0.97).tolist()
    return r, g, b


def darker(rgb: Rgb, by: float) -> Rgb:
    """The same colour with less light."""
    return rgb[0] * by, rgb[1] * by, rgb[2] * by


def any_colour(rng: Draws) -> Rgb:
    """Any colour, mostly a dull one."""
    grey = rng.uniform(0.08, 0.85)
    return one(rng, [(grey, grey, grey)], 0.14)


def building(c: Canvas, rng: Draws, x: float, z: Point, height: float) -> None:
    """A house whose wall is along the street at `x`; further out lies its other wall."""
    wall = one(rng, WALLS)
    texture = "courses" if rng.random() < 0.4 else "spots"
    lit = rng.uniform(0.6, 1.0, 2)
    out = x + np.sign(x) * 14
    side = c.paint(BUILDING, darker(wall, lit[0]), texture, rng.uniform(0.04, 0.14), z[0])
    along = c.paint(BUILDING, darker(wall, lit[1]), texture, rng.uniform(0.04, 0.14), z[0] + 4)
    c.front((x, out), (0, height), z[0], side)
    c.wall(x, (0, height), z, along)
    if rng.random() < 0.5:  # a roof that slopes away
        roof = c.paint(BUILDING, one(rng, [(0.4, 0.24, 0.2), (0.3, 0.3, 0.32)]), "slats", 0.1, z[0])
        back, top = x + np.sign(x) * 3, height + rng.uniform(1.5, 4)
        ends = [(x, height, z[0]), (x, height, z[1]), (back, top, z[1]), (back, top, z[0])]
        c.face(ends, roof)
        c.face([(x, height, z[0]), (back, top, z[0]), (out, height, z[0])], roof)
    glass, door = (c.paint(BUILDING, one(rng, GLASS), "grain", 0.06, z[0]) for _ in range(2))
    pitch, floor = rng.uniform(1.8, 3.5), rng.uniform(2.8, 3.6)
    wide, tall = rng.uniform(0.35, 0.7) * pitch, rng.uniform(0.4, 0.65) * floor
    for story in range(int(height / floor)):
        low = story * floor + 0.25 * floor
        for at in np.arange(z[0] + 0.4, z[1] - wide, pitch):
            c.wall(x, (low, low + tall), (at, at + wide), glass if story else door)
        for at in np.arange(1.0, 12.0, pitch):
            left = x + np.sign(x) * at
            c.front((left, left + np.sign(x) * wide), (low, low + tall), z[0], glass)


def tree(c: Canvas, rng: Draws, x: float, z: float, height: float) -> None:
    """A trunk and a ragged crown; in winter a thin one."""
    leaf = one(rng, LEAVES, 0.03)
    bark = one(rng, [(0.25, 0.2, 0.16), (0.38, 0.33, 0.27)], 0.02)
    trunk = c.paint(TREE, bark, "leaves", 0.2, z)
    px = c.camera.focal / z
    foot, top = c.camera.see((x, 0, z)), c.camera.see((x, height * 0.6, z))
    c.stroke([foot, top], max(2.0, rng.uniform(0.2, 0.45) * px), trunk)
    paints = [
        c.paint(TREE, darker(leaf, light), "leaves", rng.uniform(0.15, 0.3), z)
        for light in (0.6, 0.8, 1.0, 1.2)
    ]
    wide = height * rng.uniform(0.22, 0.36)
    for i in range(int(rng.integers(18, 34))):
        angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.9) ** 0.6
        at = (x + np.cos(angle) * far * wide, height * 0.66 + np.sin(angle) * far * wide * 1.05, z)
        size = rng.uniform(0.28, 0.5) * wide * px
        c.ellipse(c.camera.see(at), (size, size * rng.uniform(0.6, 1)), paints[i % 4])


def hedge(c: Canvas, rng: Draws, x: float, z: Point, height: float) -> None:
    """Bushes along the street, with an uneven top."""
    rgb = one(rng, LEAVES, 0.03)
    paint = c.paint(TREE, rgb, "leaves", 0.25, z[0])
    c.wall(x, (0, height), z, paint)
    c.front((x, x + np.sign(x) * 14), (0, height), z[0], paint)
    for at in np.arange(z[0], z[1], 0.7):
        px = c.camera.focal / at
        where = c.camera.see((x, height * rng.uniform(0.85, 1.05), at))
        c.ellipse(where, (0.6 * px, 0.5 * px), paint)


def fence(c: Canvas, rng: Draws, x: float, z: Point, height: float) -> None:
    """Boards, or bars before something dark or light."""
    rgb = one(rng, FENCES)
    behind = c.paint(FENCE, darker(rgb, rng.uniform(0.5, 0.95)), "spots", 0.12, z[0])
    bars = c.paint(FENCE, rgb, "grain", 0.05, z[0])
    c.wall(x, (0, height), z, behind)
    gap = rng.uniform(0.25, 0.6)
    for at in np.arange(z[0], z[1], gap):
        c.wall(x, (0, height), (at, at + gap * 0.45), bars)
    for y in (0.2, height - 0.12):
        c.wall(x, (y, y + 0.1), z, bars)


def pole(c: Canvas, rng: Draws, x: float, z: float, height: float) -> None:
    """A lamp post, with an arm over the road or without, or a plain one."""
    paint = c.paint(POLE, one(rng, POSTS, 0.03), "grain", 0.05, z)
    px = c.camera.focal / z
    thick = max(2.0, rng.uniform(0.13, 0.22) * px)
    foot, top = c.camera.see((x, 0, z)), c.camera.see((x, height, z))
    c.stroke([foot, top], thick, paint)
    if height > 4 and rng.random() < 0.6:
        end = c.camera.see((x - np.sign(x) * 1.4, height + 0.2, z))
        c.stroke([top, end], max(2.0, thick * 0.8), paint)
        c.ellipse(end, (0.4 * px, 0.15 * px), paint)


def sign(c: Canvas, rng: Draws, x: float, z: float) -> None:
    """A plate or traffic lights on a pole."""
    height = rng.uniform(2.2, 3.2)
    pole(c, rng, x, z, height)
    px = c.camera.focal / z
    half = rng.uniform(0.36, 0.6) * px
    u, v = c.camera.see((x, height, z))
    kind = rng.integers(4)
    if kind == 3:
        box = c.paint(SIGN, (0.08, 0.09, 0.09), "grain", 0.1, z)
        c.polygon(_rectangle(u, v, 0.5 * half, 1.2 * half), box)
        rgb = [(0.9, 0.15, 0.1), (0.9, 0.6, 0.1), (0.1, 0.75, 0.4)][int(rng.integers(3))]
        c.ellipse((u, v + rng.uniform(-0.7, 0.7) * half), (0.3 * half,) * 2, c.paint(SIGN, rgb))
        return
    rgb = one(rng, PLATES)
    outer = c.paint(SIGN, rgb, "grain", 0.04, z)
    inner = c.paint(SIGN, one(rng, [(0.92, 0.92, 0.9), (0.1, 0.1, 0.1), rgb]), "grain", 0.04, z)
    if kind == 0:
        c.ellipse((u, v), (half, half), outer)
    elif kind == 1:
        c.polygon([(u - half, v + half), (u + half, v + half), (u, v - half)], outer)
    else:
        c.polygon(_rectangle(u, v, half, half * rng.uniform(0.6, 1.3)), outer)
    c.polygon(_rectangle(u, v + 0.2 * half, 0.45 * half, 0.25 * half), inner)


def _rectangle(u: float, v: float, a: float, b: float) -> list[Point]:
    return [(u - a, v - b), (u + a, v - b), (u + a, v + b), (u - a, v + b)]


def car(c: Canvas, rng: Draws, x: float, z: float) -> None:
    """A car or a van, its end towards us and one side to be seen."""
    van = rng.random() < 0.2
    wide, long = rng.uniform(1.65, 2.0), rng.uniform(3.8, 4.6) * (1.3 if van else 1)
    waist, top = rng.uniform(0.8, 0.95), (rng.uniform(1.9, 2.6) if van else rng.uniform(1.35, 1.6))
    body = one(rng, BODIES)
    back, flank = (
        c.paint(CAR, darker(body, light), "grain", 0.04, z) for light in rng.uniform(0.7, 1.1, 2)
    )
    glass = c.paint(CAR, one(rng, GLASS), "grain", 0.08, z)
    black = c.paint(CAR, (0.06, 0.06, 0.06), "grain", 0.1, z)
    left, right = x - wide / 2, x + wide / 2
    seen = right if x < 0 else left  # the side that faces the middle of the picture
    slope = 0.0 if van else rng.uniform(0.3, 0.7)
    c.shadow((left - 0.15, right + 0.15), (z - 0.3, z + long), 0.4)
    c.wall(seen, (0.05, 0.5), (z + 0.1, z + long - 0.1), black)
    c.wall(seen, (0.3, waist), (z, z + long), flank)
    hood = 0.0 if van else rng.uniform(0.6, 1.1)
    roof = [(seen, waist, z), (seen, waist, z + long - hood)]
    roof += [(seen, top, z + long - hood - slope), (seen, top, z + slope)]
    c.face(roof, flank)
    c.wall(seen, (waist, top - 0.1), (z + slope + 0.25, z + long - hood - slope - 0.2), glass)
    for at in (z + 0.8, z + long - 0.8):
        px = c.camera.focal / at
        c.ellipse(c.camera.see((seen, 0.32, at)), (0.2 * px, 0.33 * px), black)
    c.front((left, right), (0.1, 0.4), z, black)
    c.front((left, right), (0.28, waist), z, back)
    inset = 0.12 if not van else 0.0
    up = z + slope
    cabin = [(left, waist, z), (right, waist, z), (right - inset, top, up), (left + inset, top, up)]
    c.face(cabin, back)
    c.front((left + 0.2, right - 0.2), (waist + 0.05, top - 0.12), z + slope / 2, glass)
    lamp = c.paint(CAR, one(rng, [(0.7, 0.08, 0.06), (0.95, 0.93, 0.85)]), "grain", 0.05, z)
    for low in (left + 0.05, right - 0.35):
        c.front((low, low + 0.3), (waist - 0.25, waist - 0.08), z, lamp)
    plate = c.paint(CAR, one(rng, [(0.9, 0.9, 0.88), (0.9, 0.8, 0.2)]), "grain", 0.03, z)
    c.front((x - 0.26, x + 0.26), (0.42, 0.54), z, plate)


def pedestrian(c: Canvas, rng: Draws, x: float, z: float) -> None:
    """Somebody who walks or stands."""
    tall, px = rng.uniform(1.5, 1.9), c.camera.focal / z
    c.shadow((x - 0.35, x + 0.35), (z - 0.2, z + 0.3), 0.55)
    u, v = c.camera.see((x, 0, z))
    legs, coat = (c.paint(PEDESTRIAN, any_colour(rng), "grain", 0.08, z) for _ in range(2))
    _body(c, rng, (u, v), tall * px, PEDESTRIAN, legs, coat, rng.uniform(-0.12, 0.12), z)


def _body(
    c: Canvas,
    rng: Draws,
    foot: Point,
    tall: float,
    kind: int,
    legs: int,
    coat: int,
    lean: float,
    depth: float,
) -> None:
    u, v = foot
    step = rng.uniform(0.02, 0.16) * tall
    hip, neck = (u, v - 0.48 * tall), (u + lean * tall, v - 0.83 * tall)
    for side in (-1, 1):
        c.stroke([hip, (u + side * step, v)], 0.1 * tall, legs)
    half = rng.uniform(0.1, 0.15) * tall
    c.polygon(
        [
            (neck[0] - half, neck[1]),
            (neck[0] + half, neck[1]),
            (hip[0] + half * 0.9, hip[1] + 0.04 * tall),
            (hip[0] - half * 0.9, hip[1] + 0.04 * tall),
        ],
        coat,
    )
    for side in (-1, 1):
        hand = (u + side * (half + rng.uniform(0, 0.08) * tall), v - rng.uniform(0.4, 0.6) * tall)
        c.stroke([(neck[0] + side * half * 0.9, neck[1] + 0.03 * tall), hand], 0.06 * tall, coat)
    head = c.paint(kind, one(rng, SKINS), "grain", 0.06, depth)
    hair = c.paint(kind, any_colour(rng), "grain", 0.1, depth)
    c.ellipse((neck[0], v - 0.92 * tall), (0.062 * tall, 0.08 * tall), head)
    c.ellipse((neck[0], v - 0.955 * tall), (0.064 * tall, 0.05 * tall), hair)


def cyclist(c: Canvas, rng: Draws, x: float, z: float) -> None:
    """Somebody on a bicycle, from the side or from behind; the wheels are filled, as labelled."""
    px = c.camera.focal / z
    c.shadow((x - 0.5, x + 0.5), (z - 0.2, z + 0.6), 0.55)
    u, v = c.camera.see((x, 0, z))
    tyre = c.paint(CYCLIST, one(rng, [(0.1, 0.1, 0.1)]), "grain", 0.1, z)
    spokes = c.paint(CYCLIST, one(rng, [(0.36, 0.36, 0.36)]), "spots", 0.15, z)
    frame = c.paint(CYCLIST, any_colour(rng), "grain", 0.05, z)
    legs, coat = (c.paint(CYCLIST, any_colour(rng), "grain", 0.08, z) for _ in range(2))
    across = rng.random() < 0.5
    radius, reach = 0.34 * px, (0.52 * px if across else 0.04 * px)
    for side in (-1, 1):
        middle = (u + side * reach, v - radius)
        squeeze = 1.0 if across else 0.16
        c.ellipse(middle, (radius * squeeze, radius), tyre)
        c.ellipse(middle, (radius * squeeze * 0.8, radius * 0.82), spokes)
    seat = (u - 0.12 * px * across, v - 0.9 * px)
    thick = max(1.5, 0.06 * px)
    c.stroke([(u - reach, v - radius), seat, (u + reach, v - radius)], thick, frame)
    c.stroke([(u + reach, v - radius), (u + reach * 0.8, v - px)], thick, frame)
    lean = rng.uniform(0.12, 0.3) * across * (1 if rng.random() < 0.5 else -1)
    _body(c, rng, (u, v - 0.12 * px), 1.62 * px, CYCLIST, legs, coat, lean, z)
    if not across:  # the wheel and the handlebar show, or it would be somebody on foot
        c.ellipse((u, v - radius), (0.09 * px, radius), tyre)
        c.stroke([(u - 0.32 * px, v - 0.98 * px), (u + 0.32 * px, v - 0.98 * px)], thick, frame)


def clutter(c: Canvas, rng: Draws, x: float, z: float) -> None:
    """What has no class: a bin, a box, a stall."""
    wide, tall = rng.uniform(0.4, 1.3), rng.uniform(0.6, 1.3)
    rgb = any_colour(rng)
    near, side = (c.paint(VOID, darker(rgb, light), "spots", 0.08, z) for light in (1.0, 0.7))
    c.shadow((x - wide / 2 - 0.1, x + wide / 2 + 0.1), (z - 0.2, z + 0.8), 0.5)
    c.wall(x - np.sign(x) * wide / 2, (0, tall), (z, z + 0.7), side)
    c.front((x - wide / 2, x + wide / 2), (0, tall), z, near)
