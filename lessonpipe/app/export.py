"""A model as one ONNX file, for programs without torch: any size, checked against torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from lessonpipe.errors import UserError
from lessonpipe.io.atomic import atomic_file
from lessonpipe.metrics import psnr
from lessonpipe.nets.blocks import SelfAttention
from lessonpipe.nets.generator import fold_weight_norm
from lessonpipe.nets.io import load_generator, read_model_json
from lessonpipe.zoo import find_model

Weights = Literal["float32", "float16", "int8"]
OPSET = 17
SIZES = ((64, 64), (96, 160), (256, 224))  # that the file is checked with; multiples of the grid


@dataclass(frozen=True)
class Exported:
    """What an exported file is: its bytes, and how far its answers are from torch's.

    `largest` is the largest difference of a sample in levels of 255; `psnr` the PSNR in dB of the
    file's answers against torch's. Both over pictures of several sizes.
    """

    bytes: int
    largest: float
    psnr: float


def export_onnx(model: str | Path, out: Path, weights: Weights = "float32") -> Exported:
    """Write a model folder, or a model of the package, as the ONNX file `out`.

    Its input `picture` and output `restored` are `1 3 H W` floats of 0...1; height and width are
    multiples of the `grid` in its metadata, and results are not clamped. `weights` are stored in
    so many bits, int8 with a scale for each output channel; it computes in float32 with all.
    Raises `MissingError` without a model, `UserError` when ONNX is not installed.
    """
    try:
        import onnx
        import onnxruntime
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is not installed, which exporting needs: pip install 'lessonpipe[onnx]'"
        ) from error
    folder = find_model(model)
    net = fold_weight_norm(load_generator(folder)).float().eval()
    about = read_model_json(folder)
    with atomic_file(out) as draft:
        _trace(net, draft)
        graph = onnx.load(draft)
        if weights != "float32":
            _shrink(graph, weights)
        facts = {"grid": str(net.grid), "undoes": ", ".join(about.get("undoes", []))}
        onnx.helper.set_model_props(graph, facts)
        onnx.checker.check_model(graph, full_check=True)
        onnx.save(graph, draft)
        session = onnxruntime.InferenceSession(str(draft), providers=["CPUExecutionProvider"])
        largest, likeness = _compare(net, session)
        size = draft.stat().st_size
    return Exported(size, largest, likeness)


def _trace(net: nn.Module, out: Path) -> None:
    """The network as a graph of any height and width.

    torch.onnx's older exporter: the newer one takes minutes where this one takes a second. What it
    takes for constants (the padding of convolutions) is the same for all multiples of the grid.
    """
    if any(isinstance(part, SelfAttention) for part in net.modules()):
        raise UserError("a network with SelfAttention has no graph that serves all sizes")
    free = {2: "height", 3: "width"}
    torch.onnx.export(
        net,
        (torch.rand(1, 3, *SIZES[0]),),
        str(out),
        dynamo=False,
        opset_version=OPSET,
        input_names=["picture"],
        output_names=["restored"],
        dynamic_axes={"picture": free, "restored": free},
    )


def _shrink(graph: Any, weights: Weights) -> None:
    """Store the filters in fewer bits, and nodes that make them float32 where they are read."""
    import onnx
    from onnx import numpy_helper

    nodes = []
    for tensor in list(graph.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim < 2:
            continue
        name, stored = tensor.name, f"{tensor.name}.stored"
        graph.graph.initializer.remove(tensor)
        if weights == "float16":
            added = {stored: values.astype(np.float16)}
            node = onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT)
        else:
            flat = np.abs(values).reshape(len(values), -1).max(axis=1)
            scale = np.maximum(flat / 127, 1e-12).astype(np.float32)
            steps = np.round(values / scale.reshape(-1, *[1] * (values.ndim - 1)))
            added = {
                stored: steps.clip(-127, 127).astype(np.int8),
                f"{name}.scale": scale,
                f"{name}.zero": np.zeros(len(scale), np.int8),
            }
            node = onnx.helper.make_node("DequantizeLinear", list(added), [name], axis=0)
        graph.graph.initializer.extend(
            numpy_helper.from_array(value, key) for key, value in added.items()
        )
        nodes.append(node)
    kept = list(graph.graph.node)
    del graph.graph.node[:]
    graph.graph.node.extend([*nodes, *kept])


@torch.inference_mode()
def _compare(net: nn.Module, session: Any) -> tuple[float, float]:
    """The largest difference in levels of 255, and the PSNR, of the file's answers to torch's."""
    rng = torch.Generator().manual_seed(1)
    largest, errors = 0.0, []
    for height, width in SIZES:
        coarse = torch.rand(1, 3, height // 8, width // 8, generator=rng)
        x = nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
        wanted = net(x)
        (got,) = session.run(None, {"picture": x.numpy()})
        made = torch.from_numpy(got)
        largest = max(largest, 255 * (made - wanted).abs().max().item())
        errors.append(psnr(made, wanted.clamp(0, 1)).item())
    return largest, min(errors)
