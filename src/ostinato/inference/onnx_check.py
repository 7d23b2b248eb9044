"""Check the bytes of an ONNX file before ONNX Runtime loads it.

An ONNX file is a Protocol Buffers message. A few of its fields could do harm, or could not be
checked once the graph is loaded: tensors that are read from another file, operators outside the
standard, functions, training code, and loops, which need not end. Walking the message takes
milliseconds: fields are skipped by their lengths, nothing is unpacked.

References
----------
ONNX, "onnx.proto" (numbers of the fields); Protocol Buffers, "Encoding" (the wire format).
"""

from __future__ import annotations

from collections.abc import Iterator

from ostinato.errors import DataError

_MOST_FIELDS = 1_000_000

# Message -> field -> the message that it holds. Fields that are not named here are skipped.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "opset": {},
}
_TEXT: dict[tuple[str, int], str] = {
    ("node", 4): "operator",
    ("node", 7): "domain",
    ("opset", 1): "domain",
}
_REFUSED: dict[tuple[str, int], str] = {
    ("model", 20): "training code",
    ("model", 25): "functions of its own",
    ("tensor", 13): "a tensor that is read from another file",
    ("tensor", 14): "a tensor that is read from another file",
}
_STANDARD = (b"", b"ai.onnx")
_ENDLESS = (b"Loop",)

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check_onnx_bytes(content: bytes, *, source: str) -> None:
    """Refuse a file that is no ONNX graph, or holds something that no genre model needs.

    Parameters
    ----------
    content : bytes
        The whole file.
    source : str
        The file's name, for the errors.

    Raises
    ------
    DataError
        With one sentence: what is wrong with the file.
    """
    view = memoryview(content)
    waiting: list[tuple[str, memoryview]] = [("model", view)]
    n_fields, graphs = 0, 0
    try:
        while waiting:
            kind, message = waiting.pop()
            for field, wire, value in _fields(message):
                n_fields += 1
                if n_fields > _MOST_FIELDS:
                    raise _Odd(f"more than {_MOST_FIELDS:,} fields")
                _check_field(kind, field, value)
                inside = _INSIDE[kind].get(field)
                if inside is not None:
                    if wire != _BYTES or not isinstance(value, memoryview):
                        raise ValueError("a message that is a number")
                    graphs += inside == "graph"
                    waiting.append((inside, value))
    except _Odd as odd:
        raise DataError(
            f"{source}: expected a graph of standard ONNX operators, got {odd}; it will not be run."
        ) from None
    except (ValueError, IndexError):
        graphs = 0
    if not graphs:
        raise DataError(
            f"{source}: expected a model as an ONNX file, got something else or a damaged one."
        )


class _Odd(Exception):  # noqa: N818, carries what is odd into the error's sentence
    pass


def _check_field(kind: str, field: int, value: int | memoryview) -> None:
    what = _REFUSED.get((kind, field))
    if what is not None and (isinstance(value, memoryview) or value != 0):  # location 0: inside
        raise _Odd(what)
    text = _TEXT.get((kind, field))
    if text is None or not isinstance(value, memoryview):
        return
    said = bytes(value[:100])
    if (text == "domain" and said not in _STANDARD) or (text == "operator" and said in _ENDLESS):
        name = said.decode("ascii", "backslashreplace")
        raise _Odd(f"operators of '{name}'" if text == "domain" else f"a {name}")


def _fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Give number, wire type and value of every field; ValueError or IndexError if damaged."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        field, wire = key >> 3, key & 7
        if field == 0:
            raise ValueError("field 0")
        if wire == _VARINT:
            number, at = _varint(message, at)
            yield field, wire, number
            continue
        if wire == _BYTES:
            length, at = _varint(message, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if length > end - at:
            raise ValueError("a field that ends after its message")
        yield field, wire, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Read a number in groups of seven bits; give it and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
