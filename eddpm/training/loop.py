"""One training loop for denoisers and classifiers. Every random choice of step k is a function of (seed, k) alone, so
that training which was killed goes on exactly as if it had not been.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from eddpm.config import TrainingConfig

LossFn = Callable[[nn.Module, Tensor, Tensor], Tensor]


class Trainer:
    """A network, its optimiser and its moving average, and where they stand."""

    def __init__(self, network: nn.Module, config: TrainingConfig):
        self.network, self.config, self.step = network, config, 0
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema_rate))
        self.log: list[dict] = []

    @property
    def result(self) -> nn.Module:
        """The network to keep: the moving average where there is one."""
        return self.average.module if self.config.ema_rate else self.network

    def state_dict(self) -> dict:
        parts = {name: getattr(self, name).state_dict() for name in ("network", "optimiser", "average")}
        return parts | {"step": self.step, "log": self.log}

    def load_state_dict(self, state: dict) -> None:
        for name in ("network", "optimiser", "average"):
            getattr(self, name).load_state_dict(state[name])
        self.step, self.log = state["step"], state["log"]


def run_training(
    trainer: Trainer,
    loss_fn: LossFn,
    x0: Tensor,
    y: Tensor,
    evaluate: Callable[[nn.Module], dict],
    save: Callable[[], None],
    steps_bar: Callable[[range], range] = lambda steps: steps,
) -> None:
    """Train to the end on images x0 (N, C, H, W) in [-1, 1] with labels y (N,).

    `loss_fn(network, x0, y)` gives the losses (B,) of a batch, with torch's own random numbers. Every `save_interval`
    steps, and at the end, the log gains the mean loss and what `evaluate(network)` finds, and `save()` keeps the state.
    """
    config, network = trainer.config, trainer.network
    losses = []
    for step in steps_bar(range(trainer.step, config.iterations)):
        network.train()
        for group in trainer.optimiser.param_groups:
            group["lr"] = config.lr * (1 - step / config.iterations)
        batch = batch_indices(config.seed, step, config.batch_size, len(x0)).to(x0.device)
        torch.manual_seed(address(config.seed, step))
        loss = loss_fn(network, x0[batch], y[batch]).mean()
        trainer.optimiser.zero_grad()
        loss.backward()
        trainer.optimiser.step()
        if config.ema_rate:
            trainer.average.update_parameters(network)
        losses.append(loss.detach())
        trainer.step = step + 1
        if trainer.step % config.save_interval == 0 or trainer.step == config.iterations:
            trainer.result.eval()
            mean_loss = torch.stack(losses).mean().item()
            trainer.log.append({"step": trainer.step, "loss": mean_loss, **evaluate(trainer.result)})
            losses = []
            save()


def address(seed: int, number: int) -> int:
    """The torch seed of one step or epoch."""
    return seed * 1_000_003 + number


def batch_indices(seed: int, step: int, batch_size: int, total: int) -> Tensor:
    """The images of one step, (batch_size,) int64: epochs of fresh random order, cut into batches without a gap."""
    epochs = range(step * batch_size // total, ((step + 1) * batch_size - 1) // total + 1)
    sources = (torch.Generator().manual_seed(address(seed, epoch)) for epoch in epochs)
    order = torch.cat([torch.randperm(total, generator=source) for source in sources])
    start = step * batch_size - epochs[0] * total
    return order[start : start + batch_size]
