"""The routes of ``ostinato serve`` as Markdown, from the document that the app gives of itself."""

from __future__ import annotations

import json
from typing import Any

_PROBLEM = "ProblemDetails"


def routes() -> str:
    """A heading a route with its parameters and answers, then the fields of every answer."""
    described = document()
    parts = []
    for path, methods in sorted(described["paths"].items(), key=lambda own: own[0][:4] != "/v1/"):
        for method, route in methods.items():
            ends = "" if route["summary"].endswith("?") else "."
            parts.append(f"### {method.upper()} {path}\n\n{route['summary']}{ends}\n")
            if body := route.get("requestBody"):
                kinds = " or ".join(f"`{kind}`" for kind in body["content"])
                parts.append(f"Body: {kinds}.\n")
            parts.append(_parameters(route.get("parameters", [])))
            parts.append(_statuses(route["responses"]))
    parts.append("## What is answered\n")
    for name, schema in described["components"]["schemas"].items():
        parts.append(f"### {name}\n\n{schema['description']}\n")
        rows = [
            (f"`{key}`", _type(own), own.get("description", _bounds(own)))
            for key, own in schema["properties"].items()
        ]
        parts.append(_table(("field", "type", "what"), rows))
        examples = schema.get("examples", [])
        parts += [f"```json\n{json.dumps(each, indent=1)}\n```\n" for each in examples]
    return "\n".join(parts)


def document() -> dict[str, Any]:
    """The OpenAPI document of an app that has no workers."""
    from ostinato.server.app import Service, build
    from ostinato.server.limits import Limits
    from ostinato.server.monitor import Monitor

    idle: Any = None
    service = Service(idle, idle, (), limits=Limits(), monitor=Monitor(log=False))
    return build(service, page=False).openapi()


def _parameters(given: list[dict[str, Any]]) -> str:
    rows = [
        (
            f"`{own['name']}`",
            f"{_type(own['schema']).removesuffix(' or null')} {_bounds(own['schema'])}".strip(),
            own.get("description", ""),
        )
        for own in given
    ]
    return _table(("parameter", "type", "what"), rows) if rows else ""


def _statuses(responses: dict[str, Any]) -> str:
    """What a route answers: its own form, and the statuses of refusals."""
    (kind, content), *_ = responses["200"]["content"].items()
    refused = ", ".join(status for status in responses if status != "200")
    said = f"Answers 200: {_type(content['schema'])} (`{kind}`)."
    return f"{said}{f' Refusals: {refused}.' if refused else ''}\n"


def _type(schema: dict[str, Any]) -> str:
    """A schema's type in a word or two."""
    if of := schema.get("$ref"):
        name = of.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if any_of := schema.get("anyOf"):
        return " or ".join(_type(one) for one in any_of)
    words = {"integer": "whole number", "string": "text", "boolean": "true or false"}
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    return words.get(kind, kind)


def _bounds(schema: dict[str, Any]) -> str:
    """The range of a number, where it has one."""
    for one in schema.get("anyOf", [schema]):
        low, high = one.get("minimum"), one.get("maximum")
        if low is not None:
            return f"from {low:g}" + (f" to {high:g}" if high is not None else " on")
    return ""


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
