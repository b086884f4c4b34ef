"""Training: one net, two nets that take turns, and where it all runs."""
