"""Handwritten digits (MNIST): a plain CNN of 12,126 numbers, and what shortcuts add to it."""
