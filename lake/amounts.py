"""How amounts are spelled, on pages and in terminals alike."""

from __future__ import annotations


def size(count: int) -> str:
    """Bytes in the largest unit that keeps the number readable."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
