"""Our guided step beside the published order of operations, on the same weights: the table of docs/sampling.md.

python benchmarks/sampling.py [--sizes 32 64 128] [--width 64] [--batch 4] [--precisions float32 bfloat16]

Both guide an unconditional ADM denoiser by EDS in DDIM, each in a process of its own, since they treat freed memory
differently; their rounds take turns. `ratio` is the median over rounds of the seconds of one step, theirs by ours.
The parts are those of our step. `floor` is the time that the operations of the networks (their multiplications and
additions, by torch's count, a backward pass like a forward pass) take at the rate of a matrix product here. `copies` is
the time that the operations, one by one, take to read their operands and to write their results at the rate of a copy.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import NamedTuple

import published
import torch
from metrics import machine
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from eddpm.config.networks import EncoderConfig, UNetConfig
from eddpm.diffusion.noise import ImageNoise
from eddpm.diffusion.sampling import sample_ddim
from eddpm.diffusion.schedule import make_schedule, respace
from eddpm.guidance.guide import classifier_guidance
from eddpm.guidance.rules.entropy import Entropy
from eddpm.models.build import build_classifier, build_denoiser
from eddpm.models.device import device_name, in_hardware, pick_device
from eddpm.models.layers import set_trunk_dtype

CHANNEL_MULT = {32: (1, 2, 2), 64: (1, 2, 3, 4), 128: (1, 1, 2, 3, 4), 256: (1, 1, 2, 2, 4, 4)}  # of ADM, from 64 on
CLASSES, SCALE, STEPS = 1000, 1.0, 2
PARTS = ("denoiser", "classifier forward", "classifier backward", "noise")


class Bytes(TorchDispatchMode):
    """Counts the bytes that operations read and write; a view moves none."""

    total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        if not any(result.alias_info for result in function._schema.returns):
            moved = [x for x in tree_leaves((args, kwargs, found)) if isinstance(x, torch.Tensor)]
            self.total += sum(x.nbytes for x in moved)
        return found


class Case(NamedTuple):
    size: int
    width: int
    classifier_width: int
    batch: int
    precision: str
    compiled: bool
    channels_last: bool
    given_memory: bool

    def networks(self) -> tuple[torch.nn.Module, torch.nn.Module]:
        """ADM's denoiser and classifier of this size, with random weights that no zero keeps from the output."""
        of_images = {"image_size": self.size, "image_channels": 3, "channel_mult": CHANNEL_MULT[self.size]}
        shared = {**of_images, "attention_resolutions": (32, 16, 8), "num_head_channels": 64}
        torch.manual_seed(0)
        denoiser = build_denoiser(UNetConfig(**shared, num_channels=self.width), frozen=True)
        config = EncoderConfig(**shared, classifier_width=self.classifier_width, num_classes=CLASSES)
        classifier = build_classifier(config, frozen=True)
        for network in (denoiser, classifier):
            for weights in network.parameters():
                if not weights.any():
                    torch.nn.init.normal_(weights, std=0.02)
            set_trunk_dtype(network, getattr(torch, self.precision))
        return denoiser, classifier


class Side:
    """One of the two ways to take the steps, with its networks."""

    def __init__(self, case: Case, ours: bool):
        self.case, self.ours = case, ours
        plain = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.device = pick_device() if ours and not case.given_memory else plain  # the first keeps freed memory
        torch.backends.cudnn.allow_tf32 = False  # float32 is float32 on both sides
        self.denoiser, self.classifier = (network.to(self.device) for network in case.networks())
        if not ours:
            published.as_published(self.denoiser), published.as_published(self.classifier)
        elif case.channels_last:
            for network in (self.denoiser, self.classifier):
                network.to(memory_format=torch.channels_last)
        if ours and case.compiled:
            self.denoiser.compile(), self.classifier.compile()
        self.schedule = respace(make_schedule("cosine"), f"{STEPS},0,0")  # of the noisy third, where EDS is moderate
        self.y = torch.arange(case.batch, device=self.device) % CLASSES
        self.x_T = self.noise()
        self.t = torch.full_like(self.y, int(self.schedule.timesteps[-1]))

    def noise(self) -> torch.Tensor:
        shape = (3, self.case.size, self.case.size)
        return ImageNoise(0, range(self.case.batch), shape, self.device).draw()

    def sample(self) -> torch.Tensor:
        """x_0 after STEPS steps."""
        if not self.ours:
            return published.sample_ddim(self.denoiser, self.classifier, self.schedule, self.x_T, self.y, SCALE)
        guide_fn = classifier_guidance(self.classifier, self.y, Entropy(), SCALE)
        return sample_ddim(self.denoiser, self.schedule, self.x_T, guide_fn=guide_fn)

    def seconds(self, function: Callable[[], object]) -> float:
        # On a CPU, time of the processor, which other processes take none of.
        clock = time.perf_counter if self.device.type == "cuda" else time.process_time
        started = clock()
        function()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return clock() - started

    def parts(self) -> list[float]:
        """Seconds of PARTS, for one step."""
        with torch.no_grad():
            denoiser = self.seconds(lambda: self.denoiser(self.x_T, self.t))
        x_in, kept = self.x_T.clone().requires_grad_(), []
        forward = self.seconds(lambda: kept.append(self.classifier(x_in, self.t)))
        backward = self.seconds(lambda: torch.autograd.grad(kept[0].sum(), x_in))
        return [denoiser, forward, backward, self.seconds(self.noise)]

    @torch.no_grad()
    def operations(self) -> tuple[int, int]:
        """Of the networks in one step: multiplications and additions, and bytes moved."""
        counts, moved = [], []
        for network in (self.denoiser, self.classifier):
            with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # the others are not counted
                network(self.x_T, self.t)
            with Bytes() as bytes_of:
                network(self.x_T, self.t)
            counts.append(counter.get_total_flops())
            moved.append(bytes_of.total)
        return counts[0] + 2 * counts[1], moved[0] + 2 * moved[1]

    def matrix_rate(self) -> float:
        """Multiplications and additions a second of a matrix product in the trunk's type."""
        side = 8192 if self.device.type == "cuda" else 1024
        a = torch.randn(side, side, device=self.device).to(getattr(torch, self.case.precision))
        return 2 * side**3 / min(self.seconds(lambda: a @ a) for _ in range(5))

    def copy_rate(self) -> float:
        """Bytes a second, read and written, of a copy larger than any cache."""
        a = torch.ones(2**31 if self.device.type == "cuda" else 2**28, dtype=torch.uint8, device=self.device)
        b = torch.empty_like(a)
        return 2 * a.nbytes / min(self.seconds(lambda: b.copy_(a)) for _ in range(5))


