"""Train a small network on its genres and, at once, on the tags of a larger one, musicnn.

    ostinato fetch musicnn
    python scripts/train_student.py --tags FOLDER [--music FOLDER]

The student is the model of a study (by default ``studies/accuracy/crnn.toml``), trained as usual.
Each step also takes as many windows with the teacher's outputs as targets: the square roots of the
likelihoods of its 50 tags. A second head predicts them from the input of the first one; it is
discarded in the end. ``--tags`` are tag sequences of GTZAN's training tracks
(:mod:`ostinato.datasets.tag_npz`), of which each fold uses its own training part alone; ``--music``
is any other music, cut into excerpts. No track of the test part, and none outside the lists, is
used in any form.

The teacher may have been trained on any of these songs: the figure printed is "pretrained, overlap
unknown". Finished trainings are kept below ``--work``; the same command resumes. The teacher is
needed here, and never by those who use the student.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ostinato import features, models, parallel
from ostinato.audio import find_audio, load_audio
from ostinato.datasets import Corpus
from ostinato.datasets.gtzan import published_split
from ostinato.datasets.tag_npz import load_tag_npz
from ostinato.errors import OstinatoError
from ostinato.evaluation.significance import Clusters, Term, interval
from ostinato.features import FeatureSpec
from ostinato.inference import musicnn, musicnn_wheel
from ostinato.inference.ear import VECTORS
from ostinato.storage import replacing
from ostinato.study.config import load_config
from ostinato.study.plan import load_data, plan_study
from ostinato.study.training_run import Task
from ostinato.training.fit import GenreTraining, fit
from ostinato.training.tracks import Tracks, predict

STUDIES = Path(__file__).resolve().parents[1] / "studies"
LONG_S = 60.0
TEACHERS_S = 20  # of each excerpt, which the teacher hears
"""Shorter files in a folder of music are sound effects and jingles."""

Lesson = tuple[features.Frames, NDArray[np.float32]]
"""The student's frames (T, F), and the teacher's mean tag roots (50,)."""


def main() -> None:
    options = parsed()
    config = load_config(options.study)
    corpus = load_data(config)
    plan = plan_study(replace(config, seeds=options.seeds), corpus, options.work / "plan")
    lessons = tagged_tracks(corpus, options.tags)
    music = tagged_music(options, corpus.spec) if options.music else []
    print(f"Tags of {len(lessons)} training tracks and {len(music)} excerpts of other music.")
    calls = [(task, corpus, lessons, music, options) for task in plan.tasks]
    with parallel.run(
        taught, calls, doing="trained a student", n_jobs=options.jobs, ordered=True
    ) as results:
        found = [probabilities for _, probabilities in results]
    where = np.concatenate([corpus.positions(t.parts.valid) for t in plan.tasks if not t.seed])
    labels = corpus.labels[where]
    said = np.stack(
        [
            np.concatenate([p for p, t in zip(found, plan.tasks, strict=True) if t.seed == seed])
            for seed in range(options.seeds)
        ]
    )  # (seed, N, G)
    clusters = Clusters.by_artist(labels, [corpus.artists[i] for i in where])
    for name, verdicts in (("single", said), ("ensemble", said.mean(axis=0, keepdims=True))):
        right = verdicts.argmax(axis=2) == labels
        found = interval([Term(right, clusters, name)])
        seeds = ", ".join(f"{100 * r:.1f}" for r in right.mean(axis=1))
        print(
            f"{name}: {100 * found.mean:.1f} % ({100 * found.low:.1f}-"
            f"{100 * found.high:.1f}, 95 % by artist) of {len(labels)} held-out tracks [{seeds}]; "
            "pretrained teacher, overlap unknown."
        )


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tags", type=Path, required=True, help="tag sequences of GTZAN")
    parser.add_argument("--music", type=Path, help="a folder of other music")
    parser.add_argument("--wheel", type=Path, help="musicnn's, where pip cannot download it")
    parser.add_argument("--study", type=Path, default=STUDIES / "accuracy" / "crnn.toml")
    parser.add_argument("--weight", type=float, default=0.5, help="of the teacher's loss")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs") / "student")
    parser.add_argument("--jobs", type=int, default=parallel.cpu_count())
    return parser.parse_args()


def tagged_tracks(corpus: Corpus, tags: Path) -> dict[str, Lesson]:
    """Lessons by id: the train and valid parts' tracks whose tags are known."""
    lists = published_split("fault-filtered")
    mine = {*lists["train"], *lists["valid"]}
    sequences = load_tag_npz(tags)
    known = {
        r.id: f.mean(axis=0) for r, f in zip(sequences.recordings, sequences.frames, strict=True)
    }
    return {
        r.id: (f, known[r.id])
        for r, f in zip(corpus.recordings, corpus.frames, strict=True)
        if r.id in mine and r.id in known
    }


