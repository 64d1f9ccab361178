"""Timing of functions against each other: interleaved, in rounds, so that a busy machine disturbs both alike."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass
class Timing:
    """Medians over the rounds, in seconds a call, and the median of the rounds' own ratios to the first function."""

    seconds: list[float]
    ratios: list[float]  # time of the first function / time of each


def _clock(call: Callable[[], object], repeats: int, cuda: bool) -> float:
    if cuda:
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(repeats):
            call()
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop) / 1e3 / repeats
    begin = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - begin) / repeats


def interleaved(calls: list[Callable[[], object]], *, rounds: int, round_seconds: float, cuda: bool = False) -> Timing:
    """Times the calls in turn, `rounds` times, each for about `round_seconds`."""
    for call in calls:
        call()
        call()
    slowest = max(_clock(call, 1, cuda) for call in calls)
    repeats = max(1, int(round_seconds / max(slowest, 1e-7)))
    table = []
    for index in range(rounds):
        # Every second round goes backwards, so that none has always the same neighbour before it.
        order = range(len(calls)) if index % 2 == 0 else reversed(range(len(calls)))
        times = [0.0] * len(calls)
        for k in order:
            # Untimed at first: a processor takes half a millisecond to change its frequency where one of the functions
            # computes in 512 bits and its neighbour does not.
            _clock(calls[k], max(1, repeats // 3), cuda)
            times[k] = _clock(calls[k], repeats, cuda)
        table.append(times)
    columns = list(zip(*table, strict=True))
    ratios = [
        statistics.median(first / mine for first, mine in zip(columns[0], column, strict=True)) for column in columns
    ]
    return Timing([statistics.median(column) for column in columns], ratios)
