"""Plant small faults in the code, one at a time, and count how many the tests catch.

    make mutants        (python scripts/mutants.py --sample 200 --seed 1 --jobs 2)

mutmut's operators make the faults: an argument left out or None, another operator, constant, key
or branch. Left alone are text for people (strings with a space, what is raised), annotations and
decorators. The tests run once without a fault, to record which of them cover which line; a fault
then meets those that cover its line, the quick ones first, up to ``BUDGET_S``. What survives and
stands in ``scripts/mutants.tsv`` changes nothing that matters, for the reason that is given there.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import difflib
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from xml.etree import ElementTree

import coverage
import libcst as cst
import pytest
from libcst import matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

REPOSITORY = Path(__file__).resolve().parents[1]
WORK = REPOSITORY / ".mutants"  # a copy of the repository for each process
LISTED = REPOSITORY / "scripts" / "mutants.tsv"
PACKAGES = ("evaluation", "datasets/splits", "inference", "audio", "study")
#: In processes of their own, whose lines are not recorded, or waiting for a clock.
LEFT_OUT = ("tests/audio/test_damaged.py", "tests/test_notebooks.py")
BUDGET_S = 60.0  # of recorded time, for the tests of one fault
#: Imported once, before a process is forked for each fault: it takes longer than most tests.
HEAVY = "torch lightning sklearn.model_selection scipy.stats matplotlib.figure onnxruntime onnx av"

_SKIPPED = m.Annotation() | m.Decorator() | m.Raise() | m.Import() | m.ImportFrom() | m.Assert()
_SKIPPED |= m.If(test=m.Name("TYPE_CHECKING")) | m.Assign([m.AssignTarget(m.Name("__all__"))])
_SKIPPED |= m.Call(func=m.Name("len") | m.Name("isinstance") | m.Name("TypeVar"))
_SKIPPED |= m.SimpleString(value=m.MatchIfTrue(lambda text: " " in text))


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A small fault: where it is, what it changes, and the file's text with it."""

    file: str
    first: int  # where the statement starts
    line: int
    text: str
    before: str
    after: str


