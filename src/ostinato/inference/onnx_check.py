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
_OPERATOR = ("node", 4)
_DOMAINS = (("node", 7), ("opset", 1))
_REFUSED: dict[tuple[str, int], str] = {
    ("model", 20): "training code",
    ("model", 25): "functions of its own",
    ("tensor", 13): "a tensor that is read from another file",
    ("tensor", 14): "a tensor that is read from another file",
}
_STANDARD = (b"", b"ai.onnx")
_ENDLESS = b"Loop"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check_onnx_bytes(content: bytes, *, source: str) -> None:
    """Refuse, with a DataError, what is no ONNX graph or holds something no genre model needs."""
    waiting = [("model", memoryview(content))]
    n_fields, graphs = 0, 0
    try:
        while waiting:
            kind, message = waiting.pop()
            for field, wire, value in _fields(message):
                n_fields += 1
                odd = _odd(kind, field, value)
                if n_fields > _MOST_FIELDS:
                    odd = f"more than {_MOST_FIELDS:,} fields"
                if odd is not None:
                    raise DataError(
                        f"{source}: expected a graph of standard ONNX operators, got {odd}; it "
                        "will not be run."
                    )
                inside = _INSIDE[kind].get(field)
                if inside is not None:
                    if wire != _BYTES or not isinstance(value, memoryview):
                        raise ValueError("a message that is a number")
                    graphs += inside == "graph"
                    waiting.append((inside, value))
    except (ValueError, IndexError):
        graphs = 0
    if not graphs:
        raise DataError(
            f"{source}: expected a model as an ONNX file, got something else or a damaged one."
        )


def _odd(kind: str, field: int, value: int | memoryview) -> str | None:
    """What a field holds that no genre model needs; None if that is nothing."""
    what = _REFUSED.get((kind, field))
    if what is not None and (isinstance(value, memoryview) or value != 0):  # location 0: inside
        return what
    if isinstance(value, memoryview):
        text = bytes(value[:100])
        if (kind, field) in _DOMAINS and text not in _STANDARD:
            return f"operators of '{text.decode('ascii', 'backslashreplace')}'"
        if (kind, field) == _OPERATOR and text == _ENDLESS:
            return f"a {text.decode()}"
    return None


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
