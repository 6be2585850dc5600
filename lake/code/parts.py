"""The parts of a fingerprint: each thing that a hop's function reaches, under the name it goes by, with its text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

SCHEME = 2
"""Which way of looking at code made a fingerprint; those of different ways cannot be compared."""


@dataclass
class Part:
    """One thing that is reached: what it is called and what it is, its canonical text, and the text that people read.

    `form` refers to other parts by their numbers; `outline` is the same without them, by which the thing alone is compared. Where `hidden`, the text people read
    is only a digest.
    """

    name: str
    kind: str
    form: str = ""
    outline: str = ""
    text: str = ""

    @property
    def digest(self) -> str:
        """Changes whenever the thing itself does, wherever it stands and whatever it is called."""
        return hashlib.sha256(f"{self.kind} {self.outline}".encode()).hexdigest()[:16]

    def told(self) -> dict[str, Any]:
        """As plain data."""
        return {"name": self.name, "kind": self.kind, "digest": self.digest, "text": self.text}


@dataclass(frozen=True)
class Seen:
    """All that a function reaches: parts in the order they were met, and the packages of others by name with their versions."""

    parts: tuple[Part, ...]
    packages: dict[str, str] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """A hash of everything, names left out."""
        forms = [part.form for part in self.parts if part.form]
        packages = [f"{name} {version}" for name, version in sorted(self.packages.items())]
        return hashlib.sha256("\n".join([f"scheme {SCHEME}", *forms, *packages]).encode()).hexdigest()


def digest_of(*texts: str) -> str:
    """The fingerprint that these make together."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
