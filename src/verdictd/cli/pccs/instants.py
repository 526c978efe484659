"""Instants and how far they are away, as a person reads them."""

from datetime import datetime, timedelta


def show_instant(instant: datetime) -> str:
    """Write an instant (aware, UTC) to the second."""
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def show_span(span: timedelta) -> str:
    """Write how long something takes, in its largest unit: ``3 days``, ``1 hour``."""
    seconds = int(abs(span).total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} s"


def show_expiry(expires_at: datetime, now: datetime) -> str:
    """Write when something expires, and how far that is away."""
    left = expires_at - now
    if left <= timedelta():
        return f"EXPIRED {show_span(left)} ago, on {show_instant(expires_at)}"
    return f"until {show_instant(expires_at)}, {show_span(left)} left"
