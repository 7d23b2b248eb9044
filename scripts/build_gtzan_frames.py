"""Build the GTZAN data that ship with Ostinato: frames, track table, checksums and their card.

    python scripts/build_gtzan_frames.py [SOURCE] [--coefficients 32] [--out FOLDER]

SOURCE holds log-mel images of the 999 readable tracks (``mel128.npz``), the published splits, the
artist index, the list of exact replicas, the SHA-256 of the common release, and 61 whole tracks as
audio. The same input gives the same bytes: archives carry a fixed date, and every figure is
computed in float64 and rounded once.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
import soundfile
from numpy.typing import NDArray

from ostinato.datasets.gtzan import GENRES, decode_frames
from ostinato.features import FeatureSpec, frames, mfcc_from_log_mel, standardise

REPOSITORY = Path(__file__).resolve().parents[1]
DEFAULT_SOURCE = REPOSITORY.parent / "shared" / "data" / "gtzan"
DEFAULT_OUT = REPOSITORY / "src" / "ostinato" / "datasets" / "data"
DEFAULT_COEFFICIENTS = 40
LARGEST_BYTES = 13_000_000  # of the frames, so that the package stays a small download
HOP_OF_SOURCE = 512  # samples between the STFT frames of which the images keep 387
CORRUPT = "jazz.00054"


@dataclass(frozen=True)
class Coded:
    """MFCC in 8 bits: code c of coefficient k stands for ``offset[k] + c * step[k]``."""

    differences: NDArray[np.uint8]  # (track, frame, coefficient), less the frame before
    step: NDArray[np.float32]  # (coefficient,)
    offset: NDArray[np.float32]  # (coefficient,)


def image_to_mfcc(image: NDArray[np.uint8], n_coefficients: int) -> NDArray[np.float64]:
    """Return standardised MFCC [shape=(n_frames, n_coefficients)] of one image.

    The image [shape=(n_mels, n_frames)] is in dB up to an unknown scale and offset, which
    standardising over all its cells removes, as `ostinato.features.frames` does to real audio. Here
    it is done in float64, so that the rounding to 8 bits is the same on every machine.
    """
    cells = image.T.astype(np.float64)
    cells -= cells.mean()
    cells /= cells.std()
    mfcc: NDArray[np.float64] = scipy.fft.dct(cells, axis=1, norm="ortho")
    return mfcc[:, :n_coefficients]


def encode(mfcc: NDArray[np.float64]) -> Coded:
    """Round MFCC [shape=(n_tracks, n_frames, n_coefficients)] to 8 bits.

    Each coefficient's range over the whole collection is cut into 255 equal steps. Nothing is
    clipped: clipping a ten-thousandth at either end would lower the mean error by a quarter, and
    let single cells err by several deviations where now none errs by more than half a step.
    """
    offset = mfcc.min(axis=(0, 1)).astype(np.float32)
    step = ((mfcc.max(axis=(0, 1)) - offset) / 255).astype(np.float32)
    codes = np.clip(np.rint((mfcc - offset) / step.astype(np.float64)), 0, 255).astype(np.uint8)
    differences = np.diff(codes, axis=1, prepend=np.uint8(0))  # modulo 256; a tenth smaller zipped
    return Coded(differences, step, offset)


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return an .npz archive whose bytes depend on the arrays alone: no clock, no system."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o644 << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            body = io.BytesIO()
            np.lib.format.write_array(body, np.ascontiguousarray(array), allow_pickle=False)
            file.writestr(member, body.getvalue(), compresslevel=9)
    return archive.getvalue()


def read_rows(path: Path) -> list[list[str]]:
    """Return the fields of each line of a tab-separated file, without comments."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def track_table(source: Path) -> str:
    """Return the table of the 1000 tracks, tab-separated: facts, as their sources give them."""
    named = {name: (artist, title) for name, artist, title in read_rows(source / "artists.tsv")[1:]}
    faults = {CORRUPT: "corrupt"}
    recording: dict[str, str] = {}
    for replicas in read_rows(source / "exact_duplicates.txt"):
        for name in replicas:
            recording[name] = min(replicas)
            others = " and ".join(sorted(set(replicas) - {name}))
            faults[name] = f"exact replica of {others}"
    parts: dict[str, dict[str, str]] = {"fault_filtered": {}, "stratified": {}}
    for split, part_of in parts.items():
        for part in ("train", "valid", "test"):
            for (name,) in read_rows(source / "splits" / f"{split}_{part}.txt"):
                if part_of.setdefault(name, part) != part:
                    raise SystemExit(f"{name} is on two lists of the split {split}.")
    lines = ["id\tgenre\tartist\ttitle\trecording\tfaults\tfault_filtered\tstratified"]
    for genre in GENRES:
        for number in range(100):
            name = f"{genre}.{number:05d}"
            lists = [part_of.get(name, "") for part_of in parts.values()]
            row = [*named[name], recording.get(name, name), faults.get(name, ""), *lists]
            lines.append("\t".join([name, genre, *row]))
    return "\n".join(lines) + "\n"


