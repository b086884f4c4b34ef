"""On which device and in what precision a worker computes; sums over workers. Knows torch only."""

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lessonpipe.environment import environment
from lessonpipe.errors import UserError, one_of

M = TypeVar("M", bound=nn.Module)
Precision = Literal["auto", "bf16", "fp32"]


def choose_device() -> torch.device:
    """LESSONPIPE_DEVICE if it is set, else a GPU if there is one, else the CPU.

    Raises `UserError` when a device is asked for that is not there.
    """
    asked = environment().device
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    name = asked or ("cuda" if cuda else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(
            f"LESSONPIPE_DEVICE={name} is no device; use cpu, cuda, cuda:1 or mps"
        ) from error
    count = torch.cuda.device_count() if cuda else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise UserError(
            f"LESSONPIPE_DEVICE={name}, but this machine shows {count} CUDA GPU(s); "
            "set LESSONPIPE_DEVICE=cpu or install a driver"
        )
    if device.type == "mps" and not mps:
        raise UserError("LESSONPIPE_DEVICE=mps, but there is no Apple GPU; use cpu")
    return device


def fast_bf16(device: torch.device) -> tuple[bool, str]:
    """Whether bfloat16 is quick on `device`, and why."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(False), "the GPU's tensor cores"
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return True, "the processor has AVX512-BF16"
    return False, "the processor has no bfloat16 instructions"


def send(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of this machine's memory on a device, for which nothing waits.

    To a GPU it goes from pinned memory: a copy of other memory first waits for all work before it.
    """
    if device.type == "cuda" and x.device.type == "cpu":
        x = x.pin_memory()
    return x.to(device, non_blocking=True)


def compile_backend() -> str | None:
    """What compiles networks: nothing unless LESSONPIPE_COMPILE is 1 or a backend of torch.compile.

    Raises `UserError` for another name, and without the compiler that torch's own backend needs.
    """
    asked = environment().compile
    if not asked:
        return None
    name = "inductor" if asked == "1" else asked
    if name not in (known := torch.compiler.list_backends(())):
        raise one_of("LESSONPIPE_COMPILE backend", name, ["1", *known])
    if name == "inductor" and not shutil.which(os.environ.get("CXX", "g++")):
        raise UserError(
            f"LESSONPIPE_COMPILE={asked} needs a C++ compiler; install g++, name another in CXX, "
            "or unset it"
        )
    return name


@dataclass(frozen=True)
class Worker:
    """One process of a training: its device, precision, rank, and how many there are (`world`).

    By hand what Accelerate's or Fabric's classes do, in a hundred lines and without their weight.
    """

    device: torch.device
    dtype: torch.dtype
    rank: int = 0
    world: int = 1
    reason: str = ""

    @classmethod
    def current(cls, precision: Precision = "auto") -> "Worker":
        """This process, with the rank it has in torch.distributed, if that is running."""
        device = choose_device()
        fast, reason = fast_bf16(device)
        bf16 = fast if precision == "auto" else precision == "bf16"
        distributed = dist.is_available() and dist.is_initialized()
        rank, world = (dist.get_rank(), dist.get_world_size()) if distributed else (0, 1)
        if device.type == "cuda" and world > 1 and device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        reason = f"params say {precision}" if precision != "auto" else reason
        return cls(device, torch.bfloat16 if bf16 else torch.float32, rank, world, reason)

    def __str__(self) -> str:
        kind = "bf16" if self.dtype == torch.bfloat16 else "fp32"
        shared = f", worker {self.rank + 1} of {self.world}" if self.world > 1 else ""
        return f"{self.device} in {kind} ({self.reason}){shared}"

    def autocast(self) -> AbstractContextManager[None]:
        """Mixed precision where the precision is bf16."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def batch_to_device(self, x: Tensor) -> Tensor:
        """A batch on the device; of images `B C H W`, channels last."""
        order = torch.channels_last if x.ndim == 4 else torch.preserve_format
        return x.to(self.device, non_blocking=True, memory_format=order)

    def to_device(self, module: M) -> M:
        """A module on the device, channels last."""
        return module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def prepare(self, net: M) -> M:
        """A network on the device, channels last, to be trained.

        With LESSONPIPE_COMPILE its calls are compiled; its type and its weights' names stay.
        """
        net = self.to_device(net)
        if (backend := compile_backend()) is not None:
            for part in net.modules():
                if isinstance(part, nn.ReplicationPad2d):  # inductor expects its gradient otherwise
                    part.forward = torch.compiler.disable(part.forward)  # type: ignore[method-assign]
            net.compile(backend=backend)
        return net

    def all_reduce_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the workers' gradients; each scaled its loss by its share of the batch before.

        One flat all-reduce in place of DDP, which averages: shares may be unequal here, encoders
        partly frozen, and two networks take turns.
        """
        if self.world == 1:
            return
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in grads])
        dist.all_reduce(flat)
        for grad, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            grad.copy_(part.view_as(grad))

    @property
    def sum_dtype(self) -> torch.dtype:
        """What losses are summed in: doubles, so that a sum of thousands of steps keeps its digits.

        Apple's GPUs have none.
        """
        return torch.float32 if self.device.type == "mps" else torch.float64

    def reduce_sums(self, values: Mapping[str, Tensor | float]) -> dict[str, float]:
        """Sum named numbers over the workers. Waits for the device."""
        if not values:
            return {}
        tensors = [
            torch.as_tensor(v, dtype=self.sum_dtype, device=self.device) for v in values.values()
        ]
        packed = torch.stack(tensors)
        if self.world > 1:
            dist.all_reduce(packed)
        return dict(zip(values, packed.tolist(), strict=True))
