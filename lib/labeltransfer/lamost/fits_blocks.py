"""FITS files of one spectrum, read whole from memory.

A LAMOST spectrum is a hundred kilobytes, and a survey has millions of them. Opening one with `astropy.io.fits` takes
about ten times as long as reading its bytes, nearly all of it for header cards that nobody asks for. This room reads
the two kinds of HDU that such files have, images and binary tables of numbers, and nothing else; every length in a
header is checked against the bytes that are there. A test compares it with `astropy.io.fits` on real files.
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..tables.reading import refuse_page

BLOCK, CARD = 2880, 80
MAX_BYTES = 1 << 26
"""A file that unpacks to more than this (64 MB) is no single spectrum."""

PACKED_TWICE = 2
"""Some servers pack what is packed already."""

UNPACKERS: dict[str, tuple[bytes, Callable[[], Any]]] = {
    "gzip": (b"\x1f\x8b", lambda: zlib.decompressobj(wbits=31)),
    "bzip2": (b"BZh", bz2.BZ2Decompressor),
    "xz": (b"\xfd7zXZ\0", lzma.LZMADecompressor),
}
"""How packed data begin, and what unpacks them."""

IMAGE_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
COLUMN_TYPES = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
OTHER_WIDTHS = {"L": 1.0, "A": 1.0, "X": 0.125, "C": 8.0, "M": 16.0, "P": 8.0, "Q": 16.0}

_TEXT = re.compile(r"\s*'((?:[^']|'')*)'")


def read_content(path: Path) -> bytes:
    """The bytes of a file, unpacked if they are packed with gzip, bzip2 or xz (whatever the file is called).

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is no regular file, empty, cut short, damaged, or too large for one spectrum.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ValueError(f"{path}: a pipe, socket or device, wanted a file; not opened")
    with path.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if not content:
        raise ValueError(f"{path}: empty file; wanted a FITS file; fetch it again")
    for _ in range(PACKED_TWICE):
        kind = next((name for name, (begins, _) in UNPACKERS.items() if content.startswith(begins)), "")
        if not kind:
            break
        try:
            content = _unpacked(content, *UNPACKERS[kind])
        except (zlib.error, lzma.LZMAError, OSError) as error:
            raise ValueError(f"{path}: damaged {kind} data ({error}); fetch the file again") from error
        except EOFError as error:
            raise ValueError(f"{path}: {kind} data cut short after {error} unpacked bytes; fetch it again") from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path}: more than {MAX_BYTES:,} bytes; wanted the file of a single spectrum")
    return content


def _unpacked(content: bytes, begins: bytes, make: Callable[[], Any]) -> bytes:
    """Data unpacked, member after member; no more than `MAX_BYTES` and one. EOFError if the last is not whole."""
    found = b""
    while content.startswith(begins) and len(found) <= MAX_BYTES:
        unpacker = make()
        found += unpacker.decompress(content, MAX_BYTES + 1 - len(found))
        if not unpacker.eof and len(found) <= MAX_BYTES:
            raise EOFError(f"{len(found):,}")
        content = unpacker.unused_data
    return found


class Header:
    """The cards of one HDU; a value is interpreted only when it is asked for."""

    def __init__(self, text: str) -> None:
        cards = (text[start : start + CARD] for start in range(0, len(text), CARD))
        self._cards = {card[:8].rstrip(): card[10:] for card in cards if card[8:9] == "="}

    def __contains__(self, key: str) -> bool:
        return key in self._cards

    def get(self, key: str, default: Any = None) -> Any:
        """Value of a card: text, bool, int or float; `default` if there is no such card or it has no value."""
        card = self._cards.get(key)
        return default if card is None else _value(card, default)

    def integer(self, key: str, default: int | None = None) -> int:
        """Value of a card that must be an integer >= 0, or BITPIX."""
        number = self.get(key, default)
        if isinstance(number, bool) or not isinstance(number, int) or (number < 0 and key != "BITPIX"):
            raise ValueError(f"header card {key}: found {number!r}, wanted an integer >= 0")
        return number


def _value(card: str, default: Any) -> Any:
    text = _TEXT.match(card)
    if text:
        return text[1].replace("''", "'").rstrip()
    word = card.split("/", 1)[0].strip()
    if word in ("T", "F"):
        return word == "T"
    for kind in (int, float):
        try:
            return kind(word.replace("D", "E")) if word else default
        except ValueError:
            continue
    return default


