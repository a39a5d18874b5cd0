"""Entropy-driven sampling and training for classifier-guided diffusion (ED-DPM, ECCV 2022)."""
