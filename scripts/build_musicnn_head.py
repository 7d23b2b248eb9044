"""Build the head of ``--model musicnn``, which ships: from tags of musicnn to logits of genres.

    python scripts/build_musicnn_head.py --data FOLDER [--test]

``FOLDER`` holds the files of tag sequences (:mod:`ostinato.datasets.tag_npz`). The recipe is that
of ``studies/accuracy/musicnn.toml``. Its seeds are trained

- on folds by artist: temperature and threshold are chosen on the mean of the seeds' probabilities
  of held-out tracks, and what they are worth is judged nested, on each fold by the others' choice;
- on all 442 tracks, the training part of the fault-filtered split: the mean of these models is the
  head. With ``--test`` it is examined on the split's 290 test tracks, once, after the recipe was
  chosen; the look is entered into ``--ledger``, before and after.

The network may have learned any of these songs from the Million Song Dataset: every figure is
"pretrained, overlap unknown". Figures for the card are written beside the head, as
``musicnn-head.json``. Studies are kept below ``--work``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.datasets import Corpus
from ostinato.datasets.gtzan import published_split
from ostinato.datasets.splits import Fold
from ostinato.evaluation import apply_temperature, calibration, selective
from ostinato.evaluation.significance import Clusters, Interval, Term, interval
from ostinato.inference.model_info import ModelInfo
from ostinato.inference.registry import WEIGHTS
from ostinato.storage import write_text
from ostinato.study import export
from ostinato.study.config import load_config
from ostinato.study.ledger import ENSEMBLE, SHIPPED, SINGLE, append, looks
from ostinato.study.plan import Plan, load_data, plan_study
from ostinato.study.results import StudyResults, read_run
from ostinato.study.study import run_study
from ostinato.study.training_run import (
    PROBABILITIES,
    Task,
    execute,
    is_finished,
    read_probabilities,
)
from ostinato.training.finish import finish, fit_confidence, write

ROOT = Path(__file__).resolve().parents[1]
STUDY = ROOT / "studies" / "accuracy" / "musicnn.toml"
OVERLAP = "pretrained on the Million Song Dataset, overlap unknown"
NAME = "musicnn-head"


def main() -> None:
    options = parsed()
    config = load_config(options.study)
    config = replace(config, data=str(options.data), split=str(ROOT / config.split))
    corpus = load_data(config)
    lists = published_split("fault-filtered")
    train = tuple(i for i in corpus.ids if i in set(lists["train"]))
    test = tuple(i for i in corpus.ids if i in set(lists["test"]))

    plan = plan_study(config, corpus, options.work / "folds")
    results = run_study(plan, jobs=options.jobs, report=False).results
    labels, held_out, artists = out_of_fold(plan, corpus)
    confidence = fit_confidence(labels, held_out.mean(axis=0), precision=options.precision)
    temperature = confidence.temperature
    figures: dict[str, Any] = {
        "protocol": OVERLAP,
        "artist-folds": judged(labels, held_out, artists, temperature),
        "temperature": temperature,
        "threshold": confidence.threshold,
        "precision": options.precision,
        "nested": nested(results, options.precision),
    }
    parts = Fold(train=train, valid=train[::20], test=test if options.test else ())
    tasks = [
        replace(
            task,
            fold=0,
            parts=parts,
            recipe=replace(task.recipe, split=_digest(train), test=options.test),
            folder=(
                options.work / ("examined" if options.test else "all") / f"seed{task.seed}"
            ).absolute(),
        )
        for task in plan.tasks
        if task.fold == 0
    ]
    planned = looks(tasks, corpus, data="gtzan", split="fault-filtered", study="musicnn")
    waiting = [task for task in tasks if not is_finished(task)]
    if waiting:
        append(options.ledger, planned)
    for task in waiting:
        execute(task, corpus)
    for look in planned:  # with --test alone
        figures["fault-filtered test"] = found = examined(tasks, corpus, temperature)
        ended = max(read_run(task.folder).finished for task in tasks)
        systems = {SINGLE: found["single"], ENSEMBLE: found["accuracy"]}
        rows = [
            look.examined(system, Interval(own["mean"], own["low"], own["high"]), ended)
            for system, own in systems.items()
        ]
        append(options.ledger, rows)
    model, info = export.loaded(tasks)
    finished = finish(
        model,
        described(info, figures, n_seeds=len(tasks)),
        corpus,
        train=train,
        held_out=tuple(task.parts for task in plan.tasks if task.seed == 0),
        confidence=confidence,
    )
    path = options.to / f"{NAME}.onnx"
    difference = write(finished, path)
    figures |= {
        "novelty_threshold": finished.info.novelty_threshold,
        "bytes": path.stat().st_size,
        "largest_difference_from_pytorch": difference,
    }
    write_text(options.to / f"{NAME}.json", json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


def nested(results: StudyResults, precision: float) -> dict[str, Any] | None:
    """What the mean of the seeds answers, and how much of it is right, fold by fold.

    Each fold is judged by the temperature and threshold that the other folds chose: on the verdicts
    that chose a threshold it is right as often as it was chosen to be. None without a threshold.
    """
    (model,) = results.models.values()
    assert model.ensemble_confidence is not None  # there are folds
    for row in model.ensemble_confidence.abstaining:
        if abs(row.target - precision) < 1e-9 and row.precision is not None:
            right = {"mean": row.precision, "low": row.low, "high": row.high}
            return {"answered": row.coverage, "right_of_answered": right | {"by": "track"}}
    return None


def described(info: ModelInfo, figures: dict[str, Any], *, n_seeds: int) -> ModelInfo:
    """Metadata of the head: those of one member, with the figures of all."""
    part = "fault-filtered test" if "fault-filtered test" in figures else "artist-folds"
    protocol = {
        "fault-filtered test": "GTZAN, split fault-filtered, test part",
        "artist-folds": "GTZAN, artist folds of the train part",
    }[part]
    found = figures[part]["accuracy"]
    return replace(
        info,
        name=NAME,
        version="1",
        licence="MIT",
        accuracy={key: found[key] for key in ("mean", "low", "high")}
        | {"n": figures[part]["n"], "protocol": f"{protocol}; {OVERLAP}; 95 %, by artist"},
        provenance=info.provenance
        | {"split": "fault-filtered, its train part", "seeds": n_seeds, "teacher": OVERLAP},
    )


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of tag sequences")
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--precision", type=float, default=0.9)
    parser.add_argument("--test", action="store_true", help="examine the test part as well")
    parser.add_argument("--ledger", type=Path, default=SHIPPED, help="where looks are entered")
    parser.add_argument("--work", type=Path, default=Path("runs") / "musicnn")
    parser.add_argument("--to", type=Path, default=WEIGHTS)
    parser.add_argument("--jobs", type=int, default=1)
    return parser.parse_args()


def out_of_fold(
    plan: Plan, corpus: Corpus
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str | None]]:
    """Labels (N,), probabilities (seed, N, G) and artists of the held-out tracks of all folds."""
    of_seeds: dict[int, list[NDArray[np.float64]]] = {}
    for task in plan.tasks:
        said = read_probabilities(task.folder / PROBABILITIES, task.parts, corpus.genres)
        of_seeds.setdefault(task.seed, []).append(said["valid"])
    where = np.concatenate([corpus.positions(fold.valid) for fold in plan.split.folds])
    probabilities = np.stack([np.concatenate(of_seeds[seed]) for seed in sorted(of_seeds)])
    return corpus.labels[where], probabilities, [corpus.artists[i] for i in where]


def judged(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    artists: list[str | None],
    temperature: float,
) -> dict[str, Any]:
    """Accuracy of the mean of the seeds and of single seeds; calibration before and after."""
    clusters = Clusters.by_artist(labels, artists)
    together = probabilities.mean(axis=0)
    right = probabilities.argmax(axis=2) == labels  # (seed, N)
    of_mean = (together.argmax(axis=1) == labels)[None]
    scaled = apply_temperature(together, temperature)
    before, after = (calibration.evaluate(labels, p) for p in (together, scaled))
    return {
        "n": len(labels),
        "accuracy": interval([Term(of_mean, clusters, NAME)]).to_dict(),
        "single": interval([Term(right, clusters, "a seed")]).to_dict()
        | {"seeds": right.mean(axis=1).tolist()},
        "nll": {"before": before.nll, "after": after.nll},
        "brier": {"before": before.brier, "after": after.brier},
        "ece": {
            "before": before.ece,
            "after": after.ece,
            "if_calibrated": after.ece_if_calibrated.to_dict(),
        },
    }


def examined(tasks: list[Task], corpus: Corpus, temperature: float) -> dict[str, Any]:
    """Figures of the test part: of single trainings, and of their mean."""
    where = corpus.positions(tasks[0].parts.test)
    said = np.stack(
        [
            read_probabilities(t.folder / PROBABILITIES, t.parts, corpus.genres)["test"]
            for t in tasks
        ]
    )
    labels = corpus.labels[where]
    found = judged(labels, said, [corpus.artists[i] for i in where], temperature)
    right = said.mean(axis=0).argmax(axis=1) == labels
    recall = {g: float(right[labels == k].mean()) for k, g in enumerate(corpus.genres)}
    confident = apply_temperature(said.mean(axis=0), temperature).max(axis=1)
    risk = selective.risk_coverage(right, confident)
    return found | {"recall": recall, "aurc": risk.aurc}


def _digest(ids: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:12]


if __name__ == "__main__":
    main()
