"""Build the weights that ship, as ONNX files, from the frames that ship.

    python scripts/build_weights.py      (half an hour on two cores, and goes on where it stopped)

- ``default-filtered.onnx`` learned from the train part of the fault-filtered split. Whatever is
  said of accuracy, calibration and abstaining is said of it.
- ``default.onnx`` learned from all 999 tracks, by the same recipe. Nothing is left to judge it on.
- ``lstm.onnx``, ``residual-lstm.onnx`` and ``conv-lstm.onnx`` are the three that `make study`
  compares, as it trains them: to learn from, not to tag with.

Temperature and threshold of the first two come from verdicts on held-out folds of artists
(``artist-folds``, 639 tracks of train and valid), and so does the novelty threshold; those of the
three from the valid part. The test part is not looked at unless ``--test`` asks for it: once, when
the recipe is chosen.

Figures for the model card are written beside them, as ``figures.json``. Studies are kept below
``--work``, and go on where they were interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from ostinato import models
from ostinato.datasets import Corpus
from ostinato.datasets.splits import Fold
from ostinato.evaluation import apply_temperature, calibration
from ostinato.evaluation.significance import wilson
from ostinato.inference.model_info import ModelInfo
from ostinato.models.ensemble import MeanDistanceOfPieces, MeanOfPieces
from ostinato.storage import write_text
from ostinato.study import export
from ostinato.study.config import load_config
from ostinato.study.study import Plan, load_data, plan_study, run_study
from ostinato.study.training_run import PREDICTIONS, Task, execute, is_finished, read_predictions

REPOSITORY = Path(__file__).resolve().parents[1]
STUDIES = REPOSITORY / "studies"
WEIGHTS = REPOSITORY / "src" / "ostinato" / "weights"
MOST_BYTES = 5_000_000
WINDOW_FRAMES = 387
"""30 s, a track of GTZAN. The networks hear pieces of it, as a study cuts them, so that the file
gives a study's verdicts."""
NOVELTY_WINDOW = {"window_frames": 258, "window_hop": 129}
"""20 s: on 5.6 s alone speech passes for music; on 30 s there are too few windows to learn from."""


def main() -> None:
    options = parsed()
    figures: dict[str, Any] = {"files": {}}
    figures |= build_default(options, figures["files"])
    build_teaching(options, figures["files"])
    write_text(options.to / "figures.json", json.dumps(figures, indent=1) + "\n")
    told = ("files", "default-filtered_on_test")
    print(json.dumps({key: figures[key] for key in told if key in figures}, indent=1))


def build_default(options: argparse.Namespace, files: dict[str, Any]) -> dict[str, Any]:
    """The two that name genres: one recipe, learned from a part and from everything.

    Each is the mean of all seeds' trainings, and so are the figures that are said of it.
    """
    base = load_config(options.study)
    (family,) = base.models
    corpus = load_data(base)
    plan = plan_study(base, corpus, options.work / "folds")
    chosen = run_study(plan, jobs=options.jobs, report=False).results
    filtered = replace(base, split="fault-filtered", test=options.test)
    part = plan_study(filtered, corpus, options.work / "filtered")
    examined = run_study(part, jobs=options.jobs, report=False).results

    everything = trained_on_all(part.tasks, corpus, options.work / "all", options.jobs)
    folds_of_a_seed = tuple(task for task in plan.tasks if task.seed == 0)
    info = replace(models.load(part.tasks[0].folder)[1], **NOVELTY_WINDOW)
    distances = held_out_distances(corpus, folds_of_a_seed, info)
    novelty_threshold = export.novelty_threshold(distances)
    for name, tasks, learned in (
        ("default-filtered", part.tasks, "fault-filtered, its train part"),
        ("default", everything, "all tracks"),
    ):
        model, info = export.loaded(tasks)
        pieces = {"length": info.window_frames, "hop": info.window_hop}
        model = MeanOfPieces(model, window_frames=WINDOW_FRAMES, **pieces).eval()
        provenance = info.provenance | {"pieces": pieces}
        whole = {"window_frames": WINDOW_FRAMES, "window_hop": WINDOW_FRAMES}
        info = replace(info, provenance=provenance, **whole)
        info = export.with_figures(
            info, chosen, precision=options.precision, name=name, ensemble=True
        )
        if options.test and name == "default-filtered":  # the other one has learned those tracks
            accuracy = export.measured_accuracy(examined, family, ensemble=True)
            info = replace(info, accuracy=accuracy)
        info = replace(info, novelty_threshold=novelty_threshold)
        files[name] = written(model, info, corpus, tasks[0], learned, options)
    card = of_the_card(chosen, examined if options.test else None, family, distances)
    if options.test:
        temperature, threshold = (
            files["default-filtered"][k] for k in ("temperature", "threshold")
        )
        card["default-filtered_on_test"] = as_it_answers(part, temperature, threshold)
    return card


