"""Encodings that are told from words: Central European and Baltic text, and lines of one encoding among lines of another; nothing of a file is lost by it."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import pytest

from lake.ingest import ingest
from lake.landing import land
from lake.previewing import preview
from lake.quarantine import open_rejects
from lake.reading.alphabets import is_told, language_of
from lake.run import Run
from lake.structural import structure_of
from tests.laws.test_law2_bytes import kept
from tests.tiny import bronze_orders, last_record, rows_of, source_at

POLISH = "id,miasto,opis\n1,Łódź,Zażółć gęślą jaźń\n2,Gdańsk,Wrocław\n3,Kraków,święto\n"
CZECH = "id,město,popis\n1,Plzeň,Příliš žluťoučký kůň\n2,České Budějovice,úpěl ďábelské ódy\n3,Žďár,x\n"
WORDS: dict[str, tuple[str, list[str]]] = {
    "Polish": (POLISH, ["cp1250", "iso8859-2"]),
    "Czech": (CZECH, ["cp1250", "iso8859-2"]),
    "Slovak": ("id,mesto\n1,Košice\n2,Ľubochňa\n3,Žiar nad Hronom\n4,vŕšok\n5,stĺpec\n", ["cp1250"]),
    "Hungarian": ("id,város\n1,Győr\n2,Árvíztűrő tükörfúrógép\n3,Szőlő\n4,Fertőd\n", ["cp1250", "iso8859-2"]),
    "Croatian": ("id,grad\n1,Čakovec\n2,Požega\n3,Đakovo\n4,Šibenik ćevapčići\n", ["cp1250", "iso8859-2"]),
    "Romanian": ("id,oraş\n1,Braşov\n2,Timişoara\n3,ţară\n4,Piteşti\n", ["cp1250"]),
    "Turkish": ("id,şehir\n1,İstanbul\n2,Şanlıurfa\n3,ağaç\n", ["cp1254"]),
    "German": ("id,ort\n1,Größe\n2,Übung\n3,Straße\n4,schön\n", ["mac_roman"]),
    "Portuguese": ("id,nome\n1,não\n2,coração\n3,ações\n4,avó\n", ["cp850"]),
    "Lithuanian": ("id,vieta\n1,Šiauliai\n2,Kėdainiai\n3,žąsis ėjo\n4,įmonė\n", ["cp1257"]),
}
CASES = [(language, encoding) for language, (_, encodings) in WORDS.items() for encoding in encodings]


def read(folder: Path, data: bytes, **hints: Any) -> tuple[list[tuple[str | None, ...]], Any]:
    """The rows of a file, and its preview. Every byte of it is a row, a reject or structure."""
    path = folder / "t.csv"
    path.write_bytes(data)
    found = preview(path, **hints)
    assert found.main.problem is None, found.main.problem
    pieces, lines, counted = kept(path, found.dialect, folder / "kept")
    assert b"".join(raw for _, _, raw in pieces) == data
    assert counted <= lines
    return found.scan().drop("_row", "_rescued", strict=False).collect().rows(), found.main


@pytest.mark.parametrize(("language", "encoding"), CASES, ids=[f"{language} {encoding}" for language, encoding in CASES])
def test_words_tell_the_encoding(tmp_path: Path, language: str, encoding: str) -> None:
    """The words of a language are its words in one encoding, and in that of Western Europe they are none."""
    text = WORDS[language][0]
    rows, found = read(tmp_path, text.encode(encoding))
    assert codecs.lookup(found.dialect.encoding).name.replace("mac-", "mac_") in (encoding, "cp1250" if encoding == "iso8859-2" else encoding)
    assert rows == [tuple(line.split(",")) for line in text.splitlines()[1:]]
    assert found.dialect.named == text.splitlines()[0].split(",")
    assert (found.dialect.doubt or "").endswith(f"its words are {language} in {found.dialect.encoding}")


WESTERN = [
    "São Paulo,Köln,København,Málaga,Île,Besançon,Hélène,Bjørn,Håkon", "Peña,Muñoz,Núñez,Ibáñez,señor,mañana", "Total¹,Summe²,m³,5 m²,Größe³,Fläche°",
    "été,Noël,garçon,œuvre,août,ça,mère,très,où", "þetta,það,Ísland,við,ýmis,Ólafur", "10 £,5 €,½ x,¿Qué?,¡Hola!,Nº 5,1ª,±3", "não,coração,ações,avó,mãe,põe",
    "It’s “quoted” – yes,… and «so»", "Söder,Åre,Åland,Ørsted,Špela", "così,perché,città,più,virtù",
]  # fmt: skip


@pytest.mark.parametrize("text", WESTERN, ids=range(len(WESTERN)))
def test_western_text_stays_western(text: str) -> None:
    """Words of Western Europe, names of many languages among them, and signs after words are taken for nothing else."""
    assert language_of(text.encode("cp1252")) is None


@pytest.mark.parametrize("encoding", ["mac_roman", "cp850"])
def test_what_two_old_encodings_would_make_words_of_is_not_told(encoding: str) -> None:
    """Where nothing but encodings of DOS and the Macintosh fit, and two do, the words tell nothing, or the right one."""
    told = language_of("Peña,Muñoz,señor,mañana,acción".encode(encoding))
    assert told is None or told[0] == encoding


def test_lines_in_another_encoding_are_read_as_that(tmp_path: Path) -> None:
    """A line in cp1252 among lines in UTF-8 is read, counted, and kept as it came; what is in no encoding for certain stays a reject."""
    lines = ["id,név\n", "1,Zoë\n", "2,plain\n", "3,日本\n"]
    data = "".join(lines).encode() + "4,Jörg\n".encode("cp1252") + "5,“quoted” – it’s\n".encode("cp1252") + b"6,a\xffb\n7,x\xe2\x82y\n" + "8,été\n".encode()
    rows, found = read(tmp_path, data)
    assert rows == [("1", "Zoë"), ("2", "plain"), ("3", "日本"), ("4", "Jörg"), ("5", "“quoted” – it’s"), ("8", "été")]
    assert found.mended == {"a line in cp1252 read as that, among lines in UTF-8": 2}
    assert [(line, raw) for line, raw in found.rejects.select("line", "bytes").rows()] == [(7, b"6,a\xffb\n"), (8, b"7,x\xe2\x82y\n")]


def test_few_lines_in_utf_8_among_others(tmp_path: Path) -> None:
    """Where most lines are in cp1252 and one in UTF-8, each is read as what it is; a header in another encoding too."""
    data = "id,größe\n".encode("cp1252") + "1,Jörg\n2,Käthe\n3,Björn\n".encode("cp1252") + "4,Zoë\n".encode()
    rows, found = read(tmp_path, data)
    assert (found.dialect.encoding, found.dialect.named) == ("utf-8", ["id", "größe"])
    assert rows == [("1", "Jörg"), ("2", "Käthe"), ("3", "Björn"), ("4", "Zoë")]
    assert found.mended == {"a line in cp1252 read as that, among lines in UTF-8": 3}


def test_polish_lines_among_utf_8(tmp_path: Path) -> None:
    """The lines that are not UTF-8 tell by their words what they are in."""
    data = "id,miasto\n1,日本\n".encode() + "2,Łódź\n3,Zażółć gęślą jaźń\n4,Gdańsk\n".encode("cp1250") + "5,Żary\n".encode()
    rows, found = read(tmp_path, data)
    assert rows == [("1", "日本"), ("2", "Łódź"), ("3", "Zażółć gęślą jaźń"), ("4", "Gdańsk"), ("5", "Żary")]
    assert found.mended == {"a line in cp1250 read as that, among lines in UTF-8": 3}


def test_a_record_over_lines_in_two_encodings(tmp_path: Path) -> None:
    """A quoted value goes on from a line in one encoding to a line in another, and the bytes of both are kept."""
    data = 'id,note\n1,"é\n'.encode() + 'Jörg"\n'.encode("cp1252") + b"2,ok\n"
    rows, found = read(tmp_path, data)
    assert rows == [("1", "é\nJörg"), ("2", "ok")]
    assert sum(found.mended.values()) == 1


def test_a_declared_encoding_is_not_guessed_at(tmp_path: Path) -> None:
    """Where the source says UTF-8, a line that is none is a reject."""
    _, found = read(tmp_path, "id,név\n1,Zoë\n".encode() + "4,Jörg\n".encode("cp1252"), encoding="utf-8")
    assert found.rejects["bytes"].to_list() == ["4,Jörg\n".encode("cp1252")]
    assert not found.mended


DAMAGE = [b"a\xffb", b"ab\xc3c", b"1\xfe2", b"\xe2\x80x", b"k\x9fe", b"Z\xc3\xbcrich\xfc", b"ab\xff", b"\xfe\xffabc", b"a,\xe9,b", b"\x81"]


@pytest.mark.parametrize("line", DAMAGE, ids=range(len(DAMAGE)))
def test_damage_is_no_text(line: bytes) -> None:
    """Bytes that stand where no word has letters are not read as any."""
    assert not is_told(line, "cp1252")


def test_the_commit_counts_lines_by_encoding(run: Run, tmp_path: Path) -> None:
    """Through the whole lake: the file's lines in another encoding are rows, counted by how."""
    (tmp_path / "in").mkdir()
    data = "order,customer,amount\n1,Zoë,1\n".encode() + "2,Jörg,2\n".encode("cp1252")
    (tmp_path / "in" / "a.csv").write_bytes(data)
    source = source_at(tmp_path / "in")
    land(run, source)
    ingest(run, source)
    assert [row["customer"] for row in rows_of(run, bronze_orders)] == ["Zoë", "Jörg"]
    assert last_record(run, bronze_orders).files[0].mended == {"a line in cp1252 read as that, among lines in UTF-8": 1}


