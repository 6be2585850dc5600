"""Deletion vectors: which rows of a data file a version of its table leaves out, as the Delta protocol keeps that in the log.

A data file never changes. Where few of its rows are corrected or go, writing them down costs what they are, and writing the file again what it is.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from pyroaring import BitMap64

from lake.wording import counted

_MAGIC = struct.pack("<i", 1681511377)
_INLINE = "i"
_RFC_1924 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_TO_Z85, _FROM_Z85 = bytes.maketrans(_RFC_1924, _Z85), bytes.maketrans(_Z85, _RFC_1924)


@dataclass(frozen=True)
class Vector:
    """The positions, from 0, of rows of one file: `text` is their Roaring bitmap in the log's spelling, of `size` bytes before that; `rows` is how many.

    Source: Delta transaction log protocol, "Deletion Vectors"; ZeroMQ RFC 32 (Z85).
    """

    text: str
    size: int
    rows: int

    @classmethod
    def of(cls, positions: Iterable[int], earlier: Vector | None = None) -> Vector:
        """These positions, and those that were left out already."""
        bitmap = BitMap64(positions)
        if earlier is not None:
            bitmap |= earlier._bitmap()  # noqa: SLF001  # its own kind
        data = _MAGIC + bitmap.serialize()
        padded = data + bytes(-len(data) % 4)
        return cls(base64.b85encode(padded).translate(_TO_Z85).decode("ascii"), len(data), len(bitmap))

    @classmethod
    def told(cls, descriptor: dict[str, Any]) -> Vector:
        """From what an action of the log says. Raises ValueError where the vector is not in the log itself."""
        if descriptor["storageType"] != _INLINE:
            raise ValueError(f"a deletion vector of storage type {descriptor['storageType']!r}")
        return cls(descriptor["pathOrInlineDv"], descriptor["sizeInBytes"], descriptor["cardinality"])

    @property
    def descriptor(self) -> dict[str, Any]:
        """What an action of the log says."""
        return {"storageType": _INLINE, "pathOrInlineDv": self.text, "sizeInBytes": self.size, "cardinality": self.rows}

    def kept(self, rows: int) -> pl.Series:
        """Of each of the `rows` that the file holds, whether it is not left out: Boolean. Raises ValueError where the vector is damaged."""
        positions = np.frombuffer(self._bitmap().to_array(), dtype=np.uint64)
        if len(positions) != self.rows or (len(positions) and int(positions[-1]) >= rows):
            raise ValueError(f"a deletion vector of {counted(self.rows, 'row')} names {len(positions)}, in a file of {rows}")
        mask = np.ones(rows, dtype=np.bool_)
        mask[positions] = False
        return pl.Series(mask)

    def _bitmap(self) -> BitMap64:
        data = base64.b85decode(self.text.encode("ascii").translate(_FROM_Z85))[: self.size]
        if data[:4] != _MAGIC:
            raise ValueError("a deletion vector that does not begin with its magic number")
        return BitMap64.deserialize(data[4:])
