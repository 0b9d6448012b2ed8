"""Values of what is still to come, for PPO: one for the task's reward, and one for the cost of every group of rules."""
# torch and transformers leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import copy
from typing import Any

import torch

from policykit.training.rl.draw import inner, takes
from policykit.training.rl.score import TokenBatch


class Critics(torch.nn.Module):
    """``n`` values at every position of completions, [B, T, n], before its token is written; 0 before training.

    They read the policy's last hidden states, into which no gradient of theirs goes, or with ``body`` (a model without
    its head) states of their own, and train that too.
    """

    def __init__(self, hidden_size: int, n: int, body: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        last = torch.nn.Linear(hidden_size, n)
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.zeros_(last.bias)
        self.head = torch.nn.Sequential(torch.nn.Linear(hidden_size, hidden_size), torch.nn.Tanh(), last)

    def forward(self, batch: TokenBatch, hidden: torch.Tensor | None) -> torch.Tensor:
        """``hidden`` [B, T, H] are the policy's, and are not read by critics with a body."""
        if self.body is not None:
            more: dict[str, Any] = {}
            if takes(self.body, "position_ids"):
                more["position_ids"] = (batch.attention_mask.cumsum(-1) - 1).clamp(min=0)
            body: Any = self.body
            out = body(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False, **more)
            hidden = out.last_hidden_state[:, -batch.n_tokens - 1 : -1]
        assert hidden is not None, "critics without a body read the policy's states"
        # The head keeps its own precision, whatever the model is in: half of one has no room for small steps.
        hidden = (hidden.detach() if self.body is None else hidden).to(next(self.head.parameters()).dtype)
        return self.head(hidden).float()


def critics_for(model: Any, n: int, *, with_body: bool = False) -> Critics:
    """Critics of the model's size and on its device; a body is a copy of the model's own, adapters merged."""
    plain = inner(model)
    body = None
    if with_body:
        whole = copy.deepcopy(model)
        body = (whole.merge_and_unload() if hasattr(whole, "merge_and_unload") else inner(whole)).base_model
        body.requires_grad_(True)
    parameter = next(plain.parameters())
    return Critics(plain.config.get_text_config().hidden_size, n, body).to(parameter.device)
