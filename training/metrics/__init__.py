"""Metric modules of the library `evaluate`, loaded by path: nothing is downloaded."""
