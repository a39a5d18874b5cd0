"""The settings of sampling: what decides an image, from the columns of a runs table to the networks."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from eddpm.config.methods import Method
from eddpm.config.networks import EncoderConfig, UNetConfig
from eddpm.config.schema import DiffusionConfig, Precision, Respacing
from eddpm.config.settings import NonNegative, Seed, Settings, TwoOrMore, in_order
from eddpm.diffusion.respacing import kept_timesteps, noise_alpha_bars
from eddpm.guidance.rule import Pair, Rule, is_guided, kind_of, neutral_scale


class RunColumns(Settings):
    """The columns of a runs table that decide an image, with `guidance`: there a method's name, here its rules.

    A new column stands last, with a default that changes nothing: names and identities of other runs then stay.
    """

    sampler: Literal["ddpm", "ddim"]
    steps: Respacing
    scale: NonNegative | Literal["best"]  # best: as the sweep finds it
    seed: Seed
    gradient_at: Literal["x_t", "mean"] = "x_t"  # mean: that of x_{t-1}, at the timestep of x_{t-1}
    labels: Literal["balanced", "random"] = "balanced"
    guided_x0: Literal["unbounded", "clipped", "thresholded"] = "unbounded"  # of DDIM; ADM leaves it as it is

    @model_validator(mode="after")
    def _options_fit(self):
        if (self.sampler, self.gradient_at) == ("ddim", "mean"):
            raise ValueError("gradient_at 'mean' is derived for sampler 'ddpm' alone; set that, or gradient_at 'x_t'")
        if self.sampler == "ddpm" and self.guided_x0 != "unbounded":
            raise ValueError(f"guided_x0 '{self.guided_x0}' is of sampler 'ddim' alone; set that, or leave it out")
        return self


REQUIRED_COLUMNS = ("sampler", "steps", "guidance", "scale", "seed")

# Of 10 steps or more that begin above alpha_bar = 1e-5, DDIM's gain is 2 at most; of 5 it is 8.
MOST_GAIN = 10


class SampleConfig(RunColumns):
    """All that decides what image i of a run looks like, apart from the weights."""

    name: str
    denoiser: UNetConfig
    classifier: EncoderConfig | None
    num_classes: TwoOrMore
    diffusion: DiffusionConfig
    guidance: Method
    scale: NonNegative
    precision: Precision = "float32"
    compile: bool = False  # moves results by roundings
    other_denoiser: UNetConfig | None = None  # of a pair

    @property
    def is_guided(self) -> bool:
        """The scale has an effect."""
        return is_guided(self.guidance) and self.scale != neutral_scale(self.guidance)

    @model_validator(mode="after")
    def _timesteps_exist(self):
        total = self.diffusion.diffusion_steps
        try:
            kept_timesteps(total, self.steps)
        except ValueError as error:
            raise ValueError(f"steps '{self.steps}': {error}; take other steps") from None
        for rule in self.guidance:
            for name, value in rule:
                if name.endswith("timesteps") and value and value[1] >= total:
                    raise ValueError(
                        f"guidance: {name} {list(value)} lie beyond the last timestep; end them at {total - 1}"
                    )
        return self

    @model_validator(mode="after")
    def _guidance_fits(self):
        rules = ", ".join(rule.rule() for rule in self.guidance)
        kind = kind_of(self.guidance)
        if kind == "classifier" and is_guided(self.guidance) and self.classifier is None:
            raise ValueError(f"guidance by {rules} needs a classifier; name one, or write none")
        if kind == "pair" and self.classifier is not None:
            raise ValueError(f"guidance by {rules} is of two denoisers; name no classifier")
        if self.gradient_at == "mean" and kind == "pair":
            raise ValueError(f"gradient_at 'mean' is of a classifier, guidance by {rules} has none; set it to 'x_t'")
        if self.gradient_at == "mean" and any(type(rule).point is not Rule.point for rule in self.guidance):
            raise ValueError(f"gradient_at 'mean' and guidance by {rules} ask at two places; set gradient_at 'x_t'")
        return self

    @model_validator(mode="after")
    def _denoisers_know_what_a_pair_asks(self):
        pair = next((rule for rule in self.guidance if isinstance(rule, Pair)), None)
        if pair is None:
            return self
        other, which = (self.other_denoiser, "the other") if self.other_denoiser else (self.denoiser, "its")
        of_classes = pair.asks_for_no_class or other is self.denoiser or other.num_classes
        if of_classes and not self.denoiser.num_classes:
            raise ValueError(f"guidance by {pair.rule()} needs a denoiser that knows the classes; take one")
        if pair.asks_for_no_class and other.num_classes == self.num_classes:
            raise ValueError(
                f"guidance by {pair.rule()} asks {which} denoiser for no class, which it has not learned; train it with"
                " label_dropout, or name another denoiser as unconditional"
            )
        return self

    @model_validator(mode="after")
    def _first_step_is_sound(self):
        """Where hardly any signal is left, DDIM turns guidance into a change of x0 thousands of times as large."""
        if self.sampler != "ddim" or self.guided_x0 != "unbounded" or not self.is_guided:
            return self
        if any(rule.bounded for rule in self.guidance):
            return self
        kept = kept_timesteps(self.diffusion.diffusion_steps, self.steps)[::-1]
        bars = noise_alpha_bars(self.diffusion.noise_schedule, self.diffusion.diffusion_steps)
        for k, t in enumerate(kept):
            abar, cleaner = bars[t], bars[kept[k + 1]] if k + 1 < len(kept) else 1.0
            gain = math.sqrt(cleaner / abar) * (1 - abar) - math.sqrt((1 - cleaner) * (1 - abar))
            if gain > MOST_GAIN and all(rule.guides(k, len(kept), t) for rule in self.guidance):
                raise ValueError(
                    f"steps '{self.steps}' keep t = {t}, where alpha_bar is {abar:.1g}: there DDIM would move the image"
                    f" by {gain:,.0f} times the guidance; take steps that end lower, such as ddim25, or set guided_x0"
                    " to clipped"
                )
        return self

    @model_serializer(mode="wrap")
    def _in_order(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """In the one order of frozen settings and of identities."""
        networks = ("name", "denoiser", "classifier", "num_classes", "diffusion")
        values = in_order(serialize(self), (*networks, *REQUIRED_COLUMNS, "precision"))
        if not self.compile:
            values.pop("compile", None)  # samples that were made before there was this key stay
        return values


class Criterion(Settings):
    """The best scale has the lowest `minimise` among those that hold every bound of `at_least`; ties: the lowest scale.

    Metrics are named as in the tables: "accuracy", "pixels/fid".
    """

    minimise: str
    at_least: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(default_factory=dict)


class ChoiceConfig(Settings):
    """A run whose scale is chosen from a sweep: the criterion, and the run that awaits its scale."""

    criterion: Criterion
    run: SampleConfig