def tagged_music(options: argparse.Namespace, spec: FeatureSpec) -> list[Lesson]:
    """Lessons from the excerpts of a folder of music; kept in ``music.npz``."""
    kept = options.work / "music.npz"
    if not kept.exists():
        teacher = the_teacher(options)
        lessons: list[Lesson] = []
        for path in find_audio([options.music]).paths:
            try:
                lessons += lessons_of(path, teacher, spec)
            except OstinatoError as error:
                print(error)
        with replacing(kept) as temporary, temporary.open("wb") as file:
            np.savez(file, frames=np.stack([f for f, _ in lessons]), tags=[t for _, t in lessons])
    stored = np.load(kept)
    return list(zip(stored["frames"], stored["tags"], strict=True))


def the_teacher(options: argparse.Namespace) -> onnxruntime.InferenceSession:
    wheel = options.wheel
    content = musicnn_wheel.read_wheel(wheel) if wheel else musicnn_wheel.downloaded_wheel()
    arrays = musicnn_wheel.weights(content, source=str(wheel))
    graph = musicnn.ear_graph(arrays)
    return onnxruntime.InferenceSession(graph.SerializeToString())


def lessons_of(
    path: Path, teacher: onnxruntime.InferenceSession, spec: FeatureSpec
) -> list[Lesson]:
    """Whole excerpts of one file; the teacher gets the first seconds of each."""
    waveform = load_audio(path, sample_rate_hz=spec.sample_rate_hz)
    if len(waveform) < LONG_S * spec.sample_rate_hz:
        return []
    pieces = features.excerpts(waveform, spec)
    teachers = features.excerpts(
        load_audio(path, sample_rate_hz=musicnn.SPEC.sample_rate_hz), musicnn.SPEC
    )
    lessons = []
    for ours, theirs in zip(pieces, teachers, strict=False):
        if len(ours) < spec.excerpt_samples or len(theirs) < musicnn.SPEC.excerpt_samples:
            continue
        try:
            frames = features.frames(ours[: spec.excerpt_samples], spec)
        except features.FeatureError:  # silence
            continue
        first_s = theirs[: TEACHERS_S * musicnn.SPEC.sample_rate_hz]
        window = features.frames(first_s, musicnn.SPEC)[None]
        (roots,) = teacher.run([VECTORS], {"frames": window})
        lessons.append((frames, roots[0].mean(axis=0)))
    return lessons


class TaughtTraining(GenreTraining):
    """Adds to each step's loss that of a second head, which predicts the teacher's tags."""

    def __init__(self, *usual: Any, lessons: list[Lesson], weight: float) -> None:
        super().__init__(*usual)
        tags = torch.from_numpy(np.stack([tags for _, tags in lessons]))
        self.lessons = Tracks(
            frames=[frames for frames, _ in lessons],
            lengths=torch.tensor([len(f) for f, _ in lessons]),
            labels=torch.zeros(len(lessons), dtype=torch.int64),
            spec=self.train_tracks.spec,
        )
        self.tags = (tags - tags.mean(dim=0)) / tags.std(dim=0)  # (N, 50)
        self.weight = weight
        head = getattr(self.model, "network", self.model).head
        self.second_head = nn.Linear(head.in_features, tags.shape[1])
        self.read: Tensor | None = None  # the last input of the head of genres
        head.register_forward_pre_hook(self._keep)

    def _keep(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        (self.read,) = inputs

    def training_step(self, number: int) -> Tensor:
        """Loss of the genres, and that of the tags."""
        loss = super().training_step(number)
        some = torch.randint(len(self.tags), (len(self.batches[number]),))
        self.model(self.lessons.random_crops(some, self.settings.window_frames))
        said = self.second_head(self.read)  # (B, 50)
        return loss + self.weight * functional.smooth_l1_loss(said, self.tags[some])


def taught(
    task: Task,
    corpus: Corpus,
    lessons: dict[str, Lesson],
    music: list[Lesson],
    options: argparse.Namespace,
) -> NDArray[np.float64]:
    """Verdicts of one training on its fold's held-out tracks [shape=(N, G)]."""
    folder = options.work / task.recipe.family / f"seed{task.seed}-fold{task.fold}"
    kept = folder / "held-out.npy"
    if kept.exists():
        return np.asarray(np.load(kept))
    torch.set_num_threads(1)
    torch.manual_seed(1000 * task.seed + task.fold)
    settings = task.recipe.training
    model = models.build(
        task.recipe.family, spec=corpus.spec, n_genres=10, settings=task.recipe.settings
    )
    train, valid = Tracks.of(corpus, task.parts.train), Tracks.of(corpus, task.parts.valid)
    own = [lessons[i] for i in task.parts.train if i in lessons] + music
    folder.mkdir(parents=True, exist_ok=True)
    fit(
        model, train=train, valid=valid, settings=settings, seed=task.seed, folder=folder,
        make_training=partial(TaughtTraining, lessons=own, weight=options.weight),
    )  # fmt: skip
    said = predict(model, valid, length=settings.window_frames, hop=settings.window_hop)
    with replacing(kept) as temporary, temporary.open("wb") as file:
        np.save(file, said)
    return said


if __name__ == "__main__":
    main()
