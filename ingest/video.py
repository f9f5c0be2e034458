"""One video track: coded pictures to sampled JPEGs, in a thread of its own, never more behind than it can make good.

The event loop hands over coded pictures, the thread decodes all of them (each refers to the one before) and turns the
sampled ones into JPEGs, of which only the newest waits to be published. A track that falls behind is thinned: the
waiting pictures go, and decoding resumes at the next key picture, which the sender is asked for. One that is still
behind and has shown nothing for `cut_after_s` is given up.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import av
import cv2
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from ingest import metrics
from ingest.assembly import Coded
from ingest.clock import SessionClock
from ingest.codecs import VIDEO, is_key, too_large, video_decoder
from ingest.picture import Picture, to_jpeg
from ingest.sampling import Looks, Sampler
from ingest.timeline import Timeline
from proto.media import Look
from proto.policy import Analysis
from runtime.log import get_logger

log = get_logger("ingest")

CLOCK_HZ = 90_000
MAX_WAITING = 120
MAX_WAITING_BYTES = 8 << 20
KEY_PATIENCE_S = 3.0
"""After a loss, how long to wait for a key picture before showing what can be shown."""
KEY_ASK_S = 0.5
"""Least time between two requests for a key picture."""
RECOVERED_S = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Lag at which a session is thinned, and how long a thinned one may show nothing."""

    thin_after_s: float
    cut_after_s: float


@dataclass(frozen=True, slots=True)
class Sampled:
    """One picture to publish; `looks` is what is due on it besides faces."""

    t_s: float
    received_unix_s: float
    picture: Picture
    looks: tuple[Look, ...] = ()


@dataclass(frozen=True, slots=True)
class _Waiting:
    coded: Coded
    t_s: float


