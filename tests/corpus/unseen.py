"""Clean tables for every corpus but the one whose score is published: other subjects, names and spellings, so that nobody can have read for them."""

from __future__ import annotations

import random

from tests.corpus.tables import Maker, Table

UNSEEN_MAKERS: dict[str, Maker] = {}

_PARTS = ["Schraube M6", "Dichtung", "Lager 6204", "Riemen, schmal", "Filter", "Öl 5W-30", "Kabel (3 m)", "Düse"]
_PLACES = ["Straßburg", "Aix-en-Provence", "São Paulo", "Kraków", "Bois-le-Duc", "Hull", "Vaasa"]
_SPOKEN = [
    "ok", "asked for a refund; sent form B", "no answer, try again", 'reads "error 7" on start', "Kunde zufrieden", "très bien", "wrong size, exchanged", "lost; see ticket",
]  # fmt: skip


def _maker(function: Maker) -> Maker:
    UNSEEN_MAKERS[function.__name__] = function
    return function


@_maker
def stock(draw: random.Random, count: int) -> Table:
    """German spellings of dates and amounts, and numbers grouped by points."""
    rows = [
        [f"A-{100 + i}", draw.choice(_PARTS), f"{draw.randint(1, 9)}.{draw.randint(100, 999)},{draw.randint(0, 99):02d}", f"{draw.randint(1, 28):02d}.{draw.randint(1, 12):02d}.2023",
         str(draw.randint(0, 500))] for i in range(count)
    ]  # fmt: skip
    return Table("stock", ["Teil", "Bezeichnung", "Preis", "Stand", "Menge"], rows, text=1, keyed=True)


@_maker
def sensors(draw: random.Random, count: int) -> Table:
    """Readings with an offset in their instant, exponents and signs."""
    rows = [
        [f"2022-{1 + i % 12:02d}-{1 + i % 28:02d} {i % 24:02d}:15:00+01:00", f"{draw.uniform(-30, 40):.1f}", f"{draw.uniform(0, 1):.3e}", f"{draw.randint(950, 1050)}",
         f"{draw.uniform(0, 20):.2f}"] for i in range(count)
    ]  # fmt: skip
    return Table("sensors", ["when", "temp", "flux", "pressure", "wind"], rows)


@_maker
def files(draw: random.Random, count: int) -> Table:
    """Paths with backslashes, sizes, owners."""
    rows = [
        [
            f"C:\\data\\{draw.choice(['in', 'out'])}\\f{i}.bin",
            str(draw.randint(0, 10**9)),
            draw.choice(["root", "svc_ä", "Müller"]),
            f"-rw-r--{draw.choice('rwx-')}--",
        ]
        for i in range(count)
    ]
    return Table("files", ["path", "bytes", "owner", "mode"], rows, text=2)


@_maker
def calls(draw: random.Random, count: int) -> Table:
    """Calls with what was said last, as free text in several languages."""
    rows = [[f"{7000 + i}", f"{draw.randint(8, 18):02d}h{draw.randint(0, 59):02d}", draw.choice(_PLACES), draw.choice(_SPOKEN)] for i in range(count)]
    return Table("calls", ["call", "at", "from", "remark"], rows, text=3, keyed=True)


@_maker
def plain_calls(draw: random.Random, count: int) -> Table:
    """Short remarks that never need quotes."""
    rows = [
        [
            draw.choice(_PLACES),
            draw.choice(["morning", "noon", "evening"]),
            draw.choice(["phone", "mail"]),
            draw.choice(["ok", "très bien", "later", "Kunde zufrieden"]),
        ]
        for _ in range(count)
    ]
    return Table("plain_calls", ["place", "part of day", "means", "remark"], rows, text=3, typed=False)


@_maker
def survey(draw: random.Random, count: int) -> Table:
    """Long questions as names, with commas and question marks; answers on a scale, some missing."""
    header = ["respondent", "How old are you, in years?", "Would you come again, yes or no?", "Rate us (1-5)", "What else"]
    rows = [
        [
            f"r{i + 1:03d}",
            str(draw.randint(16, 95)),
            draw.choice(["yes", "no", ""]),
            draw.choice(["1", "3", "5", ""]),
            draw.choice(["nothing", "more light", "Größe"]),
        ]
        for i in range(count)
    ]
    return Table("survey", header, rows, text=4, keyed=True)


@_maker
def periods(draw: random.Random, count: int) -> Table:
    """Numbers under quarters."""
    return Table("periods", ["Q1", "Q2", "Q3", "Q4", "2023"], [[f"{draw.uniform(0, 99):.3f}" for _ in range(5)] for _ in range(count)], typed=False)


@_maker
def postcards(draw: random.Random, count: int) -> Table:
    """Addresses of several lines, in quotes in the middle."""
    rows = [
        [
            str(31 + i),
            draw.choice(["Rue Haute 3\nBruxelles", "PO Box 12", "Hauptstr. 1\n\nBonn", "Via Roma, 9"]),
            draw.choice(["BE", "DE", "IT"]),
            f"{draw.randint(1, 9)},50",
        ]
        for i in range(count)
    ]
    return Table("postcards", ["nr", "address", "country", "postage"], rows, text=1)


@_maker
def genes(draw: random.Random, count: int) -> Table:
    """Forty columns of counts, a name before."""
    return Table(
        "genes",
        ["gene", *(f"s{i}_{'ab'[i % 2]}" for i in range(40))],
        [[f"ENSG{i:05d}", *(str(draw.randint(0, 3000)) for _ in range(40))] for i in range(count)],
    )


@_maker
def hosts(draw: random.Random, count: int) -> Table:
    """One column."""
    return Table("hosts", ["hostname"], [[f"srv-{draw.randint(1, 999)}.example.net"] for _ in range(count)])


@_maker
def greetings(draw: random.Random, count: int) -> Table:
    """Scripts that are written otherwise, and marks that join."""
    said = ["नमस्ते", "สวัสดี", "გამარჯობა", "👩‍👩‍👧 hi", "Ça va", "שלום", "Xin chào"]
    return Table(
        "greetings",
        ["no", "greeting", "länge", "since"],
        [[str(i), draw.choice(said), f"{draw.randint(1, 9)}", f"{draw.randint(1900, 2020)}-07-01"] for i in range(1, count + 1)],
        text=1,
    )
