"""What stands and moves in a street, as parts in metres: x away from the road, y up, z ahead."""

from itertools import product
from typing import NamedTuple

import numpy as np
from PIL import ImageColor

from lessons.streets import classes
from lessons.streets.canvas import Canvas, Material, Rng, Vector

MATERIALS = {  # texture, its contrast, possible colours
    "asphalt": ("stone", 0.08, "#555 #666 #777 #888 #999"),
    "body": ("plain", 0, "#ddd #999 #112 #248 #911 #354 #566 #ba5"),
    "cloth": ("plain", 0, "#222 #555 #888 #aaa #ddd #733 #347 #464"),
    "fence": ("slats", 0.2, "#575 #888 #643 #334 #ccb"),
    "glass": ("plain", 0, "#122 #467 #89a"),
    "hair": ("plain", 0, "#222 #532 #445 #666 #347 #876"),
    "leaf": ("leaf", 0.25, "#352 #462 #142 #762 #852 #543"),
    "line": ("stone", 0.1, "#ddd #cb5"),
    "paving": ("bricks", 0.08, "#666 #777 #888 #999 #987"),
    "plate": ("plain", 0, "#c11 #14a #ec2 #eee #163"),
    "post": ("plain", 0, "#777 #333 #565 #999"),
    "roof": ("slats", 0.1, "#643 #445 #754"),
    "rubber": ("plain", 0, "#111"),
    "skin": ("plain", 0, "#da8 #864 #532"),
    "sky": ("sky", 0.12, "#48d #79d #bbc #889 #67a #eef"),
    "skyline": ("plain", 0, "#bde #dde #ccd #aab #eb8 #fff"),
    "wall": ("stone", 0.12, "#a54 #cb9 #889 #ddc #754 #ba7 #89a #665"),
}


class Part(NamedTuple):
    """A box between these coordinates, or so many ellipses in it; a single one fills it."""

    material: str
    x: Vector
    y: Vector
    ellipses: int = 0
    z: Vector = (0, 0)
    taper: float = 0


def vehicle(waist: float, window: float, top: float, taper: float) -> list[Part]:
    """Chassis, body, windows, roof, wheels on the side of the road, lamps."""
    return [
        Part("rubber", (-0.9, 0.9), (0.1, 0.4), z=(0.1, 4.1)),
        Part("body", (-0.9, 0.9), (0.3, waist), z=(0, 4.2)),
        Part("glass", (-0.9, 0.9), (waist, window), z=(0, 3.4), taper=taper),
        Part("body", (taper - 0.9, 0.9 - taper), (window, top), z=(taper, 3.4 - taper)),
        *(Part("rubber", (-1.05, -0.75), (0, 0.66), 1, (z, z)) for z in (3.4, 0.8)),
        *(Part("plate", (x, x + 0.3), (waist - 0.28, waist - 0.08)) for x in (-0.85, 0.55)),
    ]


