"""Model families by name: (batch, time, feature) -> logits (batch, genre).

Each family has one frozen dataclass of settings and one module; :func:`build` makes it, and
:func:`save`/:func:`load` put its weights on disk beside the metadata that rebuilds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ostinato.errors import DataError, UsageError, near
from ostinato.features import FeatureSpec
from ostinato.inference.model_info import ModelInfo
from ostinato.models.baseline import BaselineClassifier, BaselineSettings
from ostinato.models.cnn import CNNClassifier, CNNSettings
from ostinato.models.conv_lstm import ConvLSTMClassifier, ConvLSTMSettings
from ostinato.models.conv_lstm_1d import ConvLSTM1dClassifier, ConvLSTM1dSettings
from ostinato.models.conv_lstm_residual import (
    ConvLSTMResidualClassifier,
    ConvLSTMResidualSettings,
)
from ostinato.models.crnn import CRNNClassifier, CRNNSettings
from ostinato.models.discriminant import DiscriminantClassifier, DiscriminantSettings
from ostinato.models.fusion import FusionClassifier, FusionSettings
from ostinato.models.genre_model import GenreModel
from ostinato.models.kim_residual_lstm import KimLSTMClassifier, KimLSTMSettings
from ostinato.models.lstm import LSTMClassifier, LSTMSettings
from ostinato.models.residual_lstm import ResidualLSTMClassifier
from ostinato.models.settings import checked
from ostinato.storage import replacing

ENTRY_POINTS = "ostinato.families"
"""The group in which an installed package declares families of its own."""

WEIGHTS = "weights.safetensors"
INFO = "model.json"


@dataclass(frozen=True)
class Family:
    """A kind of model.

    Attributes
    ----------
    label : str
        The name as papers write it.
    settings : type
        Its frozen dataclass.
    make : callable
        ``(spec, n_genres, settings) -> GenreModel``.
    """

    label: str
    settings: type[Any]
    make: Callable[[FeatureSpec, int, Any], GenreModel]


FAMILIES: dict[str, Family | EntryPoint] = {
    "lstm": Family("LSTM", LSTMSettings, LSTMClassifier),
    "residual-lstm": Family("ResLSTM", LSTMSettings, ResidualLSTMClassifier),
    "conv-lstm": Family("ConvLSTM", ConvLSTMSettings, ConvLSTMClassifier),
    "residual-lstm-kim": Family("ResLSTM (Kim)", KimLSTMSettings, KimLSTMClassifier),
    "conv-lstm-1d": Family("ConvLSTM-1D", ConvLSTM1dSettings, ConvLSTM1dClassifier),
    "conv-lstm-residual": Family(
        "BN-ResConvLSTM", ConvLSTMResidualSettings, ConvLSTMResidualClassifier
    ),
    "cnn": Family("CNN", CNNSettings, CNNClassifier),
    "crnn": Family("CRNN", CRNNSettings, CRNNClassifier),
    "fusion": Family("Fusion", FusionSettings, FusionClassifier),
    "baseline": Family("Baseline", BaselineSettings, BaselineClassifier),
    "discriminant": Family("LDA", DiscriminantSettings, DiscriminantClassifier),
}


def families_of_packages() -> dict[str, EntryPoint]:
    """Families that other installed packages declare; :func:`family` imports one when it is used.

    A name that is taken stays what it is.
    """
    return {p.name: p for p in entry_points(group=ENTRY_POINTS) if p.name not in FAMILIES}


FAMILIES |= families_of_packages()


def family(name: str) -> Family:
    """The family of this name; raises ``UsageError`` if there is none."""
    if name not in FAMILIES:
        raise UsageError(
            f"Expected models of {', '.join(FAMILIES)}; got '{name}'{near(name, FAMILIES)}"
        )
    kind = FAMILIES[name]
    if isinstance(kind, Family):
        return kind
    try:
        loaded = kind.load()
    except (ImportError, AttributeError) as error:
        loaded = error
    if not isinstance(loaded, Family):
        raise UsageError(
            f"Model '{name}': expected a Family at {kind.value}, as an installed package says, got "
            f"{loaded!r}."
        )
    FAMILIES[name] = loaded
    return loaded


def parse_settings(
    name: str, values: Mapping[str, Any], *, prefix: str = "", external: bool = False
) -> Any:
    """Build the settings of a family from plain values; what is left out has its default.

    With ``external``, for frames that an ear gives, a texture window is one frame by default: each
    tells of a second or more.

    Raises
    ------
    UsageError
        If there is no such family, or a setting has a wrong name, type or value; ``prefix`` comes
        before the setting's name.
    """
    settings = family(name).settings
    if external and "texture_frames" in {field.name for field in fields(settings)}:
        values = {"texture_frames": 1, **values}
    return checked(settings, values, prefix)


def build(
    name: str, *, spec: FeatureSpec, n_genres: int, settings: Any, multi_label: bool = False
) -> GenreModel:
    """An untrained model of a family, for frames of a spec; ``settings`` are the family's own.

    A ``multi_label`` one names several genres.

    Raises
    ------
    UsageError
        If there is no such family, the settings are another family's, or they do not fit the
        frames.
    """
    kind = family(name)
    if type(settings) is not kind.settings:
        raise UsageError(
            f"Model '{name}': expected settings of {kind.settings.__name__}, "
            f"got {type(settings).__name__}."
        )
    model = kind.make(spec, n_genres, settings)
    for part in model.modules():
        if isinstance(part, GenreModel):
            part.multi_label = multi_label
    return model


def save(model: GenreModel, info: ModelInfo, folder: Path) -> None:
    """Write ``weights.safetensors`` and ``model.json`` into a folder."""
    with replacing(folder / WEIGHTS) as temporary:
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, temporary)
    info.save(folder / INFO)


def load(folder: Path) -> tuple[GenreModel, ModelInfo]:
    """Rebuild a model from what :func:`save` wrote; it is in evaluation mode.

    Raises
    ------
    DataError
        If a file is missing or damaged, or weights and metadata are of different models.
    """
    info = ModelInfo.load(folder / INFO)
    try:
        settings = parse_settings(info.family, info.settings)
        model = build(
            info.family,
            spec=info.spec,
            n_genres=len(info.genres),
            settings=settings,
            multi_label=info.multi_label,
        )
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError, TypeError, UsageError) as error:
        raise DataError(f"Cannot rebuild the model in {folder}: {error}.") from error
    return model.eval(), info
