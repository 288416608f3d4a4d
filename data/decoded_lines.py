"""Lines of text, each with what is wrong with it: for readers that go on after a bad line."""

from collections.abc import Iterator

from data.byte_source import MAX_RECORD_BYTES, ByteSource

TOO_LONG = f"the line is longer than {MAX_RECORD_BYTES // 2**20} MiB"


def decoded_lines(source: ByteSource) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield for each line its position, its text without the line feed, and None; or None and the problem."""
    for number, line in enumerate(source.lines(), start=1):
        if line is None:
            yield f"line {number}", None, TOO_LONG
            continue
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            yield f"line {number}", None, f"expected UTF-8 text, found the byte 0x{line[error.start]:02x}"
        else:
            yield f"line {number}", text, None
