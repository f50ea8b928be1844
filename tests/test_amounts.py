"""Times and sizes in words, at the edges of their units."""

import pytest

from w2s_sweep.amounts import show_bytes, show_hours, show_time

HOUR, DAY = 3600, 86_400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.7, "1 min"),
        (HOUR - 31, "59 min"),
        (HOUR - 1, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (DAY - 31, "23 h 59 min"),
        (DAY, "24 h"),
        (2 * DAY, "2 days"),
        (9 * DAY, "9 days"),
    ],
)
def test_times(seconds, text):
    assert show_time(seconds) == text


def test_hours_of_a_device_stay_hours():
    assert [show_hours(hours) for hours in (1234.5, 3.04, 0.5, 0.002)] == ["1,234 h", "3.0 h", "30 min", "7 s"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (99_960, "100 kB"),
        (6.61e8, "661 MB"),
        (999_700, "1.0 MB"),
        (3.2e15, "3200 TB"),
    ],
)
def test_bytes(count, text):
    assert show_bytes(count) == text