class _Places(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        self.statements: list[int] = []  # lines on which those begin that are open
        self.found: list[tuple[int, int, cst.CSTNode, cst.CSTNode]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if m.matches(node, _SKIPPED):
            return False
        line = self.get_metadata(PositionProvider, node).start.line
        if isinstance(node, cst.BaseStatement):
            self.statements.append(line)
        first = self.statements[-1] if self.statements else line
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                self.found += [(first, line, node, other) for other in operator(node)]
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.BaseStatement) and not m.matches(original_node, _SKIPPED):
            self.statements.pop()


def sample(n: int, seed: int) -> list[Mutant]:
    """Draw faults from all that can be made of the packages' code."""
    places = []
    for package in PACKAGES:
        for path in sorted((REPOSITORY / "src/ostinato" / package).rglob("*.py")):
            wrapper = MetadataWrapper(cst.parse_module(path.read_text(encoding="utf-8")))
            visitor = _Places()
            wrapper.visit(visitor)
            places += [(path, wrapper.module, *found) for found in visitor.found]
    print(f"{n} of {len(places):,} faults, drawn with seed {seed}.", flush=True)
    return [_mutant(*place) for place in random.Random(seed).sample(places, n)]


def _mutant(
    path: Path, module: cst.Module, first: int, line: int, old: cst.CSTNode, new: cst.CSTNode
) -> Mutant:
    text = cst.ensure_type(module.deep_replace(old, new), cst.Module).code
    changed = list(difflib.unified_diff(module.code.splitlines(), text.splitlines(), n=0))[3:]
    before, after = (" ".join(x[1:].strip() for x in changed if x[0] == sign) for sign in "-+")
    file = path.relative_to(REPOSITORY).as_posix()
    return Mutant(file=file, first=first, line=line, text=text, before=before, after=after)


class Coverage:
    """Which tests cover which line, and how long each takes; recorded in a copy."""

    def __init__(self, copy: Path, jobs: int) -> None:
        data, report = coverage.CoverageData(str(WORK / "coverage")), WORK / "tests.xml"
        command = [
            sys.executable, "-m", "pytest", *(f"tests/{p}" for p in (*PACKAGES, "cli")),
            "-n", str(jobs), "--dist", "loadfile", "--cov=ostinato", "--cov-context=test",
            "--cov-report=", "--cov-fail-under=0", f"--junitxml={report}",
            "-o", "junit_family=xunit1", *(f"--ignore={name}" for name in LEFT_OUT),
        ]  # fmt: skip
        subprocess.run(command, cwd=copy, env=_environment(copy), check=False)
        self.seconds = dict(_passed(report))
        by_file = defaultdict(set)
        for test in self.seconds:
            by_file[test.split("::")[0]].add(test)
        self.lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        data.read()
        for name in data.measured_files():
            own = self.lines[Path(name).relative_to(copy).as_posix()]
            for line, contexts in data.contexts_by_lineno(name).items():
                for test, phase in (c.rsplit("|", 1) for c in contexts if "|" in c):
                    # What a fixture has made, all tests of its file look at.
                    own[line] |= by_file[test.split("::")[0]] if phase == "setup" else {test}

    def tests(self, mutant: Mutant) -> list[str]:
        """The tests of the line, else of the file: the nearest first, by file, the quick before."""
        lines = self.lines[mutant.file]
        found = set().union(*(lines[i] for i in range(mutant.first, mutant.line + 1)))
        found = (found or set().union(*lines.values())) & self.seconds.keys()
        total: Counter[str] = Counter()
        for test in found:
            total[test.split("::")[0]] += self.seconds[test]
        folder = str(Path(mutant.file).parent).replace("src/ostinato", "tests")
        own = f"{folder}/test_{Path(mutant.file).stem}.py"

        def rank(test: str) -> tuple[bool, bool, float, str, float]:
            file = test.split("::")[0]
            near = (file != own, not file.startswith(folder))
            return *near, total[file], file, self.seconds[test]

        chosen: list[str] = []
        left = BUDGET_S
        for test in sorted(found, key=rank):
            left -= self.seconds[test]
            if left > 0 or not chosen:
                chosen.append(test)
        return chosen


def _passed(report: Path) -> Iterator[tuple[str, float]]:
    for case in ElementTree.parse(report).iter("testcase"):
        file, name = case.attrib["file"], case.attrib["name"]
        inside = case.attrib["classname"].removeprefix(file[:-3].replace("/", "."))
        if {child.tag for child in case} & {"failure", "error"}:
            print(f"Fails without a fault, and is left out: {file}{inside}::{name}")
        elif not any(child.tag == "skipped" for child in case):
            test = f"{file}{inside.replace('.', '::')}::{name}"
            yield test, float(case.attrib["time"])


def _environment(copy: Path) -> dict[str, str]:
    shared = os.environ.get("OSTINATO_SHARED", str(REPOSITORY.parent / "shared"))
    own = {"PYTHONPATH": str(copy / "src"), "COVERAGE_FILE": str(WORK / "coverage")}
    own |= {"PYTHONDONTWRITEBYTECODE": "", "OMP_NUM_THREADS": "1"}  # compiled once, not each time
    return {**os.environ, **own, "OSTINATO_SHARED": shared}


def _settle(copies: SimpleQueue[Path]) -> None:
    copy = copies.get()
    os.chdir(copy)
    os.environ.update(_environment(copy))
    sys.path[:0] = [str(copy / "src"), str(copy)]
    sys.dont_write_bytecode = True  # of a file with a fault
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def _outcome(mutant: Mutant, tests: list[str], limit_s: float) -> str:
    """Run tests with a fault in this process's copy: "caught", "survived" or "timed out"."""
    if not tests:  # pytest would run them all
        return "survived"
    path = Path.cwd() / mutant.file
    original, state = path.read_text(encoding="utf-8"), path.stat()
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()
    path.write_text(mutant.text, encoding="utf-8")
    try:
        if (child := os.fork()) == 0:
            os.setsid()
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            os._exit(int(pytest.main([*tests, "-x", "-p", "no:cacheprovider", "-p", "no:xdist"])))
        ends, found = time.monotonic() + limit_s, (0, 0)
        while found == (0, 0) and time.monotonic() < ends:
            time.sleep(0.05)
            found = os.waitpid(child, os.WNOHANG)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # with what its tests have started
        if found == (0, 0):
            os.waitpid(child, 0)
            return "timed out"
        return "survived" if os.waitstatus_to_exitcode(found[1]) in (0, 5) else "caught"
    finally:
        path.write_text(original, encoding="utf-8")
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def report(outcomes: dict[Mutant, str]) -> None:
    """Print what survived, each with its reason where one is listed, and the share caught."""
    with LISTED.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        reasons = {tuple(row[:3]): row[3] for row in rows}
    survivors = [mutant for mutant, outcome in outcomes.items() if outcome == "survived"]
    known = 0
    for one in sorted(survivors, key=lambda one: (one.file, one.line)):
        reason = reasons.get((one.file, one.before, one.after), "")
        known += bool(reason)
        print(f"\n{one.file}:{one.line}  {reason}\n- {one.before}\n+ {one.after}")
    caught, late = len(outcomes) - len(survivors), list(outcomes.values()).count("timed out")
    print(f"\nCaught {caught} of {len(outcomes)} ({caught / len(outcomes):.1%}; {late} by time).")
    print(f"{len(survivors)} survive, {known} of which change nothing that matters.")


def main() -> None:
    parser = argparse.ArgumentParser(description="Plant small faults, and count those caught.")
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    # A shell's background job ignores Ctrl-C, and tests of it would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    mutants = sample(asked.sample, asked.seed)
    shutil.rmtree(WORK, ignore_errors=True)
    copies = [WORK / str(number) for number in range(asked.jobs)]
    shutil.copytree(REPOSITORY, copies[0], ignore=shutil.ignore_patterns(".*", "runs"))
    covered = Coverage(copies[0], asked.jobs)
    for copy in copies[1:]:
        shutil.copytree(copies[0], copy)
    for name in HEAVY.split():
        importlib.import_module(name)
    context = get_context("fork")
    waiting = context.SimpleQueue()
    for copy in copies:
        waiting.put(copy)
    outcomes: dict[Mutant, str] = {}
    with ProcessPoolExecutor(asked.jobs, context, _settle, (waiting,)) as pool:
        running = {}
        for mutant in mutants:
            tests = covered.tests(mutant)
            limit_s = 30 + 5 * sum(covered.seconds[test] for test in tests)
            running[pool.submit(_outcome, mutant, tests, limit_s)] = mutant
        for done in as_completed(running):
            outcomes[running[done]] = done.result()
            print(f"{len(outcomes)}: {Counter(outcomes.values())}", end="\r", file=sys.stderr)
    report(outcomes)


if __name__ == "__main__":
    main()
