"""Refusals: their form, and that the reference lists every one that there is."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

import ostinato
from ostinato.server.problems import Problem

SERVER = Path(ostinato.__file__).parent / "server"
GUIDE = Path(__file__).parents[2] / "docs" / "reference" / "http.md"


def raised() -> set[tuple[int, str]]:
    """Status and code of every problem that the source makes of words."""
    found = set()
    for path in SERVER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem":
                given = [getattr(argument, "value", None) for argument in node.args[:2]]
                if len(given) == 2 and all(
                    given
                ):  # not those that are copied, or made of HTTP's own
                    found.add(tuple(given))
    return found


def test_the_reference_lists_every_refusal() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.*?) \|", GUIDE.read_text(encoding="utf-8"), re.M)
    told = {(int(status), code) for status, codes in rows for code in re.findall("`(.*?)`", codes)}
    assert len(raised()) > 15
    assert told == raised()


def test_a_problem_is_plain_values_and_survives_a_pickle() -> None:
    problem = pickle.loads(pickle.dumps(Problem(429, "busy", "Expected fewer.", 0.2)))
    assert problem.to_dict() == {
        "type": "about:blank", "title": "Too Many Requests", "status": 429, "code": "busy",
        "detail": "Expected fewer.",
    }  # fmt: skip
    assert problem.headers == {"Retry-After": "1"}
    assert str(problem) == "Expected fewer."
    assert Problem(503, "busy", "x", 12.1).headers == {"Retry-After": "13"}
    assert Problem(400, "malformed", "x").headers == {}
