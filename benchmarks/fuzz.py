"""Feed the readers of bytes what a fuzzer makes up: each input is read, or refused by one sentence.

Run from the root of the repository, with ``.[dev]`` and atheris (``pip install atheris``)::

    python benchmarks/fuzz.py --minutes 60

Atheris changes inputs at random and keeps those that reach code that none before has reached. Each
reader of ``TARGETS`` gets an equal share of the time, in a process of its own. A run ends at the
first input that raises anything but an ``OstinatoError``, ends the process, takes longer than 10 s
or more than 1 GB; the input is kept in the folder that is printed. The exit status is then 1.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the toy model is one of the tests'

LONGEST = 8192  # bytes of an input
Reader = Callable[[bytes, Path], object]


def wav_stream(content: bytes, _: Path) -> None:
    """What ``ostinato listen`` reads."""
    from ostinato.audio import AudioStream

    with AudioStream.from_stream(io.BytesIO(content)) as stream:
        for _chunk in stream.chunks():
            pass


def mp3_head(content: bytes, place: Path) -> None:
    """The tag before an MP3, and the length behind it."""
    from ostinato.audio.formats import _mp3_states_length

    place.write_bytes(content)
    _mp3_states_length(place)


def ogg_links(content: bytes, place: Path) -> None:
    """The links of a chained recording."""
    from ostinato.audio.chain import find_links

    place.write_bytes(b"OggS" + content)
    assert all(link.begin < link.end for link in find_links(place))


def table(content: bytes, place: Path) -> None:
    """A table of audio files."""
    from ostinato.datasets.table import read_table

    csv = place.with_suffix(".csv")
    csv.write_bytes(content)
    read_table(csv)


def tags(content: bytes, place: Path) -> None:
    """An archive of musicnn's tags."""
    from ostinato.datasets.tag_npz import load_tag_npz

    place.write_bytes(content)
    load_tag_npz(place)


def study(content: bytes, place: Path) -> None:
    """The settings of a study."""
    from ostinato.study.config import load_config
    from ostinato.study.sweep import is_sweep, load_sweep

    toml = place.with_suffix(".toml")
    toml.write_bytes(content)
    (load_sweep if is_sweep(toml) else load_config)(toml)


def model_file(content: bytes, _: Path) -> None:
    """A model for ``ostinato classify --model``."""
    import numpy as np

    from ostinato.inference.model_file import read_graph

    graph = read_graph(content, source="fuzz")
    graph.run(np.zeros((1, graph.info.window_frames, graph.info.spec.n_features), np.float32))


def metadata(content: bytes, _: Path) -> None:
    """What a model file says of itself."""
    from ostinato.inference.model_info import ModelInfo

    ModelInfo.from_json(content, source="fuzz")


ODD_VALUES = (
    *(None, True, -1, 0, 2**63, 10**400, 1e308, float("nan"), float("inf")),
    *("", "x", [], [1], {}, {"a": 1}),
)


def metadata_values(content: bytes, _: Path) -> None:
    """JSON whose values are odd, which bytes made up seldom are."""
    from ostinato.inference.model_info import ModelInfo
    from tests.helpers.graphs import INFO

    values = INFO.to_dict()
    for which, odd in zip(content[::2], content[1::2], strict=False):
        place = values["spec"] if which & 1 and isinstance(values["spec"], dict) else values
        if place:
            place[sorted(place)[(which >> 1) % len(place)]] = deepcopy(
                ODD_VALUES[odd % len(ODD_VALUES)]
            )
    ModelInfo.from_json(json.dumps(values), source="fuzz")


TARGETS: dict[str, Reader] = {
    reader.__name__: reader
    for reader in (
        *(wav_stream, mp3_head, ogg_links, table, tags, study),
        *(model_file, metadata, metadata_values),
    )
}


