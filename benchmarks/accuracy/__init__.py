"""Measures the error of every op: `python -m benchmarks.accuracy`."""