PERSON = [
    *(Part("hair", (x, x + 0.2), (0, 0.9)) for x in (-0.25, 0.05)),
    *(Part("cloth", (x, x + 0.2), (0.7, 1.4), 1) for x in (-0.4, 0.2)),
    Part("cloth", (-0.27, 0.27), (0.75, 1.42), taper=0.08),
    Part("skin", (-0.12, 0.12), (1.38, 1.68), 1),
    Part("hair", (-0.13, 0.13), (1.54, 1.74), 1),
]
TALL, POST = Part("post", (-0.09, 0.09), (0, 6.5)), Part("post", (-0.08, 0.08), (0, 2.6))
PLATE, MARK = Part("plate", (-0.45, 0.45), (2.2, 3.1)), Part("line", (-0.2, 0.2), (2.35, 2.6))
LIGHTS = [POST, Part("rubber", (-0.2, 0.2), (2.2, 3.2)), MARK._replace(ellipses=1)]
WHEELS = [Part("rubber", (x, x + 0.68), (0, 0.68), 1) for x in (-0.86, 0.18)]
BARS, TYRE = Part("plate", (-0.3, 0.3), (0.95, 1.02)), Part("rubber", (-0.07, 0.07), (0, 0.7))
OBJECTS = {
    "pole": (classes.POLE, [TALL]),
    "lamp": (classes.POLE, [TALL, Part("post", (-1.8, 0), (6.3, 6.5))]),
    "disc": (classes.SIGN, [POST, PLATE._replace(ellipses=1), MARK]),
    "triangle": (classes.SIGN, [POST, PLATE._replace(taper=0.45), MARK]),
    "square": (classes.SIGN, [POST, PLATE, MARK]),
    "lights": (classes.SIGN, LIGHTS),
    "tree": (classes.TREE, [Part("hair", (0, 0.3), (0, 4)), Part("leaf", (-2, 2), (2, 6), 30)]),
    "hedge": (classes.TREE, [Part("leaf", (-0.5, 1.5), (0, 2), 40, (-10, 0))]),
    "thicket": (classes.TREE, [Part("leaf", (0, 14), (0, 6), 60, (-10, 0))]),
    "fence": (classes.FENCE, [Part("fence", (0, 0), (0, 1.4), z=(-10, 0))]),
    "car": (classes.CAR, vehicle(0.85, 1.35, 1.5, 0.3)),
    "van": (classes.CAR, vehicle(1.2, 1.8, 2.2, 0.05)),
    "pedestrian": (classes.PEDESTRIAN, PERSON),
    "cyclist": (classes.CYCLIST, [*WHEELS, *PERSON, BARS]),
    "rider": (classes.CYCLIST, [*PERSON, BARS, TYRE]),
    "bin": (classes.VOID, [Part("cloth", (-0.4, 0.4), (0, 1), z=(0, 0.7))]),
}


def house(rng: Rng) -> list[Part]:
    """A house with rows of windows and a hipped roof, from its place towards the camera."""
    height, end, pitch, floor = rng.uniform((4, 7, 1.8, 2.8), (15, 10, 3.5, 3.6))
    roof = Part("roof", (0, 14), (height, height + rng.uniform(0.2, 4)), 0, (-end, 0), 3)
    parts = [Part("wall", (0, 14), (0, height), 0, (-end, 0)), roof]
    wide, tall = rng.uniform(0.35, 0.65, 2) * (pitch, floor)
    for y, a in product(np.arange(0.8, height - tall, floor), np.arange(0.5, end - wide, pitch)):
        parts.append(Part("glass", (a, a + wide), (y, y + tall), 0, (-end, -end)))
        parts.append(Part("glass", (0, 0), (y, y + tall), 0, (a - end, a - end + wide)))
    return parts


def paint(rng: Rng, label: int, name: str) -> Material:
    """The material in one of its colours, a little changed; a sign's post is a pole."""
    texture, contrast, colours = MATERIALS[name]
    rgb = np.array(ImageColor.getrgb(rng.choice(colours.split()))) / 255
    rgb = (rgb * rng.uniform(0.8, 1.2) + rng.normal(0, 0.03, 3)).clip(0.03, 0.97)
    return classes.POLE if name == "post" else label, rgb, texture, contrast * rng.uniform(0.5, 1.5)


def draw(canvas: Canvas, name: str, x: float, z: float) -> None:
    """Draw an object at `x` and `z`, its size and colours changed at random."""
    rng = canvas.rng
    label, parts = (classes.BUILDING, house(rng)) if name == "house" else OBJECTS[name]
    scale = rng.uniform(0.8, 1.2, 2)[[0, 0, 1]] * (np.sign(x), 1, 1)
    paints = {m: paint(rng, label, m) for m in dict.fromkeys(part.material for part in parts)}
    for part in parts:
        low, high = (x, 0, z) + scale * np.array((part.x, part.y, part.z)).T
        if not part.ellipses:
            canvas.box(low, high, paints[part.material], part.taper)
        for _ in range(part.ellipses):
            size = (high - low) * part.ellipses**-0.3
            start = low + (high - low - size) * rng.beta(2, 2, 3)
            canvas.ellipse(start, start + size, paints[part.material], rng.uniform(0.7, 1.2))
