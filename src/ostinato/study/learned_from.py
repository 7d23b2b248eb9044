"""Which recordings and artists a model learned from, kept in its file as short digests.

So whoever judges the file on a collection can say where it was taught what it is asked, and nobody
can read names from it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from ostinato.datasets import Corpus
from ostinato.datasets.groups import people
from ostinato.inference.model_info import ModelInfo

_BYTES = 6
_KEY = "learned_from"


def learned_from(corpus: Corpus) -> dict[str, Any]:
    """The entry of a model's provenance: digests of the frames and of the artists of a corpus."""
    return {_KEY: {"recordings": _packed(_sounds(corpus)), "artists": _packed(_artists(corpus))}}


def overlap(info: ModelInfo, corpus: Corpus) -> list[str]:
    """Sentences on what of a corpus a model has learned from, or may have."""
    said = []
    kept = info.provenance.get(_KEY)
    if isinstance(kept, dict):
        sounds, artists = _unpacked(kept.get("recordings")), _unpacked(kept.get("artists"))
        learned = [digest in sounds for digest in _sounds(corpus)]
        n = sum(learned)
        if n:
            said.append(
                f"The model learned from {n} of these {len(corpus)} recordings: these figures say "
                "how well it remembers, not how well it hears."
            )
        others = sum(
            not known and bool(r.artist and artists & set(_digests(people(r.artist))))
            for known, r in zip(learned, corpus.recordings, strict=True)
        )
        if others:
            said.append(
                f"{others} of {len(corpus)} recordings are by artists whom the model has learned "
                "from: figures on other artists are lower."
            )
    elif info.provenance.get("data") == corpus.name:
        said.append(
            f"The model was trained on '{corpus.name}' (split "
            f"{info.provenance.get('split') or 'unknown'}): it has learned from some of these "
            "recordings."
        )
    else:
        said.append(
            "The model's file does not say what it learned from: whether some of these recordings, "
            "or others by their artists, are among that is unknown."
        )
    if info.spec.kind == "external":
        said.append(
            f"It hears through {info.spec.name}, which was trained elsewhere: whether on some of "
            "these recordings is unknown."
        )
    return said


def _sounds(corpus: Corpus) -> list[bytes]:
    return [_digest(np.ascontiguousarray(frames).tobytes()) for frames in corpus.frames]


def _artists(corpus: Corpus) -> list[bytes]:
    known = {person for r in corpus.recordings if r.artist for person in people(r.artist)}
    return _digests(known)


def _digests(names: Iterable[str]) -> list[bytes]:
    return [_digest(name.encode()) for name in names]


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_BYTES]


def _packed(digests: Iterable[bytes]) -> str:
    return base64.b64encode(b"".join(sorted(set(digests)))).decode("ascii")


def _unpacked(text: Any) -> set[bytes]:
    """The digests of a text; none where it is damaged, as it may be in a file from elsewhere."""
    try:
        whole = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        return set()
    return {whole[i : i + _BYTES] for i in range(0, len(whole) - _BYTES + 1, _BYTES)}
