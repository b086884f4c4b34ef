"""An exported file by onnxruntime, against the command's own network by torch, on one picture."""

import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import get_args

import onnxruntime
import torch

from lessonpipe.app.export import Weights, export_onnx
from lessonpipe.inference.restorer import Restorer
from tests.bench.rounds import OURS, Row, contest

PX = 512
MODEL = "old-photo"


def onnx(rounds: int, clock: str = "wall") -> Iterator[Row]:
    """The same picture and number of threads on both sides; torch in float32, as the file is."""
    restorer = Restorer(MODEL)
    x = torch.rand(1, 3, PX, PX, generator=torch.Generator().manual_seed(1))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    for weights in get_args(Weights):
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer: what it takes for constants is checked
            file = Path(folder, "model.onnx")
            export_onnx(MODEL, file, weights)
            session = onnxruntime.InferenceSession(str(file), options, ["CPUExecutionProvider"])
        contestants = {
            OURS: partial(session.run, None, {"picture": x.numpy()}),
            "torch": partial(restorer.run, x, exact=True),
        }
        yield contest("onnx", f"{MODEL}, {PX} px, {weights}", contestants, rounds, clock)
