"""What a version promises to its users, a line a name, as it is in the code.

    python scripts/public_api.py            # print it
    python scripts/public_api.py --write    # and keep it in tests/public_api.txt

Python names are read by griffe from the source, without importing PyTorch; verbs and options, keys
of ``results.json`` and HTTP routes from what makes them. ``docs/reference/versions.md`` says what
a change of each means.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
KEPT = REPOSITORY / "tests" / "public_api.txt"

#: What the Python API is: subjects, and the names that are promised.
API = {
    "Name genres": ["ostinato.classify", "ostinato.Classifier", "ostinato.Verdict"],
    "Sound": [
        "ostinato.audio.load_audio",
        "ostinato.audio.open_audio",
        "ostinato.audio.find_audio",
    ],
    "Frames": ["ostinato.features.FeatureSpec", "ostinato.features.frames.frames"],
    "Collections": ["ostinato.datasets.load_corpus"],
    "Learn": ["ostinato.training.train", "ostinato.training.GenreClassifier"],
    "Judge": ["ostinato.study.run"],
    "Errors": [
        "ostinato.OstinatoError",
        "ostinato.UsageError",
        "ostinato.DataError",
        "ostinato.MissingExtraError",
    ],
}


def main() -> None:
    text = "".join(f"{line}\n" for line in lines())
    if sys.argv[1:] == ["--write"]:
        KEPT.write_text(text, encoding="utf-8")
    elif sys.argv[1:]:
        sys.exit(f"Expected --write or nothing, got {' '.join(sys.argv[1:])}")
    else:
        print(text, end="")


def lines() -> Iterator[str]:
    """All that is promised, in the order of the file."""
    yield from python()
    yield from command_line()
    yield from results()
    yield from http()


def python() -> Iterator[str]:
    """Signatures of functions, and members of classes."""
    import griffe

    package = griffe.load("ostinato", search_paths=[REPOSITORY / "src"])
    for name in (name for names in API.values() for name in names):
        found = package[name.removeprefix("ostinato.")]
        found = found.final_target if found.is_alias else found
        yield from _of_class(name, found) if found.is_class else [_signature(name, found)]


def _of_class(name: str, found: Any) -> Iterator[str]:
    yield f"class {name}({', '.join(str(base) for base in found.bases)})".replace("()", "")
    for member in sorted(found.all_members.values(), key=lambda member: member.name):
        if member.name.startswith("_") and member.name != "__init__":
            continue
        member = member.final_target if member.is_alias else member
        if member.is_function:
            yield _signature(f"{name}.{member.name}", member)
            continue
        kind = f": {member.annotation}" if member.annotation is not None else ""
        has_default = member.value is not None and "class-attribute" in member.labels
        default = f" = {member.value}" if has_default else ""
        yield f"{name}.{member.name}{kind}{default}"


def _signature(name: str, function: Any) -> str:
    kind = "".join(
        f"{label} " for label in ("classmethod", "staticmethod") if label in function.labels
    )
    return f"{kind}{name}{function.signature().removeprefix(function.name)}"


def command_line() -> Iterator[str]:
    """Verbs with their arguments, and options with their defaults."""
    import typer

    from ostinato.cli.main import NAME, app

    root = typer.main.get_command(app)
    for verb, command in sorted(root.commands.items()):  # type: ignore[attr-defined]
        yield f"{NAME} {verb}"
        for option in command.params:
            if option.name == "help":
                continue
            names = "/".join((*option.opts, *option.secondary_opts))
            is_flag = getattr(option, "is_flag", False)
            what = names if names.startswith("-") else option.name.upper()
            value = " VALUE" if what is names and not is_flag else ""
            many = "..." if option.multiple or option.nargs == -1 else ""
            default = "" if option.default in (None, False) else f" = {option.default}"
            needed = " (required)" if option.required else ""
            yield f"{NAME} {verb} {what}{value}{many}{default}{needed}"


def results() -> Iterator[str]:
    """Keys of ``results.json``, with their types."""
    from pydantic import TypeAdapter

    from ostinato.study.results import SCHEMA, StudyResults

    document = TypeAdapter(StudyResults).json_schema()
    yield f"results.json schema = {SCHEMA}"
    for path, kind in _leaves(document, document, ""):
        yield f"results.json {path}: {kind}"


def http() -> Iterator[str]:
    """Routes with their parameters, and the keys of what they answer."""
    from site_http import document as described

    document = described()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            call = f"{method.upper()} {path}"
            yield f"{call} -> {' '.join(sorted(operation['responses']))}"
            for asked in operation.get("parameters", ()):
                needed = " (required)" if asked.get("required") else ""
                yield f"{call} ?{asked['name']}: {_kind(asked['schema'], document)}{needed}"
            for media, body in operation.get("requestBody", {}).get("content", {}).items():
                yield f"{call} <- {media}: {_kind(body.get('schema', {}), document)}"
            for media, body in operation["responses"]["200"].get("content", {}).items():
                for key, kind in _leaves(body.get("schema", {}), document, ""):
                    yield f"{call} -> {media}{' ' * bool(key)}{key}: {kind}"


def _leaves(schema: dict[str, Any], document: dict[str, Any], at: str) -> Iterator[tuple[str, str]]:
    """Paths to what is plain in a JSON schema.

    ``[]`` is each of a list, ``*`` each of a table, ``?`` what may be null or absent.
    """
    schema = _resolved(schema, document)
    several = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if len(several) == 1:
        yield from _leaves(several[0], document, f"{at.removesuffix('?')}?")
    elif "properties" in schema:
        for name, inner in schema["properties"].items():
            optional = "" if name in schema.get("required", ()) else "?"
            yield from _leaves(inner, document, f"{at}.{name}{optional}".removeprefix("."))
    elif schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        yield from _leaves(schema["items"], document, f"{at}[]")
    elif isinstance(schema.get("additionalProperties"), dict):
        yield from _leaves(schema["additionalProperties"], document, f"{at}.*")
    else:
        yield at, _kind(schema, document)


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _kind(schema: dict[str, Any], document: dict[str, Any]) -> str:
    schema = _resolved(schema, document)
    if "anyOf" in schema:
        return " | ".join(_kind(each, document) for each in schema["anyOf"])
    kind = schema.get("type", "any")
    inner = schema.get("items")
    return f"{kind} of {_kind(inner, document)}" if isinstance(inner, dict) else str(kind)


if __name__ == "__main__":
    main()
