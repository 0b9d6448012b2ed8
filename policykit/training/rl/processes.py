"""Several processes that train one model: what they observe is shared, and their gradients are summed."""
# torch leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist

Row = TypeVar("Row")


def n_processes() -> int:
    """1 outside a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gathered(rows: list[Row]) -> list[Row]:
    """The rows of all processes, in their order: the same list in each. Every process has to call it."""
    if n_processes() == 1:
        return rows
    parts: list[Any] = [None] * n_processes()
    dist.all_gather_object(parts, rows)
    return [row for part in parts for row in part]


def summed(*values: float) -> tuple[float, ...]:
    """Each value's sum over all processes."""
    if n_processes() == 1:
        return values
    total = torch.tensor(values, dtype=torch.float64)
    if dist.get_backend() == "nccl":
        total = total.cuda()
    dist.all_reduce(total)
    return tuple(total.tolist())


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Each parameter's gradient becomes its sum over all processes; a process without one adds nothing."""
    if n_processes() == 1:
        return
    for parameter in parameters:
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)


def rank() -> int:
    """Which of the processes this is, from 0."""
    return dist.get_rank() if n_processes() > 1 else 0
