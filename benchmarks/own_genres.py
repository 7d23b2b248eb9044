"""How well one's own genres are learned from few tracks, and how many mislabelled files are found.

::

    python benchmarks/own_genres.py few --tags TAGGRAMS.npz
    python benchmarks/own_genres.py mislabelled --model discriminant
    python benchmarks/own_genres.py audio --audio FOLDER --others FOLDER

``few``: N tracks a genre are drawn from the training part of artist folds of GTZAN's 442 tracks
with published tags of musicnn, in all ten genres; the rest of the artists judge. ``mislabelled``:
a twentieth of the labels of the 639 tracks that ship are swapped at random, and the share of them
among the tenth that ``ostinato train`` lists first is told. ``audio``: a model of at most ten
tracks a genre of a folder, judged on the other tracks, those of another folder among them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ostinato.datasets import Corpus, load_corpus
from ostinato.datasets.gtzan import load_gtzan
from ostinato.datasets.splits import Fold, artist_folds, load_split
from ostinato.evaluation import apply_temperature, calibration
from ostinato.inference.musicnn import TAGS_SPEC
from ostinato.study.judgement import trust
from ostinato.training import train

FOLDS = Path(__file__).parents[1] / "studies" / "accuracy" / "musicnn-folds.tsv"


def drawn(corpus: Corpus, ids: tuple[str, ...], n: int, random: np.random.Generator) -> Fold:
    """A fold that learns at most n recordings a genre of these, and holds nothing out."""
    genre = dict(zip(corpus.ids, corpus.labels.tolist(), strict=True))
    own = [[i for i in ids if genre[i] == g] for g in range(len(corpus.genres))]
    chosen = [i for of in own for i in random.permutation(of)[:n].tolist()]
    return Fold(train=tuple(sorted(chosen)), valid=())


def few(tags: Path, families: list[str], n_draws: int) -> Iterator[str]:
    corpus = load_corpus(tags, spec=TAGS_SPEC)
    split = load_split(FOLDS, corpus)
    label = dict(zip(corpus.ids, corpus.labels.tolist(), strict=True))
    for family in families:
        for n in (3, 10, 20):
            shares = []
            for draw in range(n_draws):
                random, right = np.random.default_rng(100 + draw), []
                for fold in split.folds:
                    learned = drawn(corpus, fold.train, n, random).train
                    found = train(corpus, Fold(train=learned, valid=fold.valid), family)
                    said = found.probabilities["valid"].argmax(axis=1)
                    right += [said[k] == label[i] for k, i in enumerate(fold.valid)]
                shares.append(np.mean(right))
            mean, spread = 100 * np.mean(shares), 100 * np.std(shares)
            yield f"{family}, {n} tracks a genre: {mean:.1f} % (deviation of draws {spread:.1f})"


def mislabelled(family: str, n_draws: int, share: float = 0.05) -> Iterator[str]:
    whole = load_gtzan()
    split = artist_folds(whole)
    ids = sorted(i for fold in split.folds for i in fold.valid)
    at = whole.positions(ids).tolist()
    found = []
    for draw in range(n_draws):
        random = np.random.default_rng(draw)
        swapped = random.choice(len(ids), round(share * len(ids)), replace=False)
        recordings = [whole.recordings[i] for i in at]
        for k in swapped.tolist():
            others = [g for g in whole.genres if g != recordings[k].genre]
            recordings[k] = replace(recordings[k], genre=str(random.choice(others)))
        corpus = replace(
            whole,
            name="swapped",
            recordings=tuple(recordings),
            frames=tuple(whole.frames[i] for i in at),
        )
        said = np.zeros((len(ids), len(corpus.genres)))
        for fold in split.folds:
            held_out = train(corpus, fold, family).probabilities["valid"]
            said[corpus.positions(fold.valid)] = held_out
        labels = corpus.labels
        said = apply_temperature(said, calibration.fit_temperature(labels, said))
        first = np.argsort(trust(np.eye(len(corpus.genres), dtype=bool)[labels], said))
        among = set(first[: len(ids) // 10].tolist())
        found.append(len(among & set(swapped.tolist())) / len(swapped))
        yield f"{family}, draw {draw}: {100 * found[-1]:.0f} % found"
    yield f"{family}, mean of {n_draws} draws: {100 * np.mean(found):.1f} % found"


def audio(folder: Path, others: Path, frames: str | None) -> Iterator[str]:
    from ostinato.study.judge_model import judge_model
    from ostinato.study.own_genres import learn_genres

    with tempfile.TemporaryDirectory() as place:
        counts: dict[str, int] = {}
        for path in (*sorted(folder.iterdir()), *sorted(others.iterdir())):
            genre = path.name.split(".")[0]
            counts[genre] = counts.get(genre, 0) + (path.parent == folder)
            learned = path.parent == folder and counts[genre] <= 10
            part = Path(place) / ("learned" if learned else "others")
            part.mkdir(exist_ok=True)
            (part / path.name).symlink_to(path.absolute())
        started = time.perf_counter()
        found = learn_genres(
            Path(place) / "learned", Path(place) / "mine.onnx", frames=frames, cache=Path(place)
        )
        seconds = time.perf_counter() - started
        other = judge_model(found.path, Path(place) / "others", cache=Path(place)).judgement
        yield f"{found.judgement.n} tracks learned in {seconds:.0f} s: {found.recipe.why}"
        for what, judged in (("by folds", found.judgement), ("on the rest", other)):
            span = f"{100 * judged.accuracy.low:.1f} to {100 * judged.accuracy.high:.1f}"
            yield f"{what}: {100 * judged.accuracy.mean:.1f} % of {judged.n} ({span})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=["few", "mislabelled", "audio"])
    parser.add_argument("--tags", type=Path)
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--others", type=Path)
    parser.add_argument("--frames")
    parser.add_argument("--model", default="discriminant,baseline")
    parser.add_argument("--draws", type=int, default=10)
    given = parser.parse_args()
    families = given.model.split(",")
    if given.part == "few":
        lines = few(given.tags, families, given.draws)
    elif given.part == "mislabelled":
        lines = (line for family in families for line in mislabelled(family, given.draws))
    else:
        lines = audio(given.audio, given.others, given.frames)
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