def source_centres(n_frames: int, n_columns: int) -> NDArray[np.int64]:
    """Return the sample on which each column of a source image is centred.

    ``n_frames`` is the number of centred STFT frames, 512 samples apart, of the whole track.
    """
    columns = np.arange(n_columns)
    return HOP_OF_SOURCE * ((columns + 0.5) * n_frames / (n_columns + 0.5)).astype(np.int64)


def frames_at(
    waveform: NDArray[np.float32], centres: NDArray[np.int64], spec: FeatureSpec
) -> NDArray[np.float32]:
    """Compute frames at given multiples of 512 samples, in place of every ``spec.hop_samples``.

    The floor and the standardising refer to the frames asked for.
    """
    every = replace(
        spec, kind="log-mel", scaling="none", top_db=1e3, hop_samples=HOP_OF_SOURCE, center=True
    )
    log_mel = frames(waveform, every)[centres // HOP_OF_SOURCE]
    log_mel = np.maximum(log_mel, log_mel.max() - np.float32(spec.top_db))
    if spec.scaling == "standardise":
        log_mel = standardise(log_mel)
    return mfcc_from_log_mel(log_mel, spec.n_coefficients) if spec.kind == "mfcc" else log_mel


def decibels_per_unit(source: Path, n_columns: int) -> dict[str, float]:
    """Return the deviation in dB of each track whose audio is at hand.

    An image is standardised, so this is how many dB one of its units stands for.
    """
    spec = FeatureSpec(kind="log-mel", scaling="none")
    deviations = {}
    for path in sorted((source / "audio" / "full").glob("*.flac")):
        waveform, rate = soundfile.read(path, dtype="float32")
        if rate != spec.sample_rate_hz or waveform.ndim != 1:
            raise SystemExit(f"{path}: expected mono at {spec.sample_rate_hz} Hz, got {rate} Hz.")
        centres = source_centres(1 + waveform.size // HOP_OF_SOURCE, n_columns)
        deviations[path.stem] = float(frames_at(waveform, centres, spec).std(dtype=np.float64))
    return deviations


def build(source: Path, n_coefficients: int = DEFAULT_COEFFICIENTS) -> dict[str, bytes]:
    """Return file name -> content of everything that ships."""
    with np.load(source / "mel128.npz") as stored:
        ids, images = stored["track_id"], stored["mel"]  # images: (track, mel band, frame)
    mfcc = np.stack([image_to_mfcc(image, n_coefficients) for image in images])
    coded = encode(mfcc)
    frames_file = pack({"track_id": ids, **vars(coded)})
    if len(frames_file) > LARGEST_BYTES:
        raise SystemExit(
            f"{n_coefficients} coefficients need {len(frames_file)} bytes, more than "
            f"{LARGEST_BYTES}: keep fewer."
        )
    scale = decibels_per_unit(source, images.shape[2])
    card = write_card(ids, mfcc, coded, images.shape[1], scale, len(frames_file))
    return {
        "gtzan_mfcc.npz": frames_file,
        "gtzan_tracks.tsv": track_table(source).encode(),
        "gtzan_sha256.tsv": (source / "sha256.tsv").read_bytes(),
        "README.md": card.encode(),
    }


def write_card(
    ids: NDArray[np.str_],
    mfcc: NDArray[np.float64],
    coded: Coded,
    n_mels: int,
    decibels: Mapping[str, float],
    n_bytes: int,
) -> str:
    """Return the card: what the files are, how they were made and what the 8 bits cost."""
    shipped = decode_frames(coded.differences, coded.step, coded.offset)
    error = shipped - mfcc  # (track, frame, coefficient)
    deviation = mfcc.std(axis=(0, 1))
    rms = np.sqrt(np.square(error).mean(axis=(0, 1))) / deviation
    largest = np.abs(error).max(axis=(0, 1)) / deviation
    # The error of the rebuilt image, for each track: the transform is linear.
    rebuilt = [np.abs(scipy.fft.idct(e, n=n_mels, axis=1, norm="ortho")).mean() for e in error]
    by_track = dict(zip(ids.tolist(), rebuilt, strict=True))
    in_decibels = [by_track[name] * scale for name, scale in decibels.items()]
    n_tracks, n_frames, n_coefficients = mfcc.shape
    rows = "\n".join(
        f"| {k} | {deviation[k]:.3f} | {coded.step[k]:.4f} | {rms[k]:.4f} | {largest[k]:.4f} |"
        for k in range(n_coefficients)
    )
    return CARD.format(
        n_tracks=n_tracks,
        n_frames=n_frames,
        n_coefficients=n_coefficients,
        n_mels=n_mels,
        megabytes=n_bytes / 1e6,
        kept=100 * np.square(mfcc).sum() / (n_tracks * n_frames * n_mels),
        worst_rms=rms.max(),
        worst=largest.max(),
        units=np.mean(rebuilt),
        n_audio=len(decibels),
        unit_low=min(decibels.values()),
        unit_high=max(decibels.values()),
        db_mean=np.mean(in_decibels),
        db_worst=max(in_decibels),
        rows=rows,
    )


CARD = """# The GTZAN data in this folder

Everything here was written by `scripts/build_gtzan_frames.py`, which gives the same bytes from the
same input. No audio is here.

| file | what |
|---|---|
| `gtzan_mfcc.npz` | {n_coefficients} MFCC of {n_tracks} tracks, {n_frames} frames each; 8 bits |
| `gtzan_tracks.tsv` | the 1000 tracks, with their replicas, known faults and published splits |
| `gtzan_sha256.tsv` | SHA-256 and size of the 1000 wav files of the common release |

## Source

GTZAN (G. Tzanetakis and P. Cook, 2002): 1000 excerpts of 30 s, 22 050 Hz, mono, ten genres of 100.
`jazz.00054` is corrupt and has no frames. The frames come from log-mel images of the other
{n_tracks} tracks: power STFT with 2048 samples and hop 512, {n_mels} mel bands (Slaney scale and
norm), dB, floored 80 dB below the loudest cell, {n_frames} columns, 8 bits. Column i is STFT frame
floor((i + 0.5) * n / 387.5) of the n frames of the track, about every 77.5 ms. The images are known
only up to scale and offset, which standardising removes.

The track table has a row a track and the columns id, genre, artist, title, recording (the first of
the tracks that are exact replicas of each other), faults (known faults, in words, between "; "),
fault_filtered and stratified (train, valid or test: the part of the published split that lists the
track). Artists and titles are B. L. Sturm's index as corrected up to 2024, in its spelling; the
artists of 17 tracks are unknown. The fault-filtered split (443 train, 197 valid, 290 test) is that
of C. Kereliuk, B. L. Sturm and J. Larsen, 2015; the stratified one (500, 250, 250) keeps the
faults. The replicas are 14 pairs of bit-identical tracks; more faults are known than this table
names (B. L. Sturm, 2013), and the fault-filtered split leaves tracks out for them.

## How the frames were made

1. Standardise each image over all its cells: mean 0, deviation 1.
2. Orthonormal DCT-II over the mel bands; keep the first {n_coefficients} of {n_mels}, which hold
   {kept:.1f} % of the image's variance. MFCC are nested: the first k of them are what a transform
   that keeps k gives.
3. Cut each coefficient's range over the collection into 255 equal steps; nothing is clipped.
4. Store differences of successive frames modulo 256 (uint8), with step and offset (float32) of each
   coefficient: {megabytes:.1f} MB.

## What the 8 bits cost

No coefficient errs by more than {worst:.4f} of its deviation over the collection; the RMS error is
at most {worst_rms:.4f} of it. In the {n_mels}-band image rebuilt from the MFCC the mean absolute
error is {units:.4f} standardised units. One unit is the deviation of the track's image in dB, which
is known for the {n_audio} tracks whose audio was at hand: {unit_low:.1f} to {unit_high:.1f} dB.
There the mean absolute error is {db_mean:.2f} dB ({db_worst:.2f} dB for the worst track).

| coefficient | deviation | step | RMS error / deviation | largest error / deviation |
|---|---|---|---|---|
{rows}

## Rights

GTZAN was published for research without a licence text, and the recordings belong to their owners.
This folder holds measurements (MFCC have neither phase nor fine spectrum, so the sound cannot be
recovered from them) and facts (ids, artists, titles, lists, checksums). `ostinato fetch gtzan`
downloads the collection itself from its present public home.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the GTZAN data that ship with Ostinato.")
    parser.add_argument("source", type=Path, nargs="?", default=DEFAULT_SOURCE)
    parser.add_argument("--coefficients", type=int, default=DEFAULT_COEFFICIENTS)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    arguments = parser.parse_args()
    if not (arguments.source / "mel128.npz").is_file():
        parser.error(f"expected the research data of GTZAN in {arguments.source}")
    if not 1 <= arguments.coefficients <= 128:
        parser.error(f"expected 1 to 128 coefficients, got {arguments.coefficients}")
    contents = build(arguments.source, arguments.coefficients)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        part = arguments.out / f"{name}.part"
        part.write_bytes(content)
        part.replace(arguments.out / name)
        print(f"{arguments.out / name}: {len(content)} bytes")
    print(contents["README.md"].decode().partition("## What the 8 bits cost")[2].split("\n## ")[0])


if __name__ == "__main__":
    main()
