"""Decode a video packet by packet, in the `worker` process: damage costs its own frames only."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av

from avatar.base.errors import UserError
from pipeline.media import limits

Report = Callable[[str], None]
Alive = Callable[[], None]


def packets(
    container: "av.container.InputContainer", stream: "av.VideoStream"
) -> Iterator["av.Packet"]:
    """Packets until the end or until nothing can be read any more."""
    demuxed = container.demux(stream)
    while True:
        try:
            packet = next(demuxed, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        yield packet


def decoded(
    path: Path,
    container: "av.container.InputContainer",
    stream: "av.VideoStream",
    report: Report = lambda text: None,
) -> Iterator["av.VideoFrame"]:
    """Decode packet by packet, so that damage costs its own frames only.

    After damage a decoder goes on from pictures that it made up: what it gives then is left out
    until a key frame, which needs no other.
    """
    lost = count = number = 0
    rate = float(stream.average_rate or 30)
    ended = doubtful = False
    # Without a packet the decoder gives what it still holds, where the file broke off.
    for packet in chain(packets(container, stream), [None]):
        filled = packet is not None and packet.size > 0
        ended |= packet is not None and not filled  # the demuxer says so with an empty packet
        try:
            decoded = stream.codec_context.decode(packet)
        except (av.error.FFmpegError, EOFError):
            lost += filled
            doubtful |= filled
            continue
        for frame in decoded:
            if frame.pts is None:  # raw streams carry no times
                frame.time_base = Fraction(1, 90000)
                frame.pts = round(number / rate * 90000)
            number += 1
            check_count(path, number)
            doubtful = bool(frame.is_corrupt) or (doubtful and not frame.key_frame)
            if doubtful:
                lost += 1
                continue
            count += 1
            yield frame
    if lost or not ended:
        report(f"{path} is damaged: {count} frames are good, {lost} were left out")


def check_count(path: Path, count: int) -> None:
    """Raise UserError where a file has more frames than are read."""
    if count > limits.FRAMES:
        raise UserError(f"{path} holds more than {limits.FRAMES} frames: cut it into sequences")


def no_frames(path: Path) -> UserError:
    """The error for a file without a good frame."""
    return UserError(f"{path} holds no frame that can be decoded: replace it or convert it again")