RAGGED = {
    "cp1252": ("Größe,Stück\n" + "".join(f"{i},Müller{i}\n" for i in range(9)) + "77\n78,x,ü\n", "cp1252", b""),
    "UTF-16": ("id,n\n1,é\n2,ü,x\n", "utf-16", b""), "UTF-16 with a byte too many": ("id,n\n1,é\n2,ü\n", "utf-16", b"\0"),
    "UTF-16 of another end with half a sign": ("\ufeffid,n\n1,é\n2,ü\n", "utf-16-be", b"\xd8\x00\x00b\x00\n"),
}  # fmt: skip


@pytest.mark.parametrize("kind", RAGGED)
def test_what_is_read_in_another_way_still_is_of_the_file(run: Run, tmp_path: Path, kind: str) -> None:
    """Where the quick way proves wrong in the pass that writes the rows, rejects and structure have the file's bytes, and a guess of the encoding is told."""
    text, encoding, more = RAGGED[kind]
    data = text.encode(encoding) + more
    (tmp_path / "a.csv").write_bytes(data)
    land(run, source_at(tmp_path))
    ingest(run, source_at(tmp_path))
    record = last_record(run, bronze_orders)
    structure = structure_of(run.store, bronze_orders.name, [record]).collect()
    rejects = open_rejects(run, bronze_orders, record).collect() if record.rejects else structure.clear()
    assert all(raw in data for raw in [*structure["bytes"], *rejects["bytes"]])
    header = data[: data.index(b"\n")].removeprefix(codecs.BOM_UTF16_LE).removeprefix(codecs.BOM_UTF16_BE)
    assert any(raw.startswith(header) for raw in structure["bytes"])
    assert not (record.rejects and any("UTF-8" in reason for reason in rejects["reason"]))
    assert any("the encoding is a guess" in notice.detail for notice in record.notices) == (kind == "cp1252")
