"""Evaluation: scores, bootstrap intervals, tables, curves, and the pages that show them."""