@dataclass(frozen=True)
class Hdu:
    """One header and the bytes that belong to it."""

    header: Header
    data: memoryview

    @property
    def is_table(self) -> bool:
        """Whether this is a binary table."""
        return self.header.get("XTENSION") == "BINTABLE"

    def image(self) -> np.ndarray:
        """The array of an image HDU, NAXIS2 before NAXIS1."""
        shape = _shape(self.header)[::-1]
        array = np.frombuffer(self.data, IMAGE_TYPES[self.header.integer("BITPIX")]).reshape(shape)
        return _scaled(array, self.header.get("BSCALE"), self.header.get("BZERO"))

    def columns(self, wanted: Collection[str] = ()) -> dict[str, np.ndarray]:
        """Columns of numbers of a binary table, (rows, values per row) each, by upper-case name.

        Those of variable length are left out; ValueError if one of them is among `wanted`.
        """
        header = self.header
        width, rows = header.integer("NAXIS1"), header.integer("NAXIS2")
        found = {}
        offset = 0
        for number in range(1, header.integer("TFIELDS") + 1):
            name, form = str(header.get(f"TTYPE{number}", f"COL{number}")), str(header.get(f"TFORM{number}", ""))
            match = re.fullmatch(r"(\d{0,9})([A-Z])(?:(?<=[PQ])[A-Z])?(?:\(.*\))?", form.strip())
            if match is None or match[2] not in {**COLUMN_TYPES, **OTHER_WIDTHS}:
                raise ValueError(f"column {name}: found format {form!r}, wanted one of the FITS standard")
            if match[2] in "PQ" and name.upper() in wanted:
                raise ValueError(f"column {name}: of variable length ({form}), which is not read; wanted a fixed one")
            repeat = int(match[1] or 1)
            code = COLUMN_TYPES.get(match[2])
            size = repeat * np.dtype(code).itemsize if code else int(np.ceil(repeat * OTHER_WIDTHS[match[2]]))
            if offset + size > width:
                raise ValueError(f"column {name}: ends at byte {offset + size} of a row, but rows have {width} bytes")
            if code and rows:
                strides = (width, np.dtype(code).itemsize)
                array: np.ndarray = np.ndarray((rows, repeat), code, self.data, offset, strides)
                found[name.upper()] = _scaled(array, header.get(f"TSCAL{number}"), header.get(f"TZERO{number}"))
            offset += size
        return found


def _scaled(array: np.ndarray, scale: Any, zero: Any) -> np.ndarray:
    if scale in (None, 1) and zero in (None, 0):
        return array
    return array * float(1 if scale is None else scale) + float(0 if zero is None else zero)


def _shape(header: Header) -> list[int]:
    return [header.integer(f"NAXIS{axis}") for axis in range(1, header.integer("NAXIS") + 1)]


def _data_size(header: Header) -> int:
    bits = header.integer("BITPIX")
    if bits not in IMAGE_TYPES:
        raise ValueError(f"header card BITPIX: found {bits}, wanted one of {', '.join(map(str, IMAGE_TYPES))}")
    if header.integer("NAXIS") > 9:
        raise ValueError(f"header card NAXIS: found {header.integer('NAXIS')}, wanted at most 9")
    shape = _shape(header)
    values = int(np.prod(shape, dtype=object)) if shape else 0
    return abs(bits) // 8 * header.integer("GCOUNT", 1) * (header.integer("PCOUNT", 0) + values)


def hdus(content: bytes) -> Iterator[Hdu]:
    """The HDUs of a FITS file, one after the other.

    Raises
    ------
    ValueError
        If this is no FITS file, or ends before its headers say so. (The caller adds the name of the file.)
    """
    if not content.startswith(b"SIMPLE  ="):
        refuse_page(content)
        raise ValueError(f"not a FITS file: begins with {content[:9]!r}, wanted 'SIMPLE  ='")
    whole = memoryview(content)
    start = 0
    while start < len(content) and (start == 0 or content.startswith(b"XTENSION", start)):
        end = start
        while True:
            block = content[end : end + BLOCK]
            if len(block) < BLOCK:
                raise ValueError(f"file ends within a header, after {len(content):,} bytes; fetch it again")
            end += BLOCK
            if any(block[card : card + 8] == b"END     " for card in range(0, BLOCK, CARD)):
                break
        header = Header(content[start:end].decode("latin-1"))
        size = _data_size(header)
        if end + size > len(content):
            raise ValueError(
                f"file cut short: found {len(content):,} bytes, its headers ask for {end + size:,}; fetch it again"
            )
        yield Hdu(header, whole[end : end + size])
        start = end + -(-size // BLOCK) * BLOCK
