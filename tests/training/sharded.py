"""`policykit train` in processes that FSDP or DeepSpeed divides a model among, on a CPU.

accelerate divides nothing on a CPU, and FSDP and DeepSpeed themselves can: this tells accelerate that the processes
have devices of the kind that it divides models among, and that the device is the CPU all the same. Nothing else is
replaced.
"""

import sys
from typing import Any

import accelerate
import torch
import torch.distributed as dist
from accelerate.state import PartialState
from accelerate.utils import DistributedType

from policykit.cli.main import main


def divided(self: Any, *_: Any) -> tuple[str, DistributedType]:
    return "gloo", DistributedType.MULTI_XPU


def on_a_cpu(self: Any) -> None:
    self.device = torch.device("cpu")


class NotToldOfACpu(accelerate.Accelerator):
    def __init__(self, cpu: bool) -> None:
        super().__init__()


if __name__ == "__main__":
    dist.init_process_group("gloo")
    state: Any = PartialState
    state._prepare_backend, state.set_device = divided, on_a_cpu
    accelerate.Accelerator = NotToldOfACpu  # type: ignore[misc]  # where the run looks it up
    status = main(sys.argv[1:])
    dist.destroy_process_group()
    sys.exit(status)
