"""Which service takes a file, by the kind that its form names."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from contracts.problems import Invalid, Problem

FIELDS_BYTES = 1_000_000
"""Bytes that all fields of a form may have together, its file apart."""


class Kind(StrEnum):
    """What the rows of a file are."""

    PURCHASES = "purchases"
    RETURNS = "returns"
    PARTIES = "parties"
    INTERACTIONS = "interactions"
    LEADS = "leads"
    LEAD_OUTCOMES = "lead-outcomes"
    POSTS = "posts"


TAKEN_BY: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.PURCHASES: "customers",
        Kind.RETURNS: "customers",
        Kind.PARTIES: "customers",
        Kind.INTERACTIONS: "customers",
        Kind.LEADS: "leads",
        Kind.LEAD_OUTCOMES: "leads",
        Kind.POSTS: "community",
    }
)
"""The service that imports a kind, and withdraws what it imported."""

IMPORTING = tuple(dict.fromkeys(TAKEN_BY.values()))
SPENT_IN = frozenset({Kind.PURCHASES, Kind.RETURNS})
"""Kinds whose first real file decides the currency in which standings are told."""


class UnclearKind(Invalid):
    """Nothing before the file says what its rows are, or nothing that there is."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, kinds=list(Kind))


class UnreadableForm(Problem):
    """The body is no multipart form, or one that cannot be read to its end."""


def kind_of(text: str | None) -> Kind:
    """A kind by its name. Raises `UnclearKind`."""
    if text is None:
        raise UnclearKind(
            "Put the field `kind` before the file in the form, or say it in the query: /v1/imports?kind=purchases"
        )
    try:
        return Kind(text)
    except ValueError:
        raise UnclearKind("There are no imports of this kind.") from None


class FormFields:
    """The plain fields of a multipart form, read while it passes by. What its file holds is not kept."""

    def __init__(self, content_type: str) -> None:
        form, options = parse_options_header(content_type)
        if form != b"multipart/form-data" or not options.get(b"boundary"):
            raise UnreadableForm("Send multipart/form-data with a boundary: the field `kind`, then the file.")
        self.boundary: bytes = options[b"boundary"]
        self.values: dict[str, str] = {}
        self.kind: str | None = None
        """What the field `kind` before the file says: what comes behind it is too late, however fast it comes."""
        self.file_begun = False
        self._bytes = 0
        self._header = b""
        self._said = b""
        self._name: str | None = None
        self._value = bytearray()
        try:
            self._parser = MultipartParser(
                self.boundary,
                {
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_data,
                    "on_part_end": self._on_part_end,
                },
            )
        except FormParserError as error:
            raise UnreadableForm("The boundary of the form cannot be read.") from error

    def feed(self, piece: bytes) -> None:
        """Read on. Raises `UnreadableForm`."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise UnreadableForm("The form breaks off its own rules; send it as multipart/form-data.") from error

    def field(self, name: str, value: str) -> bytes:
        """A field as it stands at the beginning of this form."""
        head = f'\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        return b"--" + self.boundary + head.encode()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        if self._header.lower() == b"content-disposition":
            self._said += data[start:end]

    def _on_header_end(self) -> None:
        self._header = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._said)
        self._said = b""
        is_file = b"filename" in options
        self.file_begun = self.file_begun or is_file
        self._name = None if is_file else options.get(b"name", b"").decode(errors="replace")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._name is not None:
            self._bytes += end - start
            if self._bytes > FIELDS_BYTES:
                raise UnreadableForm(f"The fields of a form have {FIELDS_BYTES} bytes at most, its file apart.")
            self._value += data[start:end]

    def _on_part_end(self) -> None:
        if self._name is not None:
            value = self.values.setdefault(self._name, self._value.decode(errors="replace"))
            self._value = bytearray()
            if self._name == "kind" and not self.file_begun:
                self.kind = value
