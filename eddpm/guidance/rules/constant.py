"""ADM's guidance (Dhariwal and Nichol, 2021, alg. 1 and 2)."""

from eddpm.guidance.rule import Rule


class Constant(Rule):
    """s = scale."""
