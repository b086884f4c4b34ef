"""The built-in steps, by their names in params: add a new one here, or in `my_steps.py`."""

from lessonpipe.crappify.step import Step
from lessonpipe.crappify.steps.blur import Blur
from lessonpipe.crappify.steps.crease import Crease
from lessonpipe.crappify.steps.dust import Dust
from lessonpipe.crappify.steps.edges import Edges
from lessonpipe.crappify.steps.fade import Fade
from lessonpipe.crappify.steps.grey import Grey
from lessonpipe.crappify.steps.hole import Hole
from lessonpipe.crappify.steps.ink import Ink
from lessonpipe.crappify.steps.jpeg import Jpeg
from lessonpipe.crappify.steps.noise import Noise
from lessonpipe.crappify.steps.palette import Palette
from lessonpipe.crappify.steps.resize import Resize
from lessonpipe.crappify.steps.scratch import Scratch
from lessonpipe.crappify.steps.stain import Stain
from lessonpipe.crappify.steps.text import Text
from lessonpipe.crappify.steps.watermark import Watermark

STEPS: dict[str, type[Step]] = {
    "blur": Blur,
    "crease": Crease,
    "dust": Dust,
    "edges": Edges,
    "fade": Fade,
    "grey": Grey,
    "hole": Hole,
    "ink": Ink,
    "jpeg": Jpeg,
    "noise": Noise,
    "palette": Palette,
    "resize": Resize,
    "scratch": Scratch,
    "stain": Stain,
    "text": Text,
    "watermark": Watermark,
}
