"""Experiments through DVC's queue: ablations, the recipe gallery, sweeps."""
