"""Autoguidance (Karras et al., 2024, Guiding a diffusion model with a bad version of itself)."""

from eddpm.guidance.rule import Pair


class Autoguidance(Pair):
    """x0 moves away from that of the denoiser `weak`: a smaller one, trained for fewer steps, of the same classes."""

    weak: str

    @property
    def other(self):
        return self.weak
