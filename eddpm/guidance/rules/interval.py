"""Guidance in a limited interval of noise levels (Kynkäänniemi et al., 2024), there for two denoisers."""

from eddpm.guidance.rule import Rule, Timesteps


class Interval(Rule):
    """s = scale within `timesteps`, none elsewhere, where no network is asked for it; for any kind of guidance."""

    kind = "any"

    timesteps: Timesteps
