"""Generated scenes: streets that are drawn, a stand-in for photos where there are none.

They have CamVid's classes, perspective, weather, textures and shadows, and colours that classes
share. They are no photos: what is learnt of them says nothing of real streets.
"""

import numpy as np

from lessons.streets import things
from lessons.streets.canvas import Camera, Canvas, Rgb, Weather
from lessons.streets.classes import BUILDING, PAVEMENT, ROAD, TREE, VOID

SIZE = (360, 480)  # height, width
SKIES: list[tuple[Rgb, Rgb]] = [  # above and at the skyline
    ((0.3, 0.5, 0.85), (0.75, 0.83, 0.92)),
    ((0.45, 0.6, 0.85), (0.85, 0.88, 0.9)),
    ((0.72, 0.74, 0.77), (0.82, 0.83, 0.84)),
    ((0.5, 0.53, 0.58), (0.66, 0.67, 0.7)),
    ((0.4, 0.45, 0.65), (0.92, 0.72, 0.52)),
    ((0.93, 0.93, 0.94), (0.96, 0.96, 0.95)),
]
FAR = 90.0  # metres


def scene(seed: int, number: int, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Scene `number` of `seed`: picture `H W 3` and classes `H W`, bytes; the same anywhere."""
    rng = np.random.default_rng([seed, number])
    height, width = size
    camera = Camera(
        focal=width * rng.uniform(0.75, 1.05),
        height=rng.uniform(1.2, 1.9),
        centre=width * rng.uniform(0.32, 0.68),
        horizon=height * rng.uniform(0.36, 0.52),
    )
    canvas = Canvas(height, width, camera, rng)
    street = Street(canvas, rng)
    street.draw()
    return canvas.picture(weather(rng)), canvas.labels()


def weather(rng: np.random.Generator) -> Weather:
    """Clear, dull, misty, at sunset; a camera that exposes and colours as it likes."""
    zenith, skyline = SKIES[int(rng.integers(len(SKIES)))]
    warm = rng.uniform(-0.12, 0.12)
    return Weather(
        zenith=zenith,
        skyline=skyline,
        clouds=rng.uniform(0, 0.6),
        haze_m=float(np.exp(rng.uniform(np.log(100), np.log(900)))),
        exposure=rng.uniform(0.75, 1.25),
        gains=(1 + warm, 1.0, 1 - warm),
        gamma=rng.uniform(0.75, 1.2),
        blur=rng.uniform(0.4, 0.8),
        noise=rng.uniform(1.5, 6),
    )


class Street:
    """One street: the ground, what stands along it from far to near, who is on it."""

    def __init__(self, canvas: Canvas, rng: np.random.Generator) -> None:
        self.c, self.rng = canvas, rng
        self.right = rng.uniform(2.2, 5.5)  # the road's edges, metres from the camera
        self.left = -rng.uniform(2.2, 5.5)
        self.walk = rng.uniform(1.6, 4.5, 2)  # the pavements' widths, left and right
        crossing = rng.uniform(14, 34)
        self.crossing = (crossing, crossing + rng.uniform(6, 10)) if rng.random() < 0.4 else None

    def draw(self) -> None:
        """Everything, far things first."""
        self.ground()
        self.end()
        self.sides()
        self.life()
        self.nearest()

    def ground(self) -> None:
        """Pavement everywhere, the road on it, what is painted on that, and shadows."""
        c, rng = self.c, self.rng
        grey = rng.uniform(0.3, 0.62)
        road = c.paint(ROAD, things.one(rng, [(grey,) * 3], 0.02), "spots", rng.uniform(0.02, 0.1))
        paved = things.one(rng, [(grey * rng.uniform(0.85, 1.5),) * 3, (0.6, 0.54, 0.48)], 0.03)
        walk = c.paint(PAVEMENT, paved, "courses" if rng.random() < 0.4 else "spots", 0.05)
        kerb = c.paint(PAVEMENT, things.one(rng, [(0.68,) * 3, (0.45,) * 3]), "grain", 0.05)
        lines = c.paint(ROAD, things.one(rng, [(0.85,) * 3, (0.8, 0.7, 0.3)]), "spots", 0.1)
        patch = c.paint(ROAD, things.one(rng, [(grey * 0.8,) * 3], 0.02), "spots", 0.06)
        c.polygon(
            [
                (0, c.camera.horizon),
                (c.width, c.camera.horizon),
                (c.width, c.height),
                (0, c.height),
            ],
            walk,
        )
        near = 0.8
        c.floor((self.left - 0.25, self.right + 0.25), (near, FAR), kerb)
        c.floor((self.left, self.right), (near, FAR), road)
        if self.crossing:
            c.floor((-60, 60), self.crossing, road)
        for _ in range(int(rng.integers(0, 4))):
            x, z = rng.uniform(self.left, self.right - 1), rng.uniform(3, 25)
            c.floor(
                (x, min(self.right, x + rng.uniform(0.5, 2))), (z, z + rng.uniform(1, 5)), patch
            )
        middle = (self.left + self.right) / 2 + rng.uniform(-0.5, 0.5)
        if rng.random() < 0.7:
            for z in np.arange(rng.uniform(1, 3), 60, 6):
                c.floor((middle - 0.07, middle + 0.07), (z, z + 3), lines)
        if rng.random() < 0.3:
            z = rng.uniform(6, 14)
            for x in np.arange(self.left + 0.3, self.right - 0.5, 1.0):
                c.floor((x, x + 0.5), (z, z + 2.5), lines)
        if rng.random() < 0.5:  # the sun is out, behind one side's houses
            x = rng.uniform(self.left, self.right)
            edge = (-60.0, x) if rng.random() < 0.5 else (x, 60.0)
            light, start = rng.uniform(0.4, 0.7), near
            while start < 60:
                stop = start + rng.uniform(4, 20)
                if rng.random() < 0.75:
                    c.shadow(edge, (start, stop), light)
                start = stop

    def end(self) -> None:
        """What closes the street far away, or nothing."""
        c, rng = self.c, self.rng
        kind = rng.integers(3)
        for x in np.arange(-90, 90, 9.0):
            if kind == 0:
                wall = things.one(rng, things.WALLS)
                paint = c.paint(BUILDING, wall, "spots", 0.1, FAR)
                c.front((x, x + 9), (0, rng.uniform(4, 16)), FAR, paint)
            else:
                paint = c.paint(TREE, things.one(rng, things.LEAVES), "leaves", 0.2, FAR)
                c.front((x, x + 9), (0, rng.uniform(2, 4)), FAR, paint)
                if kind == 1:
                    things.tree(c, rng, x + rng.uniform(0, 9), FAR, rng.uniform(6, 12))

    def sides(self) -> None:
        """Houses, gardens and hedges on both sides."""
        c, rng = self.c, self.rng
        lots: list[tuple[float, float, float]] = []
        edges = (self.left - self.walk[0], self.right + self.walk[1])
        green = rng.uniform(0.1, 0.6)
        for edge in edges:
            z = rng.uniform(1.6, 3.5)
            while z < FAR - 10:
                stop = z + rng.uniform(6, 16)
                crossed = self.crossing and z < self.crossing[1] and stop > self.crossing[0]
                if not crossed:
                    lots.append((edge, z, stop))
                z = stop if not crossed else max(stop, self.crossing[1] if self.crossing else 0.0)
        for edge, start, stop in sorted(lots, key=lambda lot: -lot[1]):
            if rng.random() > green:
                things.building(c, rng, edge, (start, stop), rng.uniform(4, 15))
                continue
            set_back = edge + np.sign(edge) * rng.uniform(3, 7)
            if rng.random() < 0.5:
                things.building(c, rng, set_back, (start, stop), rng.uniform(4, 9))
            else:
                things.hedge(c, rng, set_back, (start, stop), rng.uniform(1.5, 4))
            for _ in range(int(rng.integers(0, 3))):
                x = edge + np.sign(edge) * rng.uniform(1, 3)
                at = rng.uniform(max(start, 5), max(stop, 6))
                things.tree(c, rng, x, at, rng.uniform(4, 10))
            if rng.random() < 0.8:
                things.fence(c, rng, edge, (start, stop), rng.uniform(0.9, 2.0))
            else:
                things.hedge(c, rng, edge, (start, stop), rng.uniform(0.8, 1.6))

    def life(self) -> None:
        """Posts, signs, trees, cars and people, from far to near."""
        rng = self.rng
        todo: list[tuple[float, str, float]] = []
        for side in (-1, 1):
            kerb = self.left if side < 0 else self.right
            walk = self.walk[0 if side < 0 else 1]

            def beside(kerb: float = kerb, walk: float = walk, side: int = side) -> float:
                return kerb + side * rng.uniform(0.5, walk)

            step, first = rng.uniform(14, 28), rng.uniform(5, 20)
            todo += [(z, "pole", kerb + side * 0.4) for z in np.arange(first, 45, step)]
            for _ in range(int(rng.integers(0, 3))):
                todo.append((rng.uniform(6, 24), "sign", kerb + side * 0.5))
            if rng.random() < 0.4:
                step = rng.uniform(7, 14)
                todo += [
                    (z, "tree", kerb + side * 0.8) for z in np.arange(rng.uniform(7, 16), 45, step)
                ]
            for _ in range(int(rng.integers(0, 5))):
                todo.append((rng.uniform(5, 26), "pedestrian", beside()))
            for _ in range(int(rng.integers(0, 2))):
                todo.append((rng.uniform(4, 22), "clutter", beside()))
            if rng.random() < 0.6:  # a row of parked cars
                for z in np.arange(rng.uniform(4, 16), rng.uniform(20, 60), rng.uniform(5.5, 9)):
                    todo.append((z, "car", kerb - side * 1.05))
        for _ in range(int(rng.integers(0, 3))):
            todo.append((rng.uniform(7, 40), "car", rng.uniform(self.left + 1, self.right - 1)))
        for _ in range(int(rng.integers(0, 3))):
            todo.append((rng.uniform(5, 22), "cyclist", rng.uniform(self.left, self.right)))
        if rng.random() < 0.4:
            todo.append(
                (rng.uniform(6, 20), "pedestrian", rng.uniform(self.left + 0.5, self.right - 0.5))
            )
        for z, what, x in sorted(todo, reverse=True):
            self.place(what, x, z)

    def place(self, what: str, x: float, z: float) -> None:
        """One thing at its place."""
        c, rng = self.c, self.rng
        if what == "pole":
            things.pole(c, rng, x, z, rng.uniform(3.5, 9))
        elif what == "tree":
            things.tree(c, rng, x, z, rng.uniform(4, 9))
        elif what == "sign":
            things.sign(c, rng, x, z)
        elif what == "car":
            things.car(c, rng, x, z)
        elif what == "cyclist":
            things.cyclist(c, rng, x, z)
        elif what == "pedestrian":
            things.pedestrian(c, rng, x, z)
        else:
            things.clutter(c, rng, x, z)

    def nearest(self) -> None:
        """Sometimes the bonnet of our own car, which has no class."""
        c, rng = self.c, self.rng
        if rng.random() < 0.3:
            paint = c.paint(VOID, things.any_colour(rng), "clouds", 0.15, 0)
            middle = (c.width * rng.uniform(0.4, 0.6), c.height * 1.12)
            high = c.height * rng.uniform(0.15, 0.22)
            c.ellipse(middle, (c.width * rng.uniform(0.4, 0.6), high), paint)
