"""One recipe for both bases: Muon for the matrices of the layers, AdamW for everything else."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

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
