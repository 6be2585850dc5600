"""The year 2013 as it might have come: a file a month, and the files change. `python -m flows.nyc.deliveries FOLDER --until 9` writes them.

From March there is a column more (`time_hour`). From June `dep_delay` is called `departure_delay`. September is broken: lines that end
early or go on too long, a quote that is never closed, bytes that are no text, distances with their unit. With `NYC_FILES=FOLDER` the
flow takes its flights from there.
"""

import argparse
import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from flows.nyc.sources import published_files

_ADDED_IN, _RENAMED_IN, _BROKEN_IN = 3, 6, 9
_RENAMED = {"dep_delay": "departure_delay"}
_ADDED = "time_hour"


def deliver(folder: Path, until: int) -> list[Path]:
    """Write the files of the months up to `until` into `folder`, those that are not there yet. Returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {number: folder / f"flights-2013-{number:02}.csv" for number in range(1, until + 1)}
    missing = {number: path for number, path in wanted.items() if not path.exists()}
    header, months = _published(set(missing))
    for number, path in missing.items():
        lines = [line.encode() for line in _month(number, header, months[number])]
        path.write_bytes(b"".join(_broken(lines) if number == _BROKEN_IN else lines))
    return list(missing.values())


def _published(wanted: set[int]) -> tuple[list[str], dict[int, list[list[str]]]]:
    """The header and the records of the months `wanted`, as published."""
    months: dict[int, list[list[str]]] = {number: [] for number in wanted}
    with zipfile.ZipFile(published_files() / "flights.csv.zip") as archive, archive.open("flights.csv") as handle:
        reader = csv.reader(io.TextIOWrapper(handle, encoding="utf-8", newline=""))
        header = next(reader)
        month = header.index("month")
        for record in reader:
            if (number := int(record[month])) in wanted:
                months[number].append(record)
    return header, months


def _month(number: int, header: list[str], records: list[list[str]]) -> Iterator[str]:
    kept = [i for i, name in enumerate(header) if name != _ADDED or number >= _ADDED_IN]
    names = [_RENAMED.get(header[i], header[i]) if number >= _RENAMED_IN else header[i] for i in kept]
    yield ",".join(names) + "\n"
    for record in records:
        yield ",".join(record[i] for i in kept) + "\n"


def _broken(lines: list[bytes]) -> list[bytes]:
    """A file with a handful of lines that need a person: what each is, is told by where it stands."""
    broken = list(lines)
    distance = lines[0].decode().rstrip().split(",").index("distance")
    broken[101] = lines[101][:30] + b"\n"  # ends in the middle
    broken[202] = lines[202].rstrip() + b",delayed by fog,see log\n"  # two fields too many
    broken[303] = lines[303].replace(b",", b',"', 1)  # a quote that is never closed
    broken[404] = lines[404].replace(b"NA", b"\xff\xfe", 1) if b"NA" in lines[404] else lines[404].replace(b"2013", b"2\xff13", 1)  # no text
    for number in (505, 606, 707):
        fields = lines[number].decode().rstrip("\n").split(",")
        fields[distance] += " mi"
        broken[number] = ",".join(fields).encode() + b"\n"
    return broken


def main() -> None:
    """Write the deliveries and say what was written."""
    parser = argparse.ArgumentParser(prog="python -m flows.nyc.deliveries", description="Write the flights of 2013 as monthly files that change.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--until", type=int, choices=range(1, 13), default=12, metavar="MONTH", help="the last month to deliver (1 to 12)")
    told = parser.parse_args()
    for path in deliver(told.folder, told.until):
        print(path)  # noqa: T201  # it is a command


if __name__ == "__main__":
    main()
