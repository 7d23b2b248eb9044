"""Whether two models differ: tests on the same recordings.

The null hypothesis is that the two models are exchangeable on every artist: which of the two gave
which verdicts could be swapped, artist by artist, for all tracks of the artist at once.

- :func:`sign_flip`: permutation test on the sums of differences by artist (Fisher 1935; clusters
  as in Gail et al. 1996), with its null distribution counted out exactly, as Pagano and Tritchler
  (1983, JASA 78) do: no draws, no seed. It is the test to read.
- :func:`mcnemar`: the exact form (McNemar 1947) on single verdicts. It assumes
  independent tracks, and if artists have several it finds differences that do not exist.
- :func:`corrected_t`: for repeated cross-validation (Nadeau and Bengio 2003, Machine Learning 52),
  whose folds share their training recordings.
- :func:`holm`: several pairs of models are several chances to be fooled (Holm 1979).

Conventions: differences are fractions, of ``a`` minus ``b``; p values are two-sided. An artist in
two genres counts as two, as in the intervals. What is tested is what is estimated: seed means with
seed means, ensembles with ensembles. The tests judge the networks that were trained: of one seed
each, a lucky seed passes for a better recipe. Intervals also ask what other seeds
would have given, so the two need not agree at the border.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ostinato.errors import DataError, UsageError
from ostinato.evaluation.significance import (
    INDEPENDENT,
    Clusters,
    Interval,
    Term,
    interval,
    validate,
)


@dataclass(frozen=True, kw_only=True)
class SignFlip:
    """A sign-flip test.

    ``differing`` counts the artists on whom the two are not equally often right; no p can be below
    ``2 ** (1 - differing)``.
    """

    difference: float
    p: float
    artists: int
    differing: int


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """An exact McNemar test: recordings that only one of the two calls rightly."""

    only_a: int
    only_b: int
    p: float
    assumes: str = INDEPENDENT


@dataclass(frozen=True, kw_only=True)
class CorrectedT:
    """A corrected resampled t test: the mean difference over folds, t, its freedom, two-sided p."""

    difference: Interval
    t: float
    df: int
    p: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the same recordings; ``a`` is right at least as often.

    ``difference`` is over artists and seeds; ``p_holm`` is the p of the
    sign-flip test, adjusted over all pairs. Means over several seeds have no single verdicts, and
    so no ``mcnemar``.
    """

    a: str
    b: str
    difference: Interval
    sign_flip: SignFlip
    p_holm: float
    mcnemar: McNemar | None


def sign_flip(a: NDArray[np.bool_], b: NDArray[np.bool_], clusters: Clusters) -> SignFlip:
    """Test that two models are exchangeable, artist by artist.

    Parameters
    ----------
    a, b : bool array [shape=(n_seeds, n_recordings)]
        Which verdicts were right; one row a seed. The two may have different numbers of seeds.

    Raises
    ------
    DataError
        If a shape does not fit the recordings.
    """
    validate(a, clusters)
    validate(b, clusters)
    # In units of 1 / (n_seeds of a x n_seeds of b) every difference is a whole number.
    units = len(b) * clusters.sums(a).sum(axis=0) - len(a) * clusters.sums(b).sum(axis=0)
    return SignFlip(
        difference=float(a.mean() - b.mean()),
        p=_flip_p(units),
        artists=units.size,
        differing=int((units != 0).sum()),
    )


def _flip_p(sums: NDArray[np.int64]) -> float:
    """Share of all sign patterns with a total at least as far from 0 as that of ``sums``."""
    sizes = np.abs(sums[sums != 0])
    if sizes.size == 0:
        return 1.0
    sizes //= np.gcd.reduce(sizes)  # the same shares, over fewer steps
    total = int(sizes.sum())
    flipped = abs(int((np.sign(sums[sums != 0]) * sizes).sum()))
    # A total of t has (total - t) / 2 on the negative side: count subsets of sizes by their sum.
    reach = (total - flipped) // 2
    share = np.zeros(reach + 1)
    share[0] = 1.0
    for size in sizes.tolist():
        taken = np.zeros_like(share)
        taken[size:] = share[: max(reach + 1 - size, 0)]
        share = (share + taken) / 2
    return min(1.0, 2 * float(share.sum()))


def mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> McNemar:
    """Exact test that two systems are equally often right where only one is.

    Parameters
    ----------
    a, b : bool array [shape=(n_recordings,)]
        Which verdicts were right: of one seed each, or of the two ensembles. There is no such test
        for a mean over seeds.

    Raises
    ------
    DataError
        If the two are not over the same recordings, or there are none.
    """
    if a.ndim != 1 or a.shape != b.shape or a.size == 0:
        raise DataError(
            "Expected one verdict a recording and system, over the same recordings; got shapes "
            f"{a.shape} and {b.shape}."
        )
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    n = only_a + only_b
    from scipy import stats  # takes a second to import: results are read without it

    p = float(stats.binomtest(only_a, n, 0.5).pvalue) if n else 1.0
    return McNemar(only_a=only_a, only_b=only_b, p=p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for their number, in their own order: at 5 % one error in any, or none.

    Raises
    ------
    UsageError
        If one is not between 0 and 1.
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise UsageError(f"Expected p values from 0 to 1, got {list(p_values)}.")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def corrected_t(
    differences: Sequence[float] | NDArray[np.float64],
    *,
    n_train: float,
    n_test: float,
    level: float = 0.95,
) -> CorrectedT:
    """Test a mean difference over repeated artist-folds.

    Parameters
    ----------
    differences : float array [shape=(n_folds x n_repetitions,)]
        One for each fold of each repetition, averaged over seeds: seeds are not folds.
    n_train, n_test : float
        Recordings to train and to test on, means over the folds.
    level : float
        Level of the interval, in (0, 1).

    Raises
    ------
    UsageError
        If ``level`` or a number of recordings is out of its range.
    DataError
        If there are fewer than two differences, or all are the same and not 0, which leaves no
        spread to judge them by.
    """
    if not 0 < level < 1 or n_train <= 0 or n_test <= 0:
        raise UsageError(
            "Expected a level between 0 and 1 and recordings on both sides; got level "
            f"{level}, {n_train} to train on, {n_test} to test on."
        )
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or values.size < 2 or not np.isfinite(values).all():
        raise DataError(f"Expected a difference for each of two or more folds, got {values}.")
    mean, n = float(values.mean()), values.size
    error = float(values.std(ddof=1)) * math.sqrt(1 / n + n_test / n_train)
    if np.ptp(values) == 0:
        if mean != 0:
            raise DataError(
                f"Expected differences that vary from fold to fold, got {mean} in all {n}: too few "
                "recordings a fold to tell."
            )
        return CorrectedT(difference=Interval(0.0, 0.0, 0.0), t=0.0, df=n - 1, p=1.0)
    t = mean / error
    from scipy import stats

    half = error * float(stats.t.ppf((1 + level) / 2, n - 1))
    return CorrectedT(
        difference=Interval(mean, mean - half, mean + half),
        t=t,
        df=n - 1,
        p=2 * float(stats.t.sf(abs(t), n - 1)),
    )


def evaluate(correct: Mapping[str, NDArray[np.bool_]], clusters: Clusters) -> list[Comparison]:
    """Compare every pair of models on the same recordings.

    Parameters
    ----------
    correct : mapping of name to bool array [shape=(n_seeds, n_recordings)]
        Which verdicts were right. All seeds of each model compare means over seeds; the single row
        of each model's ensemble compares ensembles.

    Raises
    ------
    DataError
        If a shape does not fit the recordings.
    """
    terms = {name: Term(rows, clusters, name) for name, rows in correct.items()}
    better_first = sorted(correct, key=lambda name: -float(correct[name].mean()))
    pairs = list(itertools.combinations(better_first, 2))
    flips = [sign_flip(correct[a], correct[b], clusters) for a, b in pairs]
    adjusted = holm([flip.p for flip in flips])
    return [
        Comparison(
            a=a,
            b=b,
            difference=interval([terms[a], terms[b].minus()]),
            sign_flip=flip,
            p_holm=p_holm,
            mcnemar=(
                mcnemar(correct[a][0], correct[b][0])
                if len(correct[a]) == len(correct[b]) == 1
                else None
            ),
        )
        for (a, b), flip, p_holm in zip(pairs, flips, adjusted, strict=True)
    ]
