"""Bedrooms from noise: a Wasserstein GAN (Arjovsky et al. 2017) at 64x64, as in the lesson."""
