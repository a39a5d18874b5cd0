"""The form of a guidance rule: four hooks, and typed parameters that are checked without torch.

A rule is a file in rules/, named as the rule, with one subclass of `Rule`. Its parameters are fields; it overrides the
hooks that it needs:

    guides      the gate: is there guidance at this step? Only this one saves time
    point       the image, and its timestep, that the classifier is asked about
    log_boost   the logarithm of a factor on the guidance scale, image by image
    cotangent   the vector in the space of the logits that is propagated back to the image
    reshape     a change of the finished gradient
    other       the second denoiser of a pair, see `Pair`

Rules of one method combine: all gates hold, boosts add up, changes follow one another; one rule at most has a cotangent
of its own. A rule sees each image alone, and keeps what it needs of earlier steps in `state.memory`, image by image: so
image i of a run stays a function of (seed, i).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

if TYPE_CHECKING:
    from torch import Tensor

    from eddpm.guidance.logits import Answer, Signed
    from eddpm.guidance.state import State


# A random integer below n for each image (B,) int64, from a stream of the image's own at this step.
Draws = Callable[[int], "Tensor"]


class Pull(NamedTuple):
    """A gradient as gradient (B, C, H, W) * exp(log_size (B,)): the product itself may leave the range of its type."""

    gradient: "Tensor"
    log_size: "Tensor"  # float64


def as_images(values: "Tensor", images: "Tensor") -> "Tensor":
    """Numbers of images (B,) in the type and shape to multiply the images (B, ...)."""
    return values.to(images.dtype).view(-1, *[1] * (images.ndim - 1))


def norms(images: "Tensor") -> "Tensor":
    """(B, ...) -> (B,) float64."""
    return images.flatten(1).double().norm(dim=1)


def _check_rising(timesteps: Any) -> Any:
    match timesteps:
        case [int(first), int(last)] if 0 <= first <= last:
            return timesteps
    raise ValueError("write the lowest and the highest timestep, both included: [300, 900]")


# Kinds of parameters.
Timesteps = Annotated[tuple[int, int], BeforeValidator(_check_rising)]
Positive = Annotated[int, Field(gt=0, lt=2**63)]
TwoOrMore = Annotated[int, Field(ge=2, lt=2**63)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Rule(BaseModel):
    """A guidance rule; without hooks of its own, the gradient of log p(y | x_t) at a constant scale (ADM alg. 1, 2)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ClassVar[Literal["classifier", "pair", "any"]] = "classifier"  # of guidance that it is a part of
    bounded: ClassVar[bool] = False  # it moves x_{t-1} by a length of its own, however little signal is left there

    timesteps: Timesteps | None = None  # where it guides, lowest and highest, both included; null: everywhere

    @classmethod
    def rule(cls) -> str:
        """The name of the rule, which is that of its file."""
        return cls.__module__.rpartition(".")[2]

    @model_serializer(mode="wrap")
    def _named(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"rule": self.rule(), **serialize(self)}

    # The hooks ----------------------------------------------------------------------------------------------------

    def guides(self, k: int, num_steps: int, t: int) -> bool:
        """The gate of step k of `num_steps`, k = 0 the noisiest, whose timestep in the full schedule is t."""
        return self.timesteps is None or self.timesteps[0] <= t <= self.timesteps[1]

    def point(self, x_t: "Tensor", t: "Tensor", state: "State") -> tuple["Tensor", "Tensor"]:
        """The image (B, C, H, W) for the classifier, which the gradient is of, and its timesteps (B,)."""
        return x_t, t

    def log_boost(self, answer: "Answer", state: "State") -> "Tensor | float":
        """The logarithm of each image's factor on the scale, (B,) float64."""
        return 0.0

    def cotangent(self, answer: "Answer", state: "State") -> "Signed":
        """The vector to propagate back from the logits, as signs and log magnitudes, each (B, C) float64."""
        return answer.residual

    def reshape(self, pull: Pull, state: "State") -> Pull:
        """The finished gradient at scale 1, changed; of a `Pair` the difference of the two x0."""
        return pull


class Pair(Rule):
    """A rule of two denoisers, no classifier: x0 = x0_other + w (x0_run - x0_other) at scale w.

    Each x0 is clipped as samplers clip it. The difference reaches the sampler as a gradient of this effect, so that it
    need not know. Scale 1 is the run's own denoiser, scale 0 the other one.
    """

    kind, bounded = "pair", True
    asks_for_no_class: ClassVar[bool] = False  # of the other denoiser

    @property
    def other(self) -> str | None:
        """The name of the other denoiser; null: the run's own one, asked for other labels, see `labels`."""
        return None

    def labels(self, y: "Tensor", num_classes: int, draws: "Draws") -> "Tensor | None":
        """The labels (B,) that the other denoiser is asked for; none: it is asked for no class."""
        return None if self.asks_for_no_class else y


def combined(rule: Rule | Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules of a method. Raises ValueError where they do not go together."""
    rules = (rule,) if isinstance(rule, Rule) else tuple(rule)
    names = ", ".join(each.rule() for each in rules)
    kinds = {each.kind for each in rules} - {"any"}
    pairs = sum(isinstance(each, Pair) for each in rules)
    if not rules:
        raise ValueError("a method needs a rule; name one")
    if len(kinds) > 1:
        raise ValueError(f"rules {names}: some are of a classifier, some of two denoisers; combine those of one kind")
    if pairs != ("pair" in kinds):
        raise ValueError(f"rules {names}: {pairs} of them name a second denoiser; one has to")
    if sum(type(each).cotangent is not Rule.cotangent for each in rules) > 1:
        raise ValueError(f"rules {names}: more than one has a cotangent of its own; combine one at most")
    return rules


def kind_of(rules: Sequence[Rule]) -> str:
    """The kind of guidance of combined rules: of a "classifier", or of a "pair" of denoisers."""
    return "pair" if any(each.kind == "pair" for each in rules) else "classifier"


def is_guided(rules: Sequence[Rule]) -> bool:
    """Any of them guides; the rule none does not."""
    return any(each.rule() != "none" for each in rules)


def neutral_scale(rules: Sequence[Rule]) -> float:
    """The scale at which guidance changes nothing."""
    return 1.0 if kind_of(rules) == "pair" else 0.0
