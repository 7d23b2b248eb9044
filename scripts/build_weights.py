"""Build the weights that ship, as ONNX files, from the frames that ship.

    python scripts/build_weights.py               (half an hour on two cores; resumed)
    python scripts/build_weights.py --teaching    (the three of `make study` alone: two minutes)

- ``default-filtered.onnx`` is trained on the train part of the fault-filtered split. All figures of
  accuracy, calibration and abstaining are measured on it.
- ``default.onnx`` is trained on all 999 tracks, by the same recipe. No track is left to judge it.
- ``lstm.onnx``, ``residual-lstm.onnx`` and ``conv-lstm.onnx`` are the three that `make study`
  compares, as it trains them: for teaching, not for tagging.

Temperature and threshold of the first two come from verdicts on held-out folds of artists
(``artist-folds``, 639 tracks of train and valid), and so does the novelty threshold; those of the
three, each its own training's, from the valid part. The default recipe looks at the test part only
where ``--test`` asks for it, when it is chosen; the three are examined there as `make study` does.
Looks are entered into ``--ledger``.

Figures for the model card are written beside them, as ``figures.json``. Studies are kept below
``--work``; interrupted ones are resumed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato import models, parallel
from ostinato.datasets import Corpus
from ostinato.datasets.splits import Fold
from ostinato.evaluation import apply_temperature, calibration
from ostinato.evaluation.significance import wilson
from ostinato.models.ensemble import MeanOfPieces
from ostinato.storage import write_text
from ostinato.study import export
from ostinato.study.compare import read_judged
from ostinato.study.config import load_config
from ostinato.study.ledger import SHIPPED
from ostinato.study.plan import Plan, load_data, plan_study
from ostinato.study.results import StudyResults, plain
from ostinato.study.results.model_schema import Confidence
from ostinato.study.study import run_study
from ostinato.study.training_run import (
    PROBABILITIES,
    Task,
    execute,
    is_finished,
    read_probabilities,
)
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
    figures: dict[str, Any] = {"files": {}}
    if options.teaching:
        figures = json.loads(path.read_text(encoding="utf-8"))
    else:
        figures |= build_default(options, figures["files"])
    build_teaching(options, figures["files"])
    write_text(path, json.dumps(figures, indent=1) + "\n")
    told = ("files", "default-filtered_on_test")
    print(json.dumps({key: figures[key] for key in told if key in figures}, indent=1))


def build_default(options: argparse.Namespace, files: dict[str, Any]) -> dict[str, Any]:
    """Build the two default models: one recipe, trained on a part and on everything.

    Each is the mean of all seeds' trainings, and so are its figures.
    """
    base = load_config(options.study)
    (family,) = base.models
    corpus = load_data(base)
    plan = plan_study(base, corpus, options.work / "folds")
    chosen = run_study(plan, jobs=options.jobs, report=False).results
    filtered = replace(base, split="fault-filtered", test=options.test)
    part = plan_study(filtered, corpus, options.work / "filtered")
    examined = run_study(part, jobs=options.jobs, report=False, ledger=options.ledger).results

    everything = trained_on_all(part.tasks, corpus, options.work / "all", options.jobs)
    held_out = tuple(task.parts for task in plan.tasks if task.seed == 0)
    confidence = export.confidence_of(chosen, family, precision=options.precision, seed=None)
    for name, tasks, learned in (
        ("default-filtered", part.tasks, "fault-filtered, its train part"),
        ("default", everything, "all tracks"),
    ):
        model, info = export.loaded(tasks)
        pieces = {"length": info.window_frames, "hop": info.window_hop}
        model = MeanOfPieces(model, window_frames=WINDOW_FRAMES, **pieces).eval()
        # The other file has learned the test tracks.
        judged = part if options.test and name == "default-filtered" else plan
        info = replace(
            info,
            name=name,
            window_frames=WINDOW_FRAMES,
            window_hop=WINDOW_FRAMES,
            accuracy=export.measured_accuracy(read_judged(judged.folder), family, seed=None),
            provenance=info.provenance | {"pieces": pieces, "split": learned},
        )
        finished = finish(
            model,
            replace(info, version=options.version, licence=options.licence),
            corpus,
            train=tasks[0].parts.train,
            held_out=held_out,
            confidence=confidence,
            novelty_window=NOVELTY_WINDOW,
        )
        files[name] = written(finished, options.to)
    distances = finished.distances
    card = of_the_card(chosen, examined if options.test else None, family, distances)
    if options.test:
        temperature, threshold = (
            files["default-filtered"][k] for k in ("temperature", "threshold")
        )
        card["default-filtered_on_test"] = as_it_answers(part, temperature, threshold)
    return card


def as_it_answers(plan: Plan, temperature: float, threshold: float | None) -> dict[str, Any]:
    """Calibration and abstaining on the test part with the file's temperature and threshold."""
    said = [
        read_probabilities(t.folder / PROBABILITIES, t.parts, plan.corpus.genres)
        for t in plan.tasks
    ]
    plain = np.mean([parts["test"] for parts in said], axis=0)  # (N, G)
    labels = plan.corpus.labels[plan.corpus.positions(plan.tasks[0].parts.test)]
    scaled = apply_temperature(plain, temperature)
    answered = scaled.max(axis=1) >= (threshold or 0.0)
    right = scaled.argmax(axis=1) == labels
    return {
        **{
            when: without_bins(calibration.evaluate(labels, p).to_dict())
            for when, p in (("before", plain), ("after", scaled))
        },
        "answered": float(answered.mean()),
        "right_of_answered": asdict(wilson(float(right[answered].mean()), int(answered.sum()))),
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
    parser.add_argument("--test", action="store_true", help="examine the test part as well")
    parser.add_argument(
        "--teaching", action="store_true", help="build the three for teaching alone"
    )
    parser.add_argument("--ledger", type=Path, default=SHIPPED, help="where looks are entered")
    parser.add_argument("--version", default="2")
    parser.add_argument("--licence", default="MIT")
    parser.add_argument("--work", type=Path, default=Path("runs") / "weights")
    parser.add_argument("--to", type=Path, default=WEIGHTS)
    parser.add_argument("--jobs", type=int, help="runs side by side; by default one a core")
    return parser.parse_args()


def trained_on_all(
    tasks: Sequence[Task], corpus: Corpus, folder: Path, jobs: int | None
) -> list[Task]:
    """The same recipe and seeds on every track.

    A run needs a validation part, for its curves: here it is some of the training tracks, so the
    figures of these runs mean nothing, and none of them is used.
    """
    split = hashlib.sha256("\n".join(corpus.ids).encode()).hexdigest()[:12]
    everything = [
        replace(
            task,
            recipe=replace(task.recipe, split=split, test=False),
            parts=Fold(train=corpus.ids, valid=corpus.ids[::20]),
            folder=(folder / f"seed{task.seed}").absolute(),
        )
        for task in tasks
    ]
    waiting = [task for task in everything if not is_finished(task)]
    calls = [(task, corpus) for task in waiting]
    with parallel.run(execute, calls, doing="trained a model", n_jobs=jobs) as results:
        list(results)
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


def of_the_card(
    chosen: StudyResults,
    examined: StudyResults | None,
    model: str,
    distances: NDArray[np.float64],
) -> dict[str, Any]:
    """Figures of the model card, each under the split that it was measured on."""
    of_splits = {"artist-folds": chosen} | ({"fault-filtered": examined} if examined else {})
    quantiles = (0.5, 0.9, 0.95, 0.99, KNOWN, 1.0)
    return {
        "recipe": {
            "model": model,
            "settings": chosen.models[model].settings,
            "training": chosen.config["training"],
            "frames": chosen.data.frames,
            "parameters": chosen.models[model].parameters,
        },
        "distances_of_held_out_tracks": {
            f"{q:g}": float(np.quantile(distances, q)) for q in quantiles
        },
        "splits": {
            name: {
                "accuracy": export.in_words(
                    results,
                    results.models[model].ensemble[results.examined].interval,
                    f"ensemble of {results.n_seeds} trainings",
                ),
                "single_trainings": export.in_words(
                    results,
                    results.models[model].accuracy(results.examined),
                    f"mean of {results.n_seeds} trainings",
                ),
                "per_genre": plain(results.models[model].per_genre),
                "confidence": without_bins(results.models[model].ensemble_confidence),
            }
            for name, results in of_splits.items()
        },
    }


def without_bins(confidence: Confidence | dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in plain(confidence or {}).items() if key != "reliability"}


if __name__ == "__main__":
    main()
