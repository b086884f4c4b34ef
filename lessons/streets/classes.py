"""The twelve classes of CamVid's smaller form (Badrinarayanan et al. 2015), and their colours."""

NAMES = (
    "Sky",
    "Building",
    "Pole",
    "Road",
    "Pavement",
    "Tree",
    "Sign",
    "Fence",
    "Car",
    "Pedestrian",
    "Cyclist",
    "Void",
)
(
    SKY,
    BUILDING,
    POLE,
    ROAD,
    PAVEMENT,
    TREE,
    SIGN,
    FENCE,
    CAR,
    PEDESTRIAN,
    CYCLIST,
    VOID,
) = range(12)
COLOURS = (  # as they are drawn over photos; nothing is learnt from them
    (120, 180, 235),
    (150, 60, 45),
    (250, 220, 120),
    (120, 75, 150),
    (240, 130, 190),
    (60, 140, 60),
    (255, 130, 30),
    (110, 120, 190),
    (40, 70, 220),
    (230, 40, 60),
    (0, 200, 200),
    (30, 30, 30),
)
