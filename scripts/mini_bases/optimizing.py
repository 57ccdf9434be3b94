"""One recipe for both bases: Muon for the matrices of the layers, AdamW for everything else."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mgimm_plugin.data.whole_files import written_whole

_QUINTIC = (3.4445, -4.7750, 2.0315)


class Float32Muon(torch.optim.Optimizer):
    """Momentum whose steps are made orthogonal (Jordan et al. 2024), in about half the steps of AdamW.

    torch's own Muon iterates in bfloat16, which is many times slower than float32 on CPUs without bfloat16 arithmetic.
    Steps are scaled to the size of AdamW's (Liu et al. 2025), so that one learning rate serves both.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; ``closure`` is not used."""
        for group in self.param_groups:
            same_shape: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    same_shape[parameter.shape].append(parameter)
            for shape, parameters in same_shape.items():
                steps = orthogonalized(torch.stack([self._direction(p, group["momentum"]) for p in parameters]))
                scale = group["lr"] * 0.2 * math.sqrt(max(shape))
                for parameter, step in zip(parameters, steps, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(step, alpha=scale)

    def _direction(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        assert parameter.grad is not None
        state = self.state[parameter]
        mean = state.setdefault("mean", torch.zeros_like(parameter)).lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(mean, momentum)


def orthogonalized(matrices: Tensor) -> Tensor:
    """Nearly orthogonal matrices with the singular vectors of the given ones, ``[K, M, N]``, by five quintic steps."""
    if matrices.shape[-2] > matrices.shape[-1]:
        return orthogonalized(matrices.mT).mT
    a, b, c = _QUINTIC
    x = matrices / matrices.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def make_optimizers(*modules: nn.Module) -> list[torch.optim.Optimizer]:
    """Optimizers of all parameters of the modules."""
    named = [item for module in modules for item in module.named_parameters()]
    matrices = [p for name, p in named if p.ndim == 2 and "layers." in name]
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in chosen]
    return [
        Float32Muon(matrices, lr=1e-3, momentum=0.95, weight_decay=0.05),
        torch.optim.AdamW(rest, lr=1e-3, betas=(0.9, 0.97), weight_decay=0.0),
    ]


def set_rate(optimizers: Sequence[torch.optim.Optimizer], rate: float) -> None:
    """Set the learning rate everywhere."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def descend(optimizers: Sequence[torch.optim.Optimizer], parameters: Sequence[nn.Parameter]) -> None:
    """One step along the gradients, which are clipped before and dropped after."""
    nn.utils.clip_grad_norm_(parameters, 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()


def trapezoid(step: int, steps: int, *, warm: int = 150, falling: float = 0.35) -> float:
    """Share of the highest learning rate: up over ``warm`` steps, level, and down to zero over the last part."""
    return min(1.0, (step + 1) / warm, (steps - step) / (falling * steps))


def sum_over_ranks(parameters: Sequence[nn.Parameter], values: Tensor) -> Tensor:
    """Add up gradients, in place, and the values ``[K]`` over the ranks, where there are several."""
    if not dist.is_initialized():
        return values
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([*(p.grad.flatten() for p in with_gradient if p.grad is not None), values])
    dist.all_reduce(flat)
    *gradients, values = flat.split([*(p.numel() for p in with_gradient), len(values)])
    for parameter, gradient in zip(with_gradient, gradients, strict=True):
        parameter.grad = gradient.view_as(parameter)
    return values


class TrainingState:
    """Everything a killed run needs to go on as if nothing had been, in one file.

    Args:
        file: Where it is kept.
        modules: Modules by name.
        optimizers: Their optimizers.
    """

    SECONDS = 120
    """Time between two states."""

    def __init__(self, file: Path, modules: dict[str, nn.Module], optimizers: Sequence[torch.optim.Optimizer]) -> None:
        self.file, self.modules, self.optimizers = file, modules, optimizers
        self._saved = time.monotonic()

    def load(self) -> int:
        """Take up the state, if there is one; returns the number of steps that are done."""
        if not self.file.exists():
            return 0
        state = torch.load(self.file, weights_only=True)
        for name, module in self.modules.items():
            module.load_state_dict(state[name])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        return int(state["step"])

    def save(self, step: int) -> None:
        """Write the state after ``step`` steps."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        state = {name: module.state_dict() for name, module in self.modules.items()}
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        with written_whole(self.file) as partial:
            torch.save({**state, "optimizers": optimizers, "step": step}, partial)
        self._saved = time.monotonic()

    def save_now_and_then(self, step: int) -> None:
        """Write the state if the last one is some minutes old."""
        if time.monotonic() - self._saved > self.SECONDS:
            self.save(step)
