"""Numbers as people read them: sizes, durations, counts."""

_MINUTE, _HOUR = 60, 3600
_COARSE_FROM_S = 90


def human_bytes(size: float) -> str:
    """The size with a unit of 1,000s, in three figures at the most: "15.3 GB", "512 MB"."""
    units = iter(("B", "KB", "MB", "GB", "TB"))
    unit = next(units)
    # What would round to 1000 of a unit is one of the next.
    while size >= 999.5 and (larger := next(units, None)):
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"


def human_duration(seconds: float) -> str:
    """To the second: "8 minutes 34 seconds", "1 hour 2 minutes 3 seconds"."""
    whole = max(0, round(seconds))
    parts = [
        _count(number, unit)
        for number, unit in (
            (whole // _HOUR, "hour"),
            (whole % _HOUR // _MINUTE, "minute"),
            (whole % _MINUTE, "second"),
        )
        if number
    ]
    return " ".join(parts) or "0 seconds"


def rough_duration(seconds: float) -> str:
    """To the minute from a minute and a half on: "12 minutes", "2 hours 5 minutes", "45 seconds"."""
    if seconds < _COARSE_FROM_S:
        return human_duration(seconds)
    return human_duration(round(seconds / _MINUTE) * _MINUTE)


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"
