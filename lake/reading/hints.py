"""What a source knows about its files, and lake need not find out."""

from __future__ import annotations

import codecs
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from lake.reading.formats import Format
from lake.reading.layouts import LayoutName, quotes_of

_LONGEST_DELIMITER = 8  # characters
_OR = {"delimiter": ", nor up to eight of them", "quote": ", nor a pair of quotes such as “” or ''"}


class Hints(BaseModel):
    """What the source knows about its files and lake need not find out. None is not known.

    `quote`: "" says that no sign quotes. `header`: the number of header records (more than one are joined into names), False for none. `skip_lines` and
    `footer_lines`: physical lines above the header and below the last record. `comment`: what lines that are no records begin with. `table`: which table
    of a file that holds several, from 1. `delimiter` may have up to eight characters, and `quote` be a pair such as “” or the doubled apostrophe. `layout`: `bars` before and after
    each record, tables of `markdown` or in a `box`, columns of `fixed` width (`widths` in characters, where blanks do not tell) or parted by two `blanks`. `records`: where in a JSON document they are, a list by names joined with points; `$.*` are the members of an object, whose
    names become the field `key`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Format | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header: bool | Annotated[int, Field(ge=0, le=100)] | None = None
    sheet: str | int | None = None
    records: str | None = None
    key: str | None = Field(default=None, min_length=1)
    most_bytes: int | None = Field(default=None, gt=0)
    quote: str | None = None
    escape: str | None = None
    skip_lines: int | None = Field(default=None, ge=0)
    footer_lines: int | None = Field(default=None, ge=0)
    comment: str | None = Field(default=None, min_length=1)
    table: int | None = Field(default=None, ge=1)
    layout: LayoutName | None = None
    widths: list[Annotated[int, Field(ge=1)]] | None = Field(default=None, min_length=2)

    @field_validator("encoding")
    @classmethod
    def _is_an_encoding(cls, value: str | None) -> str | None:
        try:
            return codecs.lookup(value).name.removesuffix("-sig") if value else None  # a mark is told from the bytes
        except LookupError:
            raise ValueError(f"{value!r} is no encoding Python knows") from None

    @field_validator("delimiter", "quote", "escape")
    @classmethod
    def _is_a_sign(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or (info.field_name == "quote" and (value == "" or quotes_of(value))):
            return value
        if info.field_name == "delimiter" and 1 < len(value) <= _LONGEST_DELIMITER and value.isascii() and not set(value) & set('\r\n"') and value.strip(" "):
            return value
        if len(value) != 1 or not value.isascii() or value in "\r\n" or (info.field_name == "delimiter" and value == '"'):
            raise ValueError(f"{value!r} is not one ASCII character" + _OR.get(info.field_name or "", ""))
        return value

    @field_validator("widths", mode="before")
    @classmethod
    def _are_widths(cls, value: object) -> object:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _agree(self) -> Hints:
        if self.widths is not None and self.layout != "fixed":
            raise ValueError("widths are those of columns of fixed width: add layout='fixed'")
        if self.layout not in (None, "bars") and self.delimiter is not None:
            raise ValueError(f"a text laid out as {self.layout} has no delimiter")
        return self
