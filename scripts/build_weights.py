"""Build the weights that ship, as ONNX files, from the frames that ship.

    python scripts/build_weights.py                    (half an hour on one core; resumed)
    python scripts/build_weights.py --only default     (the two for naming genres)
    python scripts/build_weights.py --only teaching    (the three of `make study`: two minutes)

- ``default-filtered.onnx`` is trained on the train part of the fault-filtered split.
- ``default.onnx`` is trained on all 999 tracks, by the same recipe. No track is left to judge it.
- ``lstm.onnx``, ``residual-lstm.onnx`` and ``conv-lstm.onnx`` are the three that `make study`
  compares, as it trains them: for teaching, not for tagging.

Each is the first training, seed 0. Temperature and threshold of the first two come from its
verdicts on held-out folds of artists (``artist-folds``, 639 tracks of train and valid), and so does
the novelty threshold; those of the three, each its own training's, from the valid part.

The test part was examined once for the default recipe, with five trainings, when it was chosen.
Their figures are kept in ``figures.json``, and no build looks again. The three are examined there
as `make study` does; these looks are entered into ``--ledger``.

Figures for the model card are written beside the files, into ``figures.json``. Studies are kept
below ``--work``; interrupted ones are resumed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ostinato import models
from ostinato.datasets import Corpus
from ostinato.datasets.splits import Fold
from ostinato.models.ensemble import MeanOfPieces
from ostinato.storage import write_text
from ostinato.study import export
from ostinato.study.compare import read_judged
from ostinato.study.config import load_config
from ostinato.study.ledger import SHIPPED
from ostinato.study.plan import load_data, plan_study
from ostinato.study.results import plain
from ostinato.study.study import run_study
from ostinato.study.training_run import Task, execute, is_finished
from ostinato.training.finish import KNOWN, PRECISION, FinishedModel, finish, write

REPOSITORY = Path(__file__).resolve().parents[1]
STUDIES = REPOSITORY / "studies"
WEIGHTS = REPOSITORY / "src" / "ostinato" / "weights"
MOST_BYTES = 5_000_000
WINDOW_FRAMES = 387
"""30 s, a track of GTZAN. It is cut into a study's windows, so that the file gives a study's
verdicts."""
NOVELTY_WINDOW = (258, 129)
"""20 s: on 5.6 s alone speech passes for music; on 30 s there are too few windows to learn from."""


def main() -> None:
    options = parsed()
    path = options.to / "figures.json"
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if options.only != "teaching":
        build_default(options, figures)
    if options.only != "default":
        build_teaching(options, figures["files"])
    write_text(path, json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures["files"], indent=1))


def build_default(options: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Build the two default models: one recipe, trained on a part and on everything."""
    base = replace(load_config(options.study), seeds=1)
    (family,) = base.models
    corpus = load_data(base)
    plan = plan_study(base, corpus, options.work / "folds")
    chosen = run_study(plan, jobs=options.jobs, report=False).results
    part = plan_study(replace(base, split="fault-filtered"), corpus, options.work / "filtered")
    run_study(part, jobs=options.jobs, report=False)

    held_out = tuple(task.parts for task in plan.tasks)
    confidence = export.confidence_of(chosen, family, precision=options.precision, seed=0)
    on_folds = export.measured_accuracy(read_judged(plan.folder), family, seed=0)
    (task,) = part.tasks
    for name, one, learned, accuracy in (
        (
            "default-filtered", task, "fault-filtered, its train part",
            figures["splits"]["fault-filtered"]["single_trainings"],
        ),
        ("default", trained_on_all(task, corpus, options.work / "all"), "all tracks", on_folds),
    ):  # fmt: skip
        model, info = models.load(one.folder)
        pieces = {"length": info.window_frames, "hop": info.window_hop}
        model = MeanOfPieces(model, window_frames=WINDOW_FRAMES, **pieces).eval()
        info = replace(
            info,
            name=name,
            version=options.version,
            licence=options.licence,
            window_frames=WINDOW_FRAMES,
            window_hop=WINDOW_FRAMES,
            accuracy=accuracy,
            provenance=info.provenance | {"pieces": pieces, "split": learned},
        )
        finished = finish(
            model,
            info,
            corpus,
            train=one.parts.train,
            held_out=held_out,
            confidence=confidence,
            novelty_window=NOVELTY_WINDOW,
        )
        figures["files"][name] = written(finished, options.to)
    found = chosen.models[family]
    figures["recipe"] = {
        "model": family,
        "settings": found.settings,
        "training": chosen.config["training"],
        "frames": chosen.data.frames,
        "parameters": found.parameters,
    }
    quantiles = (0.5, 0.9, 0.95, 0.99, KNOWN, 1.0)
    figures["distances_of_held_out_tracks"] = {
        f"{q:g}": float(np.quantile(finished.distances, q)) for q in quantiles
    }
    confident = plain(found.confidence or {})
    figures["splits"]["artist-folds"] = {
        "accuracy": on_folds,
        "per_genre": plain(found.per_genre),
        "confidence": {key: value for key, value in confident.items() if key != "reliability"},
    }


