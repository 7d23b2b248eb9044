"""Trainings as TensorBoard and MLflow show them, in local files.

What is tracked is read from what a run has kept, so it is the same for a run that was interrupted
and resumed; and tracking the same again adds nothing.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ostinato.errors import UsageError, require
from ostinato.models.registry import INFO, WEIGHTS
from ostinato.storage import WriteError, cause
from ostinato.study.report.page import flat
from ostinato.study.results import RESULTS, StudyResults
from ostinato.study.training_run import RECIPE
from ostinato.training.curves import CURVES

#: The package that each needs.
TRACKERS = {"tensorboard": "tensorboard", "mlflow": "mlflow"}
_LONGEST = 6000  # letters of a setting that MLflow takes


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """One training, or a study of several, to be tracked.

    Attributes
    ----------
    name : str
        ``"residual-lstm/seed0-fold2"``; a slash groups.
    settings : dict of str to Any
        By dotted name.
    metrics : dict of str to float
        Final ones.
    curves : dict of str to list
        A value an epoch, None where it was not evaluated, and the epochs as ``"epoch"``.
    figures : dict of str to Path
        PNGs.
    files : sequence of Path
        The model, and whatever belongs to it. Weights in safetensors are tensors in TensorBoard.
    """

    name: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    figures: Mapping[str, Path] = field(default_factory=dict)
    files: Sequence[Path] = ()

    def digest(self) -> str:
        """Short SHA-256 of all of it."""
        plain = asdict(self) | {"figures": {}, "files": []}
        total = hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode())
        for path in (*self.figures.values(), *self.files):
            total.update(path.name.encode() + path.read_bytes())
        return total.hexdigest()[:16]


def check_tracker(name: str) -> None:
    """UsageError if there is no tracker of this name; MissingExtraError if it is not installed."""
    if name not in TRACKERS:
        raise UsageError(f"Expected --log {' or '.join(TRACKERS)}, got '{name}'.")
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when MLflow is imported
    require(TRACKERS[name], extra="tracking", needed_for=f"--log {name}")


def track(runs: Sequence[Tracked], tracker: str, folder: Path) -> Path:
    """Track runs in local files that belong to a folder, and give the place that was written.

    For TensorBoard that is ``tensorboard/`` in the folder; for MLflow a store beside it,
    ``mlflow/mlflow.db``, in which the folder's name is an experiment.

    Raises
    ------
    UsageError, MissingExtraError
        As :func:`check_tracker`.
    WriteError
        If the place cannot be written.
    """
    check_tracker(tracker)
    write: Callable[[Sequence[Tracked], Path], Path]
    write = _in_tensorboard if tracker == "tensorboard" else _in_mlflow
    try:
        return write(runs, folder.absolute())
    except OSError as error:
        raise WriteError(f"Cannot write the log of {folder}: {cause(error)}.") from error


def study_runs(results: StudyResults, folder: Path) -> list[Tracked]:
    """A finished study: the comparison of its models, and each of its trainings."""
    whole = Tracked(
        name="study",
        settings=dict(flat(results.config)),
        metrics={
            f"{model}/{part}_{metric}": value
            for model, own in results.models.items()
            for part in results.parts
            for metric, value in (
                ("accuracy", own.accuracy(part).mean), ("macro_f1", own.macro_f1(part).mean)
            )
        },
        figures={path.stem: path for path in sorted((folder / "figures").glob("*.png"))},
        files=[path for path in (folder / RESULTS, folder / "report.html") if path.exists()],
    )  # fmt: skip
    runs = [whole]
    for model, own in results.models.items():
        for run in own.runs:
            name = f"{model}/seed{run.seed}-fold{run.fold}"
            place = folder / "models" / name
            recipe = json.loads((place / RECIPE).read_text(encoding="utf-8"))
            settings = flat({**recipe, "seed": run.seed, "versions": run.versions or {}})
            metrics = {
                f"{part}_{metric}": getattr(found, metric)
                for part, found in run.parts.items()
                for metric in ("accuracy", "macro_f1", "loss")
            }
            runs.append(
                Tracked(
                    name=name,
                    settings=dict(settings),
                    metrics=metrics | {"gap": run.gap, "seconds": run.seconds},
                    curves=_curves(place / CURVES),
                    files=[place / WEIGHTS, place / INFO],
                )
            )
    return runs


def _curves(path: Path) -> dict[str, list[float | None]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = rows[0] if rows else ()
    return {name: [float(row[name]) if row[name] else None for row in rows] for name in names}


def _points(run: Tracked) -> list[tuple[str, int, float]]:
    """Each curve's name, epoch and value, where there is one."""
    epochs = [int(epoch or 0) for epoch in run.curves.get("epoch", ())]
    return [
        (name, epoch, value)
        for name, values in run.curves.items()
        if name != "epoch"
        for epoch, value in zip(epochs, values, strict=True)
        if value is not None
    ]


