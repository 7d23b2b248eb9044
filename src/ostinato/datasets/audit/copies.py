"""Copies of one recording in a corpus become one recording, found by their sound."""

from __future__ import annotations

from dataclasses import replace

from ostinato.datasets.audit.find import audit_corpus
from ostinato.datasets.corpus import Corpus
from ostinato.datasets.groups import linked


def join_copies(corpus: Corpus, heard: Corpus) -> Corpus:
    """Give one ``recording`` to all rows of a corpus that the audit takes for one sound.

    Parameters
    ----------
    heard : Corpus
        The same recordings with the audit's frames
        (:func:`ostinato.datasets.audit.audit_corpus`); the corpus itself if it has these.
    """
    keys: dict[str, list[tuple[str, object]]] = {
        r.id: [("recording", r.recording)] for r in corpus.recordings
    }
    for number, pair in enumerate(audit_corpus(heard).pairs):
        for name in (pair.a, pair.b):
            if name in keys:
                keys[name].append(("pair", number))
    recordings = corpus.recordings
    joined = [
        replace(r, recording=recordings[first].recording)
        for r, first in zip(recordings, linked(list(keys.values())), strict=True)
    ]
    return replace(corpus, recordings=tuple(joined))
