"""Classifier-free guidance (Ho and Salimans, 2022)."""

from eddpm.guidance.rule import Pair


class ClassifierFree(Pair):
    """eps = eps_unconditional + w (eps_conditional - eps_unconditional): the run's denoiser is the conditional one.

    `unconditional` names another denoiser; null: the run's own, trained with label dropout, is asked for no class.
    `timesteps` limit it to an interval (Kynkäänniemi et al., 2024), outside which the other denoiser costs nothing.
    """

    asks_for_no_class = True

    unconditional: str | None = None

    @property
    def other(self):
        return self.unconditional
