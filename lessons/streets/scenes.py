"""Generated street scenes: pictures with the class of every pixel, a stand-in for CamVid.

They have CamVid's classes, which share colours. What is learnt from them says nothing of photos.
"""

from itertools import product

import numpy as np

from lessons.streets.canvas import Canvas
from lessons.streets.classes import PAVEMENT, ROAD, SKY, VOID
from lessons.streets.objects import draw, paint

SIZE = (360, 480)  # height, width
FAR = 90.0  # metres
PLACEMENTS = (  # of a row of objects along each side of the street
    # one of which is taken; chance of the row; metres from the kerb on the road, if below 0, else
    # as part of the pavement's width; metres ahead; metres between two
    ("house house thicket", 1.0, (1.8, 2.5), (0, FAR), (8, 12)),
    ("house house house hedge fence fence", 1.0, (1, 1), (0, FAR), (9, 11)),
    ("tree", 0.7, (1.3, 2), (4, 60), (5, 25)),
    ("pole lamp", 1.0, (0.15, 0.15), (0, 45), (8, 25)),
    ("disc triangle square lights", 0.6, (0.2, 0.2), (0, 26), (6, 20)),
    ("tree", 0.4, (0.3, 0.3), (0, 45), (7, 14)),
    ("pedestrian", 0.7, (-0.5, 0.9), (3, 26), (2, 15)),
    ("bin", 0.5, (0.3, 0.9), (0, 24), (5, 25)),
    ("car car car van", 0.6, (-1.1, -1), (0, 60), (5.5, 9)),
    ("car car van", 0.4, (-4.5, -2.5), (0, 40), (8, 40)),
    ("cyclist rider", 0.4, (-4, -0.4), (0, 24), (5, 20)),
)


def scene(seed: int, number: int, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Scene `number` of `seed`: picture `H W 3` and classes `H W`, bytes; the same anywhere."""
    rng = np.random.default_rng([seed, number])
    canvas = Canvas(size, paint(rng, SKY, "sky"), rng)
    kerbs, walks = rng.uniform(2.2, 5.5, 2), rng.uniform(1.6, 4.5, 2)
    crossing = rng.uniform(14, 34) if rng.random() < 0.4 else 1000
    draw_ground(canvas, kerbs * (-1, 1), crossing)
    places = [(FAR, x, rng.choice(["house", "tree", "thicket"])) for x in range(-86, 90, 9)]
    for (names, chance, where, (near, far), step), side in product(PLACEMENTS, (0, 1)):
        depths = near + np.cumsum(rng.uniform(*step, 20)) * (rng.random() < chance)
        for z in depths[(near < depths) & (depths < far)]:
            offset = rng.uniform(*where)
            x = kerbs[side] + offset * (walks[side] if offset > 0 else 1)
            if offset < 0 or not crossing < z < crossing + 18:
                places.append((z, x * (-1, 1)[side], rng.choice(names.split())))
    for z, x, name in sorted(places, reverse=True):
        draw(canvas, name, x, z)
    if rng.random() < 0.3:  # the bonnet of the car that carries the camera
        top, half = canvas.height - rng.uniform(0.35, 0.5), rng.uniform(0.4, 0.7)
        low, high = np.array([(-half, top - 0.3, 1), (half, top, 1)])
        canvas.ellipse(low, high, paint(rng, VOID, "body"), 1)
    return canvas.render(skyline=paint(rng, SKY, "skyline")[1])


def draw_ground(canvas: Canvas, kerbs: np.ndarray, crossing: float) -> None:
    """Pavement everywhere, the road and the one that crosses it, and their markings."""
    rng, (left, right) = canvas.rng, kerbs
    road, line = paint(rng, ROAD, "asphalt"), paint(rng, ROAD, "line")
    canvas.box((-2000, 0, 0), (2000, 0, 2000), paint(rng, PAVEMENT, "paving"))
    canvas.box((left, 0, 0), (right, 0, FAR), road)
    canvas.box((-60, 0, crossing), (60, 0, crossing + 8), road)
    x, z = (left + right) / 2, rng.uniform(6, 40)
    for dash in np.arange(rng.uniform(0, 3), rng.choice((0, 60)), 6):
        canvas.box((x - 0.07, 0, dash), (x + 0.07, 0, dash + 3), line)
    for x in np.arange(left + 0.3, right - 0.5):  # a zebra crossing, mostly far away
        canvas.box((x, 0, z), (x + 0.5, 0, z + 2.5), line)