class VideoTrack:
    """`take` is called on the event loop and never waits; `on_sampled` is called from the thread.

    `encode` turns a decoded frame into a JPEG of at most the given width and quality.
    """

    def __init__(
        self,
        clock: SessionClock,
        analysis: Analysis,
        limits: Limits,
        on_sampled: Callable[[Sampled], None],
        encode: Callable[[VideoFrame, int, int], Picture] = to_jpeg,
    ) -> None:
        self._clock = clock
        self._analysis = analysis
        self._limits = limits
        self._on_sampled = on_sampled
        self._encode = encode
        self._timeline = Timeline(CLOCK_HZ)
        self._sampler = Sampler(analysis.fps)
        self._looks = Looks(analysis)
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._in_hand_unix_s: float | None = None
        self._wants_key = False
        self._needs_key_since: float | None = None
        self._behind_since: float | None = None
        self._thinned_unix_s = 0.0
        self._shown_unix_s = 0.0
        self._asked_unix_s = 0.0
        self._decoder: VideoCodecContext | None = None
        self._codec = ""
        self.dropped = 0
        self.size = (0, 0)
        self._thread = threading.Thread(target=self._work, name="ingest-video", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end; it does after the picture in hand."""
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            self._changed.notify()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; False if it is still at it."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Coded pictures not yet decoded."""
        return len(self._waiting)

    @property
    def lag_s(self) -> float:
        """Age of the oldest picture that is not decoded yet, since it arrived."""
        with self._changed:
            return self._lag_s()

    @property
    def behind_s(self) -> float:
        """For how long a track that fell behind has shown nothing, 0.0 if it keeps up."""
        since = self._behind_since
        return 0.0 if since is None else self._clock.unix() - max(since, self._shown_unix_s)

    @property
    def given_up(self) -> bool:
        """Whether the track has been behind, with nothing to show, for longer than it may."""
        return self.behind_s > self._limits.cut_after_s

    def wants_key(self) -> bool:
        """Whether the sender should be asked for a key picture; asking once is noted."""
        now_unix_s = self._clock.unix()
        if not self._wants_key or now_unix_s - self._asked_unix_s < KEY_ASK_S:
            return False
        self._wants_key, self._asked_unix_s = False, now_unix_s
        return True

    def take(self, coded: Coded) -> None:
        """The next coded picture in sending order."""
        if coded.codec not in VIDEO:
            return
        if too_large(coded.codec, coded.data):
            self._drop(1, "too_large")
            return
        moment = self._timeline.at(coded.timestamp, self._clock.at(coded.began_unix_s))
        if moment.jump_s:
            metrics.CLOCK_JUMPS.labels("video").inc()
        if not self._decodable(coded):
            self._drop(1, "behind" if self._behind_since is not None else "damaged")
            return
        with self._changed:
            full = len(self._waiting) >= MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES
            if full or self._lag_s() > self._limits.thin_after_s:
                self._thin(coded)
            elif self._behind_since is not None and coded.arrived_unix_s - self._thinned_unix_s > RECOVERED_S:
                self._behind_since = None
            if self._needs_key_since is None:
                self._waiting.append(_Waiting(coded, moment.t_s))
                self._waiting_bytes += len(coded.data)
                self._changed.notify()
            else:
                self._drop(1, "behind")

    def _decodable(self, coded: Coded) -> bool:
        """False while waiting for a key picture; a damaged stream is shown again after a while even without one."""
        if is_key(coded.codec, coded.data):
            self._needs_key_since = None
            return True
        if coded.damaged and self._needs_key_since is None:
            self._needs_key_since = coded.arrived_unix_s
        if self._needs_key_since is None:
            return True
        if coded.arrived_unix_s - self._needs_key_since > KEY_PATIENCE_S:
            self._needs_key_since = None
            return True
        self._wants_key = True
        return False

    def _thin(self, newest: Coded) -> None:
        """Drop what waits, and everything until the next key picture. The lock is held."""
        if self._behind_since is None:
            self._behind_since = self._clock.unix()
            log.warning("ingest.behind", waiting=len(self._waiting), lag_s=round(self._lag_s(), 2))
        self._thinned_unix_s = newest.arrived_unix_s
        self._drop(len(self._waiting), "behind")
        self._waiting.clear()
        self._waiting_bytes = 0
        if not is_key(newest.codec, newest.data):
            self._needs_key_since = newest.arrived_unix_s
            self._wants_key = True

    def _lag_s(self) -> float:
        oldest = self._in_hand_unix_s
        if oldest is None and self._waiting:
            oldest = self._waiting[0].coded.arrived_unix_s
        return 0.0 if oldest is None else max(0.0, self._clock.unix() - oldest)

    def _drop(self, pictures: int, reason: str) -> None:
        self.dropped += pictures
        metrics.FRAMES_DROPPED.labels(reason).inc(pictures)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._in_hand_unix_s = None
                while not self._waiting and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    return
                item = self._waiting.popleft()
                self._waiting_bytes -= len(item.coded.data)
                self._in_hand_unix_s = item.coded.arrived_unix_s
            self._decode(item)

    def _decode(self, item: _Waiting) -> None:
        coded = item.coded
        if self._decoder is None or coded.codec != self._codec:
            self._decoder, self._codec = video_decoder(coded.codec), coded.codec
        try:
            frames = self._decoder.decode(av.Packet(coded.data))
        except av.FFmpegError:
            self._drop(1, "undecodable")
            self._wants_key = True
            return
        if not frames or not self._sampler.takes(item.t_s):
            return
        frame = frames[-1]
        try:
            picture = self._encode(frame, self._analysis.width_px, self._analysis.jpeg_quality)
        except (ValueError, cv2.error, av.FFmpegError) as error:
            self._drop(1, "unreadable")
            log.warning("ingest.picture_unreadable", width=frame.width, height=frame.height, error=type(error).__name__)
            return
        self.size = (picture.width_px, picture.height_px)
        self._shown_unix_s = self._clock.unix()
        metrics.DECODE_LAG_S.observe(max(0.0, self._clock.unix() - coded.arrived_unix_s))
        self._on_sampled(Sampled(item.t_s, coded.arrived_unix_s, picture, self._looks.due(item.t_s)))
