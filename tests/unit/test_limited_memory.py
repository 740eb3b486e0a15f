"""A replica over its memory limit says so once, not at each look."""

import logging

import pytest

from deployments.replica import LimitedMemory


def test_it_warns_once_a_crossing_and_not_for_hovering_at_the_limit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    held = iter([90, 101, 150, 99, 101, 94, 101])
    memory = LimitedMemory("classifier", limit_bytes=100, measure=lambda deployment: next(held))
    warnings, states = [], []
    with caplog.at_level(logging.WARNING, logger="ray.serve"):
        for _ in range(7):
            memory.report()
            warnings.append(len(caplog.records))
            states.append(memory.is_over)
    assert warnings == [0, 1, 1, 1, 1, 1, 2]
    assert states == [False, True, True, True, True, False, True]
