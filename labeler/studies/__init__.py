"""Experiments on top of the loop."""