def seeds(target: str) -> list[bytes]:
    """Sound inputs to begin with."""
    import numpy as np
    import soundfile

    if target == "wav_stream":
        found = []
        for subtype in ("PCM_16", "PCM_24", "FLOAT", "PCM_U8"):
            file = io.BytesIO()
            soundfile.write(file, np.zeros((300, 2)), 44_100, subtype, format="WAV")
            found.append(file.getvalue())
        return found
    if target == "mp3_head":
        tag = b"ID3\x04\0\0" + bytes([0, 0, 0, 20]) + bytes(20)
        return [tag + b"\xff\xfb\x90\0" + bytes(32) + b"Xing", b"\xff\xfb\x90\0" + bytes(400)]
    if target == "ogg_links":
        page = b"\0\2" + bytes(20) + b"\1\x1e" + bytes(30)
        return [page + b"OggS" + page + b"OggS\0\0" + bytes(21), page * 3]
    if target == "metadata_values":
        return [bytes(range(40))]
    if target == "table":
        return [
            b"path,genre,artist\na.mp3,rock,A\nb.mp3,jazz,B\n",
            b"\xef\xbb\xbfpath;genre\na;b\n",
        ]
    if target == "tags":
        file = io.BytesIO()
        np.savez(file, **{"blues.00000": np.zeros((3, 50), np.float16)})
        return [file.getvalue()]
    if target == "study":
        return [
            b'models = ["lstm"]\nseeds = 1\n[training]\nepochs = 3\n',
            b'[[variants]]\nname = "a"\n',
        ]
    from tests.helpers.graphs import INFO, toy_bytes

    return [INFO.to_json().encode() if target == "metadata" else toy_bytes(distance=True)]


def fuzz(target: str, seconds: int, folder: Path) -> None:
    """Fuzz one reader; the process ends with it."""
    import atheris

    with atheris.instrument_imports(include=["ostinato"]):
        from ostinato.errors import OstinatoError

        with suppress(OstinatoError):
            TARGETS[target](b"", folder / "input")

    def once(content: bytes) -> None:
        with suppress(OstinatoError):
            TARGETS[target](content, folder / "input")

    corpus = folder / "corpus"
    corpus.mkdir()
    for number, content in enumerate(seeds(target)):
        (corpus / str(number)).write_bytes(content)
    limits = ["-timeout=10", "-rss_limit_mb=1000", f"-max_len={LONGEST}"]
    kept = f"-artifact_prefix={folder}/"
    atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={seconds}", kept, *limits], once)
    atheris.Fuzz()


def main() -> int:
    """Fuzz every reader, and print how far it came."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=7.0, help="for all readers together")
    parser.add_argument("--target", choices=TARGETS, action="append", help="by default all")
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        fuzz(asked.target[0], int(asked.inside[0]), Path(asked.inside[1]))
        return 0
    targets = asked.target or list(TARGETS)
    seconds = max(1, round(60 * asked.minutes / len(targets)))
    failed = 0
    print(f"{'reader':<12} {'inputs':>10} {'lines of code':>14}  end")
    for target in targets:
        folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-"))
        ran = subprocess.run(
            [sys.executable, __file__, "--target", target, "--inside", str(seconds), str(folder)],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        said = ran.stdout + ran.stderr
        if "No module named 'atheris'" in said:
            print("Expected atheris, which is not installed: pip install atheris", file=sys.stderr)
            return 1
        inputs = [
            int(n) for n in re.findall(r"(?m)^#(\d+)\s|Done (\d+) runs", said) for n in n if n
        ]
        covered = [int(n) for n in re.findall(r"cov: (\d+)", said)]
        end = "all read or refused" if ran.returncode == 0 else f"FAILED, see {folder}"
        (folder / "log.txt").write_text(said, encoding="utf-8")
        print(f"{target:<12} {max(inputs, default=0):>10,} {max(covered, default=0):>14,}  {end}")
        sys.stdout.flush()
        failed += ran.returncode != 0
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
