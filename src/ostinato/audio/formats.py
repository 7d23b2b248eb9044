"""Which of FFmpeg's formats are read, which of them state their length, and what to do with others.

The names are FFmpeg's, listed by hand: what a newer FFmpeg adds is not opened before somebody has
looked at it. On the list is whatever holds sound and is known by its content. Not on it are

- what leads to other files, addresses or devices: a hostile file must not open another (hls, dash,
  concat, imf, image2, sdp, rtsp, vobsub, and all devices);
- what is known by its suffix alone, so that any file of this name would be noise: bare samples
  (s16le, alaw, g722, gsm, dfpwm, aptx, adp, ...), and bare AMR, which takes text for sound;
- pictures, text, subtitles, and scripts that describe a sound (sbg);
- sound and films of games: few test these demuxers, and a damaged ADX ends the process.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.codec.context import CodecContext
    from av.container import InputContainer

CONTAINERS = (
    # Music and speech, compressed.
    "aa,aac,ac3,act,aea,amr,apac,ape,bonk,codec2,dss,dts,dtshd,eac3,flac,hcom,iamf,ilbc,laf,lc3,"
    "loas,mlp,mmf,mp3,mpc,mpc8,oma,osq,qcp,qoa,rka,s337m,shn,spdif,tak,truehd,tta,vqf,wavarc,wv,"
    # Samples behind a header.
    "aiff,au,avr,caf,dsf,epaf,iff,ircam,nistsphere,nsp,pvf,rso,sdx,sds,sox,voc,w64,wav,wsd,wve,"
    # Containers of sound and film.
    "asf,avi,dv,flv,gxf,ivr,matroska,mov,mpeg,mpegts,mxf,nsv,nut,nuv,ogg,pva,rm,swf,ty,vivo,wtv"
)
"""FFmpeg's demuxers that may be tried, as its option ``format_whitelist`` takes them."""

# Others are so long as the bytes or the clock of what is there: cut short, they are shorter. ASF
# states a length, which FFmpeg scales by the size of the file.
_STATE_LENGTH = {
    *("aiff", "ape", "au", "avi", "caf", "dsf", "flac", "flv", "iff", "mpc", "mpc8"),
    *("rm", "tak", "tta", "w64", "wav", "wv", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2"),
}

STATE_END = {"matroska,webm"}
"""Formats whose stated length is the end by the clock of the stream, wherever that begins."""

_ENCRYPTED_TAGS = {"drms", "enca", "aavd"}
"""Codec tags in MPEG-4 of sound that is encrypted: Apple's, the standard's and Audible's."""

# Where a mark is, and what it is the mark of; each can be converted by what made or plays it.
_MIDI = "it holds notes (MIDI) and no sound: 'fluidsynth -F out.wav SOUNDFONT FILE' plays them"
_MODULE = "it is a tracker module, notes and no sound: 'openmpt123 --render FILE' plays it"
_FOREIGN = (
    (0, b"MThd", _MIDI),
    (8, b"RMID", _MIDI),
    (0, b"Extended Module: ", _MODULE),
    (0, b"IMPM", _MODULE),
    (44, b"SCRM", _MODULE),
    *((1080, mark, _MODULE) for mark in (b"M.K.", b"M!K!", b"FLT4", b"4CHN", b"6CHN", b"8CHN")),
    (0, b"OFR ", "it is OptimFROG, which is not decoded: 'ofr --decode FILE' converts it"),
)
_FOREIGN_BYTES = 1084

_MP3_PART = 16  # FFmpeg's: what is behind the stated end, tags and all, is no more than this part

_CONVERTS = "'ffmpeg -i FILE out.wav' may convert it"
UNKNOWN_CODEC = f"the codec of its audio stream is not known ({_CONVERTS})"
ENCRYPTED = "it is encrypted (DRM), only the program that it was bought for can play it"


def states_length(container: InputContainer, path: Path) -> bool:
    """Tell whether a file's header states its length; elsewhere FFmpeg guesses, or counts.

    Raw streams (AAC, AC-3, DTS, AMR, MP3 without a length header) are guessed by the first bit
    rate, and may be twice as long.
    """
    kind = container.format.name
    return kind in _STATE_LENGTH or (kind == "mp3" and _mp3_states_length(path))


def _mp3_states_length(path: Path) -> bool:
    """Look for the length header of an MP3 (Xing, Info or VBRI) behind its ID3v2 tag.

    One that is of much less than the file is that of the first of several put together: FFmpeg
    then guesses, as where there is none.
    """
    with path.open("rb") as handle:
        head = handle.read(10)
        if len(head) == 10 and head.startswith(b"ID3"):
            size = 0
            for byte in head[6:]:  # 28 bits in four bytes (ID3v2.4, 3.1)
                size = size << 7 | byte & 0x7F
            handle.seek(10 + size)
        tag_ends = handle.tell()
        first_frame = head + handle.read(4096)
        n_bytes = handle.seek(0, os.SEEK_END) - tag_ends
    found = re.search(rb"(?:Xing|Info)(?:...(?P<flags>.)....(?P<bytes>....))?", first_frame, re.S)
    if found is None:
        return b"VBRI" in first_frame
    if found["flags"] is None or found["flags"][0] & 3 != 3:  # it does not state bytes as well
        return True
    stated = int.from_bytes(found["bytes"])
    return not stated or n_bytes - stated <= stated // _MP3_PART


def why_unknown(path: Path) -> str:
    """Why a file is none of the formats that are read, and what converts it, as a clause."""
    with path.open("rb") as handle:
        head = handle.read(_FOREIGN_BYTES)
    for at, mark, reason in _FOREIGN:
        if head.startswith(mark, at):
            return reason
    return f"it has no sound format that can be read, or is badly damaged ({_CONVERTS})"


def is_encrypted(codec: CodecContext) -> bool:
    """Tell whether the sound in an MPEG-4 file is encrypted."""
    try:
        return codec.codec_tag in _ENCRYPTED_TAGS
    except UnicodeDecodeError:  # a tag may be any four bytes
        return False