def as_it_answers(plan: Plan, temperature: float, threshold: float | None) -> dict[str, Any]:
    """Calibration and abstaining on the test part with what stands in the file."""
    said = [
        read_predictions(t.folder / PREDICTIONS, t.parts, plan.corpus.genres) for t in plan.tasks
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
    """The three that are compared, each the first training of its kind."""
    config = load_config(STUDIES / "gtzan.toml")
    corpus = load_data(config)
    plan = plan_study(config, corpus, options.work / "gtzan")
    results = run_study(plan, jobs=options.jobs, report=False).results
    for task in plan.tasks:
        if task.seed == 0:
            model, info = models.load(task.folder)
            name = task.recipe.family
            info = export.with_figures(info, results, precision=options.precision, name=name)
            distances = held_out_distances(corpus, (task,), info)
            info = replace(info, novelty_threshold=export.novelty_threshold(distances))
            learned = "fault-filtered, its train part"
            files[name] = written(model, info, corpus, task, learned, options)


def written(
    model: models.GenreModel,
    info: ModelInfo,
    corpus: Corpus,
    task: Task,
    learned: str,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Write one file; gives what there is to say of it."""
    facts = {"version": options.version, "licence": options.licence}
    info = replace(info, provenance=info.provenance | {"split": learned}, **facts)
    path = options.to / f"{info.name}.onnx"
    if info.window_frames != WINDOW_FRAMES:
        novelty: models.GenreModel = export.fit_novelty(corpus, task.parts.train, info)
    else:
        of_pieces = export.fit_novelty(corpus, task.parts.train, replace(info, **NOVELTY_WINDOW))
        novelty = MeanDistanceOfPieces(
            of_pieces,
            window_frames=WINDOW_FRAMES,
            length=NOVELTY_WINDOW["window_frames"],
            hop=NOVELTY_WINDOW["window_hop"],
        ).eval()
    difference = export.write(
        model,
        novelty,
        info,
        path,
        windows=export.some_windows(corpus, info),
    )
    return described(path, info, difference)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--study", type=Path, default=STUDIES / "accuracy" / "fusion.toml", help="the recipe"
    )
    parser.add_argument("--precision", type=float, default=export.PRECISION)
    parser.add_argument("--test", action="store_true", help="examine the test part as well")
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
    joblib.Parallel(jobs or joblib.cpu_count())(
        joblib.delayed(execute)(task, corpus) for task in waiting
    )
    return everything


def held_out_distances(
    corpus: Corpus, tasks: tuple[Task, ...], info: ModelInfo
) -> NDArray[np.float64]:
    """How far tracks lie from what was learned from other artists [shape=(n_held_out,)]."""
    return np.concatenate(
        [
            export.track_distances(
                export.fit_novelty(corpus, task.parts.train, info), corpus, task.parts.valid, info
            )
            for task in tasks
        ]
    )


def described(path: Path, info: ModelInfo, difference: float) -> dict[str, Any]:
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
    chosen: dict[str, Any],
    examined: dict[str, Any] | None,
    model: str,
    distances: NDArray[np.float64],
) -> dict[str, Any]:
    """What the model card says, each under the split that it was measured on."""
    of_splits = {"artist-folds": chosen} | ({"fault-filtered": examined} if examined else {})
    quantiles = (0.5, 0.9, 0.95, 0.99, export.KNOWN, 1.0)
    return {
        "recipe": {
            "model": model,
            "settings": chosen["config"]["settings"][model],
            "training": chosen["config"]["training"],
            "frames": chosen["data"]["frames"],
            "parameters": chosen["models"][model]["parameters"],
        },
        "distances_of_held_out_tracks": {
            f"{q:g}": float(np.quantile(distances, q)) for q in quantiles
        },
        "splits": {
            name: {
                "accuracy": export.measured_accuracy(results, model, ensemble=True),
                "single_trainings": export.measured_accuracy(results, model),
                "per_genre": results["models"][model]["per_genre"],
                "confidence": without_bins(results["models"][model]["ensemble_confidence"] or {}),
            }
            for name, results in of_splits.items()
        },
    }


def without_bins(confidence: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in confidence.items() if key != "reliability"}


if __name__ == "__main__":
    main()
