"""What the shop's tables must hold, worked out from the files alone with the standard library: every row and every reject, once.

Nothing here imports lake. The model is of the meaning, not of the way: it knows no versions, increments or commits, and takes
all files that were ever delivered, in order of age.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

Place = tuple[str, int]  # the hash of a file's content, and the number of a record in it
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Delivery:
    """One file as it was put into a source's folder."""

    source: str
    name: str
    data: bytes


@dataclass(frozen=True)
class Row:
    """One record of a raw file: where it stands, its fields by column, and those the header did not announce."""

    place: Place
    fields: dict[str, str | None]
    rescued: str | None


def expected(deliveries: Iterable[Delivery]) -> dict[str, Rows]:
    """Every table's rows, sorted, and (under `rejects of …`) the rejected ones with their place and what was wrong with them."""
    deliveries = list(deliveries)
    orders, broken_orders = _bronze(deliveries, "orders")
    customers, broken_customers = _bronze(deliveries, "customers")
    known, refused_customers = _customers(customers)
    kept, refused_orders = _orders(orders, known)
    return {
        "bronze.shop.orders": _sorted((*row.place, *_values(row, "order", "customer", "amount", "day"), row.rescued) for row in orders),
        "bronze.shop.customers": _sorted((*row.place, *_values(row, "customer", "country"), row.rescued) for row in customers),
        "silver.shop.customers": _sorted(known.items()),
        "silver.shop.orders": _sorted(kept.values()),
        "gold.shop.totals": _sorted(_totals(kept.values())),
        "rejects of bronze.shop.orders": _sorted(broken_orders),
        "rejects of bronze.shop.customers": _sorted(broken_customers),
        "rejects of silver.shop.customers": _sorted(refused_customers),
        "rejects of silver.shop.orders": _sorted(refused_orders),
    }


def landed(deliveries: Iterable[Delivery], source: str) -> Iterator[tuple[str, bytes]]:
    """The contents that land as files of their own: not one known under the same name, nor a new name for one that landed."""
    latest: dict[str, str] = {}
    contents: set[str] = set()
    for delivery in deliveries:
        sha256 = hashlib.sha256(delivery.data).hexdigest()
        before, latest[delivery.name] = latest.get(delivery.name), sha256
        if delivery.source != source or before == sha256 or (before is None and sha256 in contents):
            continue
        contents.add(sha256)
        yield sha256, delivery.data


def _bronze(deliveries: list[Delivery], source: str) -> tuple[list[Row], Rows]:
    rows: list[Row] = []
    rejects: Rows = []
    for sha256, data in landed([one for one in deliveries if one.source == source], source):
        lines = data.decode("utf-8").splitlines()
        header = next(csv.reader(lines[:1]), [])
        for number, line in enumerate(lines[1:], 1):
            if not line or line.count('"') % 2:  # no record of these files goes over a line's end
                rejects.append((sha256, number, "the line is blank" if not line else "a quote is opened and never closed"))
                continue
            fields: list[str] = next(csv.reader([line]))
            more = json.dumps(fields[len(header) :]) if len(fields) > len(header) else None
            rows.append(Row((sha256, number), {name: fields[i] if i < len(fields) else None for i, name in enumerate(header)}, more))
    return rows, rejects


def _customers(rows: list[Row]) -> tuple[dict[int, str], Rows]:
    known: dict[int, str] = {}
    rejects: Rows = []
    for row in rows:
        customer, country = row.fields["customer"], row.fields["country"]
        if customer and country and len(country) == 2 and country.isalpha() and country.isupper():
            known[int(customer)] = country
        else:
            rejects.append((*row.place, "country|nullability" if country is None else "country|regex"))
    return known, rejects


def _orders(rows: list[Row], known: dict[int, str]) -> tuple[dict[int, tuple[Any, ...]], Rows]:
    kept: dict[int, tuple[Any, ...]] = {}
    rejects: Rows = []
    for row in rows:
        customer, country = row.fields["customer"], known.get(int(row.fields["customer"] or 0))
        amount, day = _amount(row.fields["amount"]), row.fields["day"]
        wrong = {
            "amount|dtype": amount is None,
            "amount|min": amount is not None and amount < 0,
            "country|nullability": country is None,
            "day|date": day is not None and not _is_date(day),
            "no_test_customer": customer == "0",
        }
        if any(wrong.values()):
            rejects.append((*row.place, *(rule for rule, broken in wrong.items() if broken)))
        else:
            number = int(row.fields["order"] or "")
            kept[number] = (number, customer, country, amount, dt.date.fromisoformat(day) if day is not None else None)
    return kept, rejects


def _amount(text: str | None) -> Decimal | None:
    try:
        return Decimal(text or "")
    except InvalidOperation:
        return None


def _is_date(text: str) -> bool:
    try:
        return bool(dt.date.fromisoformat(text))
    except ValueError:
        return False


def _totals(orders: Iterable[tuple[Any, ...]]) -> Rows:
    amounts: defaultdict[str, list[Decimal]] = defaultdict(list)
    for _, _, country, amount, _ in orders:
        amounts[country].append(amount)
    return [(country, len(of), sum(of, Decimal(0))) for country, of in amounts.items()]


def _values(row: Row, *names: str) -> tuple[str | None, ...]:
    return tuple(row.fields[name] for name in names)


def _sorted(rows: Iterable[tuple[Any, ...]]) -> Rows:
    return sorted(rows, key=repr)
