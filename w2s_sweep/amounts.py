"""Times and sizes as people say them: the same number reads the same in every table, line and report."""

UNITS = ("B", "kB", "MB", "GB", "TB")


def show_time(seconds: float) -> str:
    """`42 s`, `7 min`, `2 h 05 min`, `31 h`, `9 days`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{hours} h" if hours < 48 else f"{hours / 24:.0f} days"


def show_hours(hours: float) -> str:
    """Hours of a device, which are added up and paid: `1,240 h`, `3.2 h`; less than one as a time."""
    if hours >= 1:
        return f"{hours:,.0f} h" if hours >= 100 else f"{hours:.1f} h"
    return show_time(3600 * hours)


def show_bytes(count: float) -> str:
    """`532 B`, `3.2 MB`, `661 MB`: decimal units, as disks are sold."""
    size, unit = float(count), 0
    while size >= 999.5 and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {UNITS[unit]}" if unit == 0 or size >= 99.95 else f"{size:.1f} {UNITS[unit]}"
