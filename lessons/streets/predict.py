"""A model folder and a photo of any size -> its classes."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from lessonpipe.data.photos import to_rgb
from lessonpipe.data.pictures import to_tensor
from lessonpipe.device import Precision, Worker
from lessonpipe.errors import UserError
from lessonpipe.inference.restorer import pad_to_grid
from lessonpipe.nets.io import load_weights, read_model_json
from lessons.streets.learn import predict
from lessons.streets.nets import Segmenter

MODEL = Path("models/streets")
KIND = "segmenter"


def load_segmenter(folder: Path = MODEL) -> Segmenter:
    """Build the network of a model folder and fill in its weights."""
    about = read_model_json(folder)
    if about["kind"] != KIND:
        raise UserError(f"{folder} holds a {about['kind']}, but a {KIND} is needed here")
    return load_weights(folder, Segmenter(pretrained=False, **about["build"]))


@torch.inference_mode()
def predict_mask(
    picture: Image.Image, net: Segmenter | Path = MODEL, *, precision: Precision = "auto"
) -> np.ndarray:
    """The classes of a photo, `H W` bytes, as numbers of `classes.NAMES`."""
    worker = Worker.current(precision)
    net = load_segmenter(net) if isinstance(net, Path) else net
    net = worker.to_device(net).eval()
    photo = to_rgb(ImageOps.exif_transpose(picture))
    x = to_tensor(photo)[None].float() / 255
    with worker.autocast():
        scores = net(worker.batch_to_device(pad_to_grid(x, net.grid)))
    labels: np.ndarray = predict(scores)[0, : photo.height, : photo.width].cpu().numpy()
    return labels.astype(np.uint8)
