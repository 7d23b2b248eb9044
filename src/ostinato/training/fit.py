"""Training one model. Only this module and :mod:`ostinato.training.callbacks` import Lightning.

The random numbers of a step depend on the seed, the epoch and the step alone. So a training that
was killed and resumed from its last checkpoint, written after every epoch, gives the same weights
as one that was never interrupted, bit by bit on the same machine.
"""

from __future__ import annotations

import logging
import pickle
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, WeightAveraging
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from ostinato.models import GenreModel
from ostinato.models.baseline import SolvedModel
from ostinato.training.augment_frames import FrameAugmentation, add_noise, mixup
from ostinato.training.callbacks import CurveKeeper, LastWeights, WholeCheckpoints
from ostinato.training.curves import Curves, TrainingError
from ostinato.training.settings import TrainingSettings
from ostinato.training.solve import solve_head
from ostinato.training.tracks import Tracks, check_window, epoch_batches

CHECKPOINT = "last.ckpt"


class GenreTraining(lightning.LightningModule):
    """The training step: random crops, augmented, smoothed cross-entropy, AdamW in one cycle."""

    def __init__(
        self,
        model: GenreModel,
        train: Tracks,
        settings: TrainingSettings,
        seed: int,
        weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.train_tracks = train
        self.settings = settings
        self.seed = seed
        self.weights = weights
        self.shares = weights  # how often each track is drawn
        if settings.balanced:
            self.shares = train.balance() if weights is None else weights * train.balance()
        self.augment = FrameAugmentation(
            settings,
            train.spec,
            model.normalise.mean,
            largest_strength=1.0 if weights is None else float(weights.max()),
        )
        self.batches: list[Tensor] = []

    def train_dataloader(self) -> DataLoader[int]:
        """Numbers of the batches; their tracks are drawn where the epoch's seed is set."""
        n_batches = len(epoch_batches(len(self.train_tracks), self.settings.batch_size))
        return DataLoader(range(n_batches), batch_size=None)  # type: ignore[arg-type]

    def on_train_epoch_start(self) -> None:
        """Draw the epoch's order."""
        torch.manual_seed(_derived(self.seed, self.current_epoch))
        n_tracks, size = len(self.train_tracks), self.settings.batch_size
        self.batches = epoch_batches(n_tracks, size, self.shares)

    def training_step(self, number: int) -> Tensor:
        """Mean loss of a batch of random windows."""
        # Seeded step by step: between steps Lightning and DataLoader draw numbers of their own,
        # and not the same ones in a training that was resumed.
        torch.manual_seed(_derived(self.seed, self.current_epoch, number))
        tracks = self.batches[number]
        x = self.train_tracks.random_crops(tracks, self.augment.source_frames)  # (B, S, F)
        strengths = None if self.weights is None else self.weights[tracks].to(self.device)  # (B,)
        x = self.augment(x.to(self.device), strengths)  # (B, T, F)
        # The same noise for all genres: louder on the weak ones, it would give them away.
        x = add_noise(x, self.model.normalise.deviation * self.settings.noise)  # (B, T, F)
        x, partners, share = mixup(x, alpha=self.settings.mixup)
        # Every process of one training draws the whole batch, and learns from its part of it.
        mine = slice(self.global_rank, None, self.trainer.world_size)
        logits = self.model(x[mine])
        own, other = (self.losses(logits, each[mine]) for each in (tracks, tracks[partners]))
        loss = (share[mine] * own + (1 - share[mine]) * other).mean()
        # Lightning averages over processes, whose parts may differ by one window.
        loss = loss * (len(own) * self.trainer.world_size / len(tracks))
        if not torch.isfinite(loss):
            raise self._diverged(f"The loss is {loss.item()}", number)
        return loss

    def losses(self, logits: Tensor, tracks: Tensor) -> Tensor:
        """Cross-entropy of logits (B, G) with the genres of tracks (B,), smoothed [shape=(B,)].

        Where tracks have several genres, it is the sum of the binary ones.
        """
        smoothing = self.settings.label_smoothing
        if self.train_tracks.targets is None:
            labels = self.train_tracks.labels[tracks].to(self.device)
            return functional.cross_entropy(
                logits, labels, label_smoothing=smoothing, reduction="none"
            )
        targets = self.train_tracks.targets[tracks].to(self.device) * (1 - smoothing)  # (B, G)
        return functional.binary_cross_entropy_with_logits(
            logits, targets + smoothing / 2, reduction="none"
        ).sum(dim=1)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Refuse an epoch that ends with weights that are not finite, before it is saved."""
        if batch_idx + 1 == len(self.batches):
            state = self.model.state_dict()
            if not all(v.isfinite().all() for v in state.values() if v.is_floating_point()):
                raise self._diverged("A weight is no finite number", batch_idx)

    def _diverged(self, what: str, number: int) -> TrainingError:
        n = self.current_epoch
        kept = "no epoch was finished" if n == 0 else f"epoch {n} is finished"
        if n > 0 and self.trainer.checkpoint_callback is not None:
            kept = f"{CHECKPOINT} is that of epoch {n}"
        return TrainingError(
            f"{what} in epoch {n + 1}, step {number + 1} of {len(self.batches)}: training has "
            f"diverged; lower training.learning_rate ({self.settings.learning_rate:g}) or "
            f"training.gradient_clip ({self.settings.gradient_clip:g}); {kept}."
        )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with a one-cycle learning rate, stepped every batch."""
        s = self.settings
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=s.learning_rate, weight_decay=s.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            s.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=s.warmup,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def fit(
    model: GenreModel,
    *,
    train: Tracks,
    valid: Tracks | None,
    settings: TrainingSettings,
    seed: int,
    folder: Path | None = None,
    weights: Tensor | None = None,
    accelerator: str = "cpu",
    devices: int = 1,
    nodes: int = 1,
    on_epoch: Callable[[int], None] | None = None,
    make_training: Callable[..., GenreTraining] = GenreTraining,
) -> tuple[Curves, dict[str, Tensor]]:
    """Train a model in place; resume from ``folder/last.ckpt`` if it is there.

    Parameters
    ----------
    model : GenreModel
        Its ``normalise`` layer is fitted here, on the training frames alone, and so are its parts
        that are solved for. In the end it holds the averaged weights.
    valid : Tracks or None
        Judged for the curves only: nothing is chosen on it. None: nothing is held out.
    seed : int
        Decides the order, the crops, mixup and dropout.
    folder : Path or None
        For ``last.ckpt`` and ``curves.csv``; None writes nothing.
    weights : tensor [shape=(N,)] or None
        How often each training track is drawn, and how strongly augmented (except noise and mixup),
        relative to the others, with mean 1. None is every track once, unless training is balanced.
    accelerator : str
        Lightning's: ``"cpu"``, ``"gpu"``, ``"auto"``.
    devices, nodes : int
        Processes a machine, and machines, that share each batch (Lightning's DDP).
    on_epoch : callable or None
        Called with the number of finished epochs after each one.
    make_training : callable
        Makes the :class:`GenreTraining`; a subclass may learn more than the genres.

    Returns
    -------
    curves : dict of str to list
        Columns of ``curves.csv``; None where an epoch was not evaluated.
    last : dict of str to tensor
        The weights of the last step, before averaging.

    Raises
    ------
    TrainingError
        If the loss or a weight is not finite, or the checkpoint cannot be read. The last finished
        epoch's checkpoint is kept, and training can be resumed from it.
    UsageError
        If a window is longer than every training track.
    """
    check_window(int(train.lengths.max()), settings, train.spec)
    train.standardise(model.normalise)
    for part in model.modules():
        if isinstance(part, SolvedModel):
            solve_head(part, train, settings)
    training = make_training(model, train, settings, seed, weights)
    parts = {"train": train} if valid is None else {"train": train, "valid": valid}
    keeper = CurveKeeper(parts, settings, folder, on_epoch)
    last = LastWeights()
    # All weights are averaged at once, several times faster than one by one.
    average = get_ema_multi_avg_fn(settings.averaging)  # type: ignore[no-untyped-call]
    callbacks: list[Callback] = [keeper, last, WeightAveraging(multi_avg_fn=average)]
    trainer = _trainer(settings, callbacks, folder, accelerator, devices, nodes)
    checkpoint = None if folder is None else folder / CHECKPOINT
    if checkpoint is not None and not checkpoint.exists():
        checkpoint = None
    on_interrupt = signal.getsignal(signal.SIGINT)
    with _quiet():
        try:
            trainer.fit(training, ckpt_path=checkpoint, weights_only=True)
            if not last.weights:  # killed after its last epoch: Lightning had nothing left to do
                for callback in callbacks:
                    callback.on_train_end(trainer, training)
        except SystemExit as ending:
            if not trainer.interrupted or ending.code != 1:  # SIGTERM has a status of its own
                raise
            # Lightning turns Ctrl-C into an exit, and its handler into one that does nothing.
            signal.signal(signal.SIGINT, on_interrupt)
            raise KeyboardInterrupt from None
        except (pickle.UnpicklingError, EOFError, RuntimeError, KeyError) as error:
            if checkpoint is None or trainer.global_step > 0:
                raise
            raise TrainingError(
                f"The checkpoint {checkpoint} cannot be read ({type(error).__name__}): delete it, "
                "and that run starts afresh."
            ) from error
    return keeper.curves, last.weights


def _trainer(
    settings: TrainingSettings,
    callbacks: list[Callback],
    folder: Path | None,
    accelerator: str,
    devices: int,
    nodes: int,
) -> lightning.Trainer:
    if folder is not None:
        checkpoints = ModelCheckpoint(
            dirpath=folder,
            filename=CHECKPOINT.removesuffix(".ckpt"),
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        callbacks = [*callbacks, checkpoints]
    with _quiet():
        return lightning.Trainer(
            accelerator=accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy="ddp" if devices * nodes > 1 else "auto",
            use_distributed_sampler=False,  # each process takes its part of a batch itself
            max_epochs=settings.epochs,
            gradient_clip_val=settings.gradient_clip,
            deterministic=True,
            logger=False,
            callbacks=callbacks,
            plugins=[WholeCheckpoints()],
            enable_checkpointing=folder is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )


def _derived(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's advice (more workers, a GPU that is not used), which does not apply."""
    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
