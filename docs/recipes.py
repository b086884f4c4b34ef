"""Draw docs/recipes.jpg, a row a recipe of params.yaml: `python -m docs.recipes`.

`superres-256` and `enlarge` have none: they are for tiles of other sizes. Each pair is a sample
photo and what `lessonpipe crappify PHOTO -o DIR --recipe NAME` makes of it.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from lessonpipe.app.recipes import named_recipe
from lessonpipe.data.pairs import center_square
from lessonpipe.data.photos import open_photo
from lessonpipe.data.pictures import grid
from tasks.download import sample_photos

RECIPES = {  # and which sample photos show it
    "lesson": (2, 14),
    "colour": (7, 32),
    "old-photo": (1, 34),
    "watermark": (6, 29),
    "inpaint": (35, 10),
    "jpeg": (8, 12),
    "superres": (5, 13),
}
SIDE, MARGIN = 200, 78


def main() -> None:
    """Draw it."""
    photos = sample_photos()
    rows = []
    for name, shown in RECIPES.items():
        row = []
        for path in (photos[i] for i in shown):
            photo = center_square(open_photo(path), 288)
            row += [photo, named_recipe(name).degrade(photo, path.name)]
        rows.append([center_square(picture, SIDE) for picture in row])
    pairs = grid(rows, ["photo", "crappy", "photo", "crappy"])
    sheet = Image.new("RGB", (pairs.width + MARGIN, pairs.height), (250, 250, 248))
    sheet.paste(pairs, (MARGIN, 0))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, name in enumerate(RECIPES):
        middle = 28 + number * (SIDE + 6) + SIDE / 2
        pen.text((MARGIN, middle), name, fill=(40, 40, 40), font=font, anchor="rm")
    sheet.save(Path("docs/recipes.jpg"), quality=82)


if __name__ == "__main__":
    main()
