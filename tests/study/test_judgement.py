"""The figures of a judgement, and the page and table that show them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import accuracy_score, f1_score, recall_score

from ostinato.errors import DataError
from ostinato.study.judgement import Judgement, judge, trust
from ostinato.study.report.judgement_page import print_judgement, write_judgement
from tests.helpers.toy import toy_corpus

CORPUS = toy_corpus(n_genres=3, per_genre=20)


def verdicts(seed: int = 0) -> np.ndarray:
    """Probabilities that are right more often than not."""
    random = np.random.default_rng(seed)
    scores = random.gamma(1, size=(len(CORPUS), 3))
    scores[np.arange(len(CORPUS)), CORPUS.labels] += 1.5
    return scores / scores.sum(axis=1, keepdims=True)


def judged(**options) -> Judgement:
    return judge(CORPUS, verdicts(), CORPUS.genres, **options)


def test_figures_are_those_of_scikit_learn() -> None:
    found, said = judged(), verdicts().argmax(axis=1)
    assert found.accuracy.mean == pytest.approx(accuracy_score(CORPUS.labels, said))
    assert found.macro_f1 == pytest.approx(f1_score(CORPUS.labels, said, average="macro"))
    recalls = recall_score(CORPUS.labels, said, average=None)
    np.testing.assert_allclose([g.recall for g in found.per_genre], recalls)
    assert [g.groups for g in found.per_genre] == [10, 10, 10]
    assert all(g.recall_interval.low <= g.recall <= g.recall_interval.high for g in found.per_genre)


def test_answers_below_the_threshold_do_not_count() -> None:
    found, probabilities = judged(threshold=0.6), verdicts()
    sure = probabilities.max(axis=1) >= 0.6
    right = probabilities.argmax(axis=1) == CORPUS.labels
    assert found.answered == pytest.approx(sure.mean())
    assert found.right_of_answered == pytest.approx(right[sure].mean())
    silent = judged(threshold=0.6, abstained=np.ones(len(CORPUS), bool))
    assert (silent.answered, silent.right_of_answered) == (0, None)


def test_swapped_labels_come_first() -> None:
    """Nearly all misfiled recordings are in the tenth that is trusted least."""
    random = np.random.default_rng(1)
    probabilities = np.full((200, 4), 0.1)
    labels = random.integers(0, 4, 200)
    probabilities[np.arange(200), labels] = 0.7
    probabilities = probabilities * random.uniform(0.5, 1, (200, 4))
    swapped = random.choice(200, 10, replace=False)
    labels[swapped] = (labels[swapped] + 1) % 4
    first = np.argsort(trust(np.eye(4, dtype=bool)[labels], probabilities))[:20]
    assert set(swapped) <= set(first.tolist())


def test_a_genre_that_is_hard_to_tell_is_not_suspected_as_a_whole() -> None:
    probabilities = np.array([[0.9, 0.1], [0.5, 0.5], [0.7, 0.3], [0.8, 0.2]])
    owned = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool)
    assert np.argmin(trust(owned, probabilities)) == 1


def test_a_genre_says_what_it_lacks_only_where_it_is_learned_from() -> None:
    assert {g.needs for g in judged().per_genre} == {""}
    one = tuple(replace(r, artist="the same", genre=r.genre) for r in CORPUS.recordings[:20])
    rest = tuple(CORPUS.recordings[20:26]) + tuple(CORPUS.recordings[40:])
    keep = [*range(26), *range(40, 60)]
    corpus = replace(CORPUS, recordings=one + rest, frames=tuple(CORPUS.frames[i] for i in keep))
    found = judge(corpus, verdicts()[keep], CORPUS.genres, learned=True)
    assert [g.needs for g in found.per_genre] == [
        "other artists: 20 recordings by 1 artist or album",
        "more recordings: 6 so far",
        "",
    ]
    assert found.per_genre[0].recall_interval is None


def test_a_genre_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(DataError, match="got 'g2'"):
        judge(CORPUS, verdicts()[:, :2], ("g0", "g1"))


def test_the_page_and_the_table_tell_the_figures_and_escape_names(tmp_path) -> None:
    recordings = [replace(r, path="/x/<b>.mp3") for r in CORPUS.recordings]
    corpus = replace(CORPUS, recordings=tuple(recordings))
    found = judge(
        corpus, verdicts(), CORPUS.genres, threshold=0.5, notes=["Mind <this>."], learned=True
    )
    page = write_judgement(
        found, tmp_path / "p.html", title="mine", what="It", facts=["60 recordings"],
        settings={"family": "LDA"},
    ).read_text()  # fmt: skip
    assert "/x/&lt;b&gt;.mp3" in page
    assert "Mind &lt;this&gt;." in page
    assert f"{100 * found.accuracy.mean:.1f}%" in page
    assert "http" not in page
    console = Console(width=80, record=True)
    print_judgement(found, console, what="It")
    text = console.export_text()
    assert all(genre in text for genre in CORPUS.genres)
    assert "/x/<b>.mp3" in text
    assert max(len(line) for line in text.splitlines() if "/x/" not in line) <= 80


def test_many_genres_are_told_by_the_pairs_that_are_confused(tmp_path) -> None:
    corpus = toy_corpus(n_genres=40, per_genre=3)
    probabilities = np.full((120, 40), 0.01)
    probabilities[np.arange(120), (corpus.labels + (np.arange(120) % 3 == 0)) % 40] = 0.6
    found = judge(corpus, probabilities, corpus.genres)
    page = write_judgement(
        found, tmp_path / "p.html", title="many", what="It", facts=[], settings={}
    ).read_text()
    assert "1 of g0 taken for g1" in page
    assert 'class="square"' not in page
