"""From the bytes of a file to its table: compression, sheets, encoding, delimiter and header."""

import codecs
import csv
import gzip
import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import chain
from typing import IO, cast

from python_calamine import CalamineError, CalamineWorkbook

from contracts.problems import Invalid, Problem

MAX_BYTES = 4 << 30
"""The most that a file may hold once it is unpacked."""
MAX_SHEET_BYTES = 512 << 20
"""The same for a spreadsheet, which cannot be read in pieces."""
MAX_COLUMNS = 16_384
"""As many as a spreadsheet may have."""
MAX_ROW_CHARACTERS = 4 << 20
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""What no header holds: tabulators and broken lines may stand in one."""
SAID = re.compile(r'\ufeff?"?sep=([,;|\t])"?\r?\n', re.IGNORECASE)
"""The line in front of a table by which Excel is told its delimiter."""
HEAD_BYTES = 64 << 10
PIECE_BYTES = 1 << 20


class UnreadableFile(Invalid):
    """The file is no CSV, gzipped CSV or spreadsheet with a header row."""


class FileTooLarge(Problem):
    """The file holds more than an import takes."""

    status = 413


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a file and its rows, to be read once. Its first row, the header, has the number 1."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[int, list[str]]]
    notes: tuple[str, ...] = ()
    """What was decided about the file and might surprise."""


def table_of(file: IO[bytes]) -> Table:
    """The table in a file that can be read twice. Raises `UnreadableFile`, `FileTooLarge`, also while rows are read."""
    magic = file.read(8)
    file.seek(0)
    if magic.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return _sheet(file)
    try:
        return _text(cast(IO[bytes], gzip.GzipFile(fileobj=file, mode="rb")) if magic.startswith(b"\x1f\x8b") else file)
    except (EOFError, OSError, zlib.error) as error:
        raise UnreadableFile("The compressed file is broken or cut short.") from error


def _text(file: IO[bytes]) -> Table:
    head = file.read(HEAD_BYTES)
    if not head.strip():
        raise UnreadableFile("The file is empty.")
    encoding = _encoding(head, file)
    file.seek(0)
    told = (f"The file is read as {encoding}: it is not UTF-8.",) if encoding == "cp1252" else ()
    begin = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    text = io.TextIOWrapper(file, encoding, errors="replace", newline="")
    lines = _Lines(text, zeros=encoding.startswith("utf-16"))
    if said := SAID.match(begin):
        next(lines)
    delimiter = said[1] if said else _delimiter(begin)
    return _headed(_numbered(csv.reader(lines, delimiter=delimiter, skipinitialspace=True), lines), told)


class _Lines:
    """The lines of a text. Raises `UnreadableFile` when a row of them holds more than one that is kept in memory."""

    def __init__(self, text: io.TextIOBase, *, zeros: bool) -> None:
        self._text, self._zeros = text, zeros
        self.row_characters = 0
        """Of the row that is being read; who has it whole sets this back."""

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_ROW_CHARACTERS + 1)
        if not line:
            raise StopIteration
        self.row_characters += len(line)
        if self.row_characters > MAX_ROW_CHARACTERS:
            raise UnreadableFile(f"A row holds more than {MAX_ROW_CHARACTERS} characters; a quote may not be closed.")
        # The database keeps no zero characters, and bytes of UTF-16 may spell some.
        return line.replace("\0", "") if self._zeros else line


def _encoding(head: bytes, file: IO[bytes]) -> str:
    """UTF-16 by its mark or its zero bytes, UTF-8 where the whole file is, Windows-1252 otherwise."""
    zeros = head[::2].count(0), head[1::2].count(0)
    wide = None
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        wide = "utf-16"
    elif max(zeros) * 4 > len(head):
        wide = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    decoder, size, piece, utf8 = codecs.getincrementaldecoder("utf-8")(), 0, head, True
    while piece:
        size += len(piece)
        if size > MAX_BYTES:
            raise FileTooLarge(f"An import takes at most {MAX_BYTES >> 30} GiB.")
        if wide is None and b"\0" in piece:
            raise UnreadableFile("The file has zero bytes: it is neither text nor a spreadsheet.")
        try:
            decoder.decode(piece, final=not (next_piece := file.read(PIECE_BYTES)))
        except UnicodeDecodeError:
            utf8 = False
            decoder.reset()
        piece = next_piece
    return wide or ("utf-8-sig" if utf8 else "cp1252")


def _delimiter(head: str) -> str:
    """The mark that cuts the first rows into the most equal rows of more than one cell."""
    lines = head.lstrip("\ufeff").splitlines()[:100]
    lines = lines[:-1] if len(lines) > 2 else lines

    def agreement(delimiter: str) -> tuple[int, int]:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if len(row) > 1)
        return max(((count, width) for width, count in widths.items()), default=(0, 0))

    return max(",;\t|", key=agreement)


def _numbered(reader: Iterator[list[str]], lines: _Lines) -> Iterator[list[str]]:
    """The rows of a CSV, until one cannot be read."""
    count = 0
    try:
        for row in reader:
            count += 1
            lines.row_characters = 0
            yield row
    except csv.Error as error:
        most = csv.field_size_limit()
        raise UnreadableFile(
            f"Row {count + 1} cannot be read: a quote is not closed, or a cell holds more than {most} characters."
        ) from error
    except (EOFError, OSError, zlib.error) as error:
        raise UnreadableFile(f"The compressed file is cut short after row {count}.") from error


def _sheet(file: IO[bytes]) -> Table:
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as parts:
                if sum(part.file_size for part in parts.infolist()) > MAX_SHEET_BYTES:
                    raise FileTooLarge(f"A spreadsheet may hold {MAX_SHEET_BYTES >> 20} MiB; save it as CSV.")
        file.seek(0)
        book = CalamineWorkbook.from_filelike(file)
        rows = book.get_sheet_by_index(0).iter_rows()
    except (CalamineError, zipfile.BadZipFile, IndexError) as error:
        raise UnreadableFile("The spreadsheet cannot be read.") from error
    names = book.sheet_names
    told = (f"The sheet {names[0]!r} is read, the first of {len(names)}.",) if len(names) > 1 else ()
    return _headed(([_cell(cell) for cell in row] for row in rows), told)


def _cell(cell: object) -> str:
    """A cell as text. Excel keeps 15 significant digits of a fraction, so these are what was entered."""
    match cell:
        case bool():
            return str(cell).lower()
        case float() if cell.is_integer() and abs(cell) < 2**53:
            return str(int(cell))
        case float():
            return f"{cell:.15g}"
        case datetime():
            return cell.isoformat(sep=" ")
        case date() | time() | timedelta():
            return str(cell)
        case _:
            return str(cell)


def _headed(rows: Iterator[list[str]], told: tuple[str, ...]) -> Table:
    """The first row that holds something is the header; empty rows after it are passed over."""
    numbered = enumerate(rows, 1)
    header = next(((number, row) for number, row in numbered if any(map(str.strip, row))), None)
    if header is None:
        raise UnreadableFile("The file is empty.")
    if len(header[1]) > MAX_COLUMNS:
        raise UnreadableFile(f"The file has {len(header[1])} columns; an import takes at most {MAX_COLUMNS}.")
    if any(map(CONTROL.search, header[1])):
        raise UnreadableFile("The first row holds control characters: this is no table.")
    columns: list[str] = []
    named: set[str] = set()
    for position, name in enumerate(header[1], 1):
        name = name.strip() or f"column {position}"
        columns.append(name if name not in named else f"{name} ({position})")
        named.add(columns[-1])
    first = next(((number, row) for number, row in numbered if any(row)), None)
    if first is None:
        raise UnreadableFile("The file has a header and no rows.")
    rest = ((number, row) for number, row in numbered if any(row))
    return Table(tuple(columns), chain([first], rest), told)