def _in_tensorboard(runs: Sequence[Tracked], folder: Path) -> Path:
    import numpy as np
    from PIL import Image
    from safetensors.torch import load_file
    from torch.utils.tensorboard import SummaryWriter

    place = folder / "tensorboard"
    for run in runs:
        for old in (place / run.name).glob("events.out.tfevents.*"):
            old.unlink()  # else its values would be there twice
        writer = SummaryWriter(str(place / run.name))
        rows = "".join(f"| {name} | {value} |\n" for name, value in run.settings.items())
        writer.add_text("settings", f"| setting | value |\n|---|---|\n{rows}")
        for name, epoch, value in _points(run):
            writer.add_scalar(f"curves/{name}", value, epoch)
        for name, path in run.figures.items():
            with Image.open(path) as image:
                writer.add_image(name, np.asarray(image.convert("RGB")), dataformats="HWC")
        for path in run.files:
            writer.add_text(f"files/{path.name}", str(path))
            if path.suffix == ".safetensors":
                for name, tensor in load_file(path).items():
                    writer.add_tensor(f"weights/{name}", tensor)
                    writer.add_histogram(f"weights/{name}/histogram", tensor)
        plain = {name: str(value) for name, value in run.settings.items()}
        metrics = {f"metrics/{name}": value for name, value in run.metrics.items()}
        writer.add_hparams(plain, metrics, run_name=".")
        writer.close()
    return place


def _in_mlflow(runs: Sequence[Tracked], folder: Path) -> Path:
    import mlflow
    from mlflow.entities import Metric, Param

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    place = folder.parent / "mlflow"
    if "?" in str(place):  # of an address, what stands behind it is no path
        raise UsageError(f"Expected a folder without '?' for MLflow, got {place}: choose another.")
    place.mkdir(parents=True, exist_ok=True)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{place / 'mlflow.db'}")
    found = client.get_experiment_by_name(folder.name)
    key = found.experiment_id if found else client.create_experiment(
        folder.name, artifact_location=(place / "artifacts" / folder.name).as_uri()
    )  # fmt: skip
    kept = {
        run.data.tags.get("ostinato.run"): run
        for run in client.search_runs([key], max_results=50_000)
    }
    for run in runs:
        digest, old = run.digest(), kept.get(run.name)
        if old is not None:
            if old.data.tags.get("ostinato.digest") == digest and old.info.status == "FINISHED":
                continue
            client.delete_run(old.info.run_id)
        mark = {"ostinato.run": run.name}
        run_id = client.create_run(key, run_name=run.name, tags=mark).info.run_id
        now = int(1000 * time.time())
        metrics = [Metric(n, v, now, 0) for n, v in run.metrics.items()]
        metrics += [Metric(f"curves/{n}", v, now, epoch) for n, epoch, v in _points(run)]
        params = [Param(n, str(v)[:_LONGEST]) for n, v in run.settings.items() if str(v)]
        for few in (metrics[i : i + 1000] for i in range(0, len(metrics), 1000)):
            client.log_batch(run_id, metrics=few)
        for some in (params[i : i + 100] for i in range(0, len(params), 100)):
            client.log_batch(run_id, params=some)
        for path in run.figures.values():
            client.log_artifact(run_id, str(path), "figures")
        for path in run.files:
            client.log_artifact(run_id, str(path), "files")
        client.set_tag(run_id, "ostinato.digest", digest)
        client.set_terminated(run_id)
    return place