def serve(pipe: Connection, case: Case, ours: bool) -> None:
    """Answer the name of a method of `Side` with its result."""
    torch.set_num_threads(1)
    side = Side(case, ours)
    while name := pipe.recv():
        if name == "step":
            pipe.send(side.seconds(side.sample) / STEPS)
        else:
            answer = getattr(side, name)()
            pipe.send(answer.cpu() if isinstance(answer, torch.Tensor) else answer)


def compare(case: Case, rounds: int) -> str:
    """A row of the table."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for is_ours in (False, True):
        pipe, other_end = context.Pipe()
        processes.append(context.Process(target=serve, args=(other_end, case, is_ours), daemon=True))
        processes[-1].start()
        pipes.append(pipe)

    def ask(pipe: Connection, name: str):
        pipe.send(name)
        return pipe.recv()

    theirs, ours = pipes
    a, b = ask(theirs, "sample"), ask(ours, "sample")  # warms up, too
    difference = ((a - b).norm() / a.norm()).item()
    turns = [
        (ask(theirs, "step"), ask(ours, "step"), ask(ours, "parts"), ask(ours, "matrix_rate")) for _ in range(rounds)
    ]
    operations, moved = ask(theirs, "operations")
    copy_rate = ask(theirs, "copy_rate")
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(None)
        process.join()

    ratios = sorted(their / our for their, our, _, _ in turns)
    step = statistics.median(our for _, our, _, _ in turns)
    parts = [statistics.median(column) for column in zip(*(turn[2] for turn in turns), strict=True)]
    floor = statistics.median(operations / rate / our for _, our, _, rate in turns)
    cells = [case.size, case.precision, f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"]
    cells += [f"{difference:.0e}", f"{1000 * step:.1f}", *(f"{part / step:.0%}" for part in parts)]
    cells += [f"{max(0.0, 1 - sum(parts) / step):.0%}", f"{floor:.0%}", f"{moved / copy_rate / step:.0%}"]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", choices=CHANNEL_MULT, default=[32, 64, 128])
    parser.add_argument("--width", type=int, default=64, help="channels of the first level (64; ADM: 192 or 256)")
    parser.add_argument("--classifier-width", type=int, help="as --width (ADM: 128)")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="our networks by torch.compile")
    parser.add_argument("--channels-last", action="store_true", help="our weights in this layout")
    parser.add_argument("--given-memory", action="store_true", help="ours with the memory as glibc gives it")
    arguments = parser.parse_args()
    device = pick_device()
    head = ["size", "trunk", "ratio (least to most)", "difference", "our step, ms", *PARTS, "rest", "floor", "copies"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    slow = [name for name in arguments.precisions if not in_hardware(device, getattr(torch, name))]
    for size in arguments.sizes:
        for precision in arguments.precisions:
            if precision not in slow:
                widths = arguments.width, arguments.classifier_width or arguments.width
                options = arguments.compile, arguments.channels_last, arguments.given_memory
                case = Case(size, *widths, arguments.batch, precision, *options)
                print(compare(case, arguments.rounds), flush=True)
    if slow:
        print(f"\n{' and '.join(slow)}: left out, since this CPU has no instructions for it.")
    print(
        f"\nWidth {arguments.width}, batches of {arguments.batch}, {arguments.rounds} rounds"
        f"{', compiled' if arguments.compile else ''}"
        f"{', channels last' if arguments.channels_last else ''}, {device_name(device)}"
        f" (1 thread for a process), {machine()}."
    )


if __name__ == "__main__":
    main()
