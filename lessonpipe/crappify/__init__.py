"""Synthetic degradation of pictures: a recipe is a list of steps, and a step is one file."""

from lessonpipe.crappify.recipe import Recipe
from lessonpipe.crappify.step import Random, Step

__all__ = ["Random", "Recipe", "Step"]
