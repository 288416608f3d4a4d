"""Files of lines: one name a line, names in a column between white space, and JSON Lines."""

from collections.abc import Iterator

import msgspec

from data.byte_source import ByteSource
from data.decoded_lines import TOO_LONG, decoded_lines
from data.record import Record, json_decoder, malformed, record_from_json


def read_text(source: ByteSource, keep_fields: bool = False) -> Iterator[Record]:
    """Yield a record for each line that is not blank; a line that is no UTF-8 is malformed."""
    for position, line, problem in decoded_lines(source):
        if problem is not None:
            yield malformed(position, problem)
            continue
        name = line.strip()
        if name:
            fields = {"line": name} if keep_fields else msgspec.UNSET
            yield Record(name, None, None, None, position, None, False, fields)


def read_columns(source: ByteSource, number: int, keep_fields: bool = False) -> Iterator[Record]:
    """Yield a record for each line that is not blank: what stands in its column `number`, from 1.

    Columns stand between tabs where the line holds one, else between runs of white space.
    """
    for position, line, problem in decoded_lines(source):
        if problem is not None:
            yield malformed(position, problem)
            continue
        cells = line.split("\t") if "\t" in line else line.split()
        if not any(cells) or line.isspace():
            continue
        fields = {"line": line.strip()} if keep_fields else msgspec.UNSET
        if len(cells) < number:
            error = f"expected a name in column {number}, found {len(cells)} columns"
            yield Record(None, None, None, None, position, error, False, fields)
        else:
            yield Record(cells[number - 1].strip(), None, None, None, position, None, False, fields)


def read_json_lines(source: ByteSource, column: str | None, keep_fields: bool = False) -> Iterator[Record]:
    """Yield a record for each line that is not blank; a line that is no JSON value is malformed."""
    decode = json_decoder(column).decode
    for number, line in enumerate(source.lines(), start=1):
        position = f"line {number}"
        if line is None:
            yield malformed(position, TOO_LONG)
            continue
        if not line or line.isspace():
            continue
        try:
            if not line.isascii():
                line.decode()  # the decoder does not look into the strings that it skips
            element = decode(line)
        except UnicodeDecodeError as error:
            yield malformed(position, f"expected UTF-8 text, found {error.reason} at byte {error.start + 1}")
        except msgspec.DecodeError as error:
            yield malformed(position, f"not one JSON object or string: {error}")
        except RecursionError:
            yield malformed(position, "the JSON value is nested too deeply")
        else:
            record = record_from_json(element, position, column)
            if keep_fields:
                record.fields = msgspec.Raw(line.strip())
            yield record