def build_teaching(options: argparse.Namespace, files: dict[str, Any]) -> None:
    """Build the three models that are compared: the first training of each, with its figures."""
    config = load_config(STUDIES / "gtzan.toml")
    corpus = load_data(config)
    plan = plan_study(config, corpus, options.work / "gtzan")
    results = run_study(plan, jobs=options.jobs, report=False, ledger=options.ledger).results
    judged = read_judged(plan.folder)
    for task in plan.tasks:
        if task.seed == 0:
            model, info = models.load(task.folder)
            name = task.recipe.family
            info = replace(
                info,
                name=name,
                version=options.version,
                licence=options.licence,
                accuracy=export.measured_accuracy(judged, name, seed=task.seed),
                provenance=info.provenance | {"split": "fault-filtered, its train part"},
            )
            finished = finish(
                model,
                info,
                corpus,
                train=task.parts.train,
                held_out=(task.parts,),
                confidence=export.confidence_of(
                    results, name, precision=options.precision, seed=task.seed
                ),
            )
            files[name] = written(finished, options.to)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--study", type=Path, default=STUDIES / "accuracy" / "fusion.toml", help="the recipe"
    )
    parser.add_argument("--precision", type=float, default=PRECISION)
    parser.add_argument("--only", choices=("default", "teaching"), help="build only these")
    parser.add_argument("--ledger", type=Path, default=SHIPPED, help="where looks are entered")
    parser.add_argument("--version", default="3")
    parser.add_argument("--licence", default="MIT")
    parser.add_argument("--work", type=Path, default=Path("runs") / "weights")
    parser.add_argument("--to", type=Path, default=WEIGHTS)
    parser.add_argument("--jobs", type=int, help="runs side by side; by default one a core")
    return parser.parse_args()


def trained_on_all(task: Task, corpus: Corpus, folder: Path) -> Task:
    """The same recipe and seed on every track.

    A run needs a validation part, for its curves: here it is some of the training tracks, so the
    figures of this run mean nothing, and none of them is used.
    """
    split = hashlib.sha256("\n".join(corpus.ids).encode()).hexdigest()[:12]
    everything = replace(
        task,
        recipe=replace(task.recipe, split=split),
        parts=Fold(train=corpus.ids, valid=corpus.ids[::20]),
        folder=folder.absolute(),
    )
    if not is_finished(everything):
        execute(everything, corpus)
    return everything


def written(finished: FinishedModel, folder: Path) -> dict[str, Any]:
    """Write one file and describe it."""
    info = finished.info
    path = folder / f"{info.name}.onnx"
    difference = write(finished, path)
    content = path.read_bytes()
    assert len(content) <= MOST_BYTES, f"{path.name}: {len(content)} bytes"
    return {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "largest_difference_from_pytorch": difference,
        "temperature": info.temperature,
        "threshold": info.threshold,
        "precision": info.precision,
        "novelty_threshold": info.novelty_threshold,
        "accuracy": info.accuracy,
        "train": info.provenance["train"],
    }


if __name__ == "__main__":
    main()
