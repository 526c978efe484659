"""A link between the supervisor and one worker process: questions, answers and news over a socket that both hold.

Threads ask and wait; one thread reads. News and questions are given to a handler in the order in which they came, on
the reading thread: a handler that has to wait for something answers later, from a thread of its own (`Question`).
"""

import contextlib
import logging
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Final

from google.protobuf.message import DecodeError

from verdictd.core.errors import ConfigError, TransportError, VerdictdError
from verdictd.daemon.proto.worker_pb2 import Done, Failed, Frame

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
"""Either side trusts the other, so this bounds a mistake, not an attack."""
SEND_TIMEOUT_S: Final = 5.0
"""For which the other side may take nothing of what is sent; after that the link is lost."""

_LOGGER: Final = logging.getLogger(__name__)
_LENGTH: Final = struct.Struct("<I")
_SECONDS: Final = struct.Struct("ll")


class LinkLostError(TransportError):
    """The other side has ended, or takes or answers nothing any more."""


class Question:
    """What the other side asked. Answer it once, from any thread."""

    def __init__(self, link: "Link", frame: Frame) -> None:
        self._link = link
        self.frame = frame

    def answer(self, frame: Frame) -> None:
        """Answer. Nothing happens where the other side is gone."""
        frame.id, frame.is_answer = self.frame.id, True
        with contextlib.suppress(LinkLostError):
            self._link.send(frame)

    def answer_done(self) -> None:
        """Answer that it was done."""
        self.answer(Frame(done=Done()))

    def answer_error(self, error: VerdictdError) -> None:
        """Answer that it was not done, and why."""
        self.answer(Frame(failed=Failed(message=error.message, remedy=error.remedy)))


Handler = Callable[[Question], None]
"""Takes a question, or news (a question whose answer nobody waits for). Must not block."""


class Link:
    """One end of a link. Its methods may be called from any thread."""

    def __init__(self, connected: socket.socket, handler: Handler, on_lost: Callable[[], None], *, name: str) -> None:
        """Make an end; it reads from `start` on.

        Args:
            connected: a stream socket, which belongs to the link from now on.
            handler: takes what the other side asks and tells.
            on_lost: called once, on the reading thread, when nothing more can come.
            name: of the thread, for the operator.
        """
        connected.setblocking(True)  # noqa: FBT003 - the socket's own name for it
        seconds = _SECONDS.pack(int(SEND_TIMEOUT_S), int(SEND_TIMEOUT_S % 1 * 1e6))
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
        self._socket = connected
        self._handler = handler
        self._on_lost = on_lost
        self._sending = threading.Lock()
        self._asking = threading.Lock()
        self._pending: dict[int, Future[Frame]] = {}
        self._next_id = 1
        self._is_lost = False
        self._reader = threading.Thread(target=self._read, name=name, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._reader.start()

    def close(self) -> None:
        """End the link: whoever waits for an answer is told that it is lost."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait, after `close`, until nothing more comes and `on_lost` has returned. Not on the reading thread."""
        self._reader.join()

    def ask_later(self, frame: Frame) -> "Future[Frame]":
        """Ask, and return the answer to come. Its errors are those of `ask`; give it to `settle`."""
        answer: Future[Frame] = Future()
        with self._asking:
            if self._is_lost:
                raise LinkLostError("the other process has ended")
            frame.id = self._next_id
            self._next_id += 1
            self._pending[frame.id] = answer
        self.send(frame)
        return answer

    def ask(self, frame: Frame, *, timeout_s: float) -> Frame:
        """Ask, and wait for the answer.

        Raises:
            LinkLostError: the other side is gone, or did not answer in time.
            ConfigError: it answered that it could not, and why.
        """
        return settle(self.ask_later(frame), timeout_s=timeout_s)

    def send(self, frame: Frame) -> None:
        """Send a frame as it is. Errors are those of `ask`."""
        data = frame.SerializeToString()
        if len(data) > MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {len(data)} bytes, the limit is {MAX_FRAME_BYTES}")
        try:
            with self._sending:
                self._socket.sendall(_LENGTH.pack(len(data)) + data)
        except OSError as error:  # gone, or it takes nothing: half a frame may be on its way, so this is the end
            self.close()
            raise LinkLostError(f"the other process takes nothing any more: {error}") from error

    def _read(self) -> None:
        try:
            with self._socket.makefile("rb") as stream:
                while (frame := _read_frame(stream.read)) is not None:
                    self._take(frame)
        except (OSError, DecodeError, TransportError) as error:
            _LOGGER.debug("a link ended: %s", error)
        finally:
            self._lose()

    def _take(self, frame: Frame) -> None:
        if not frame.is_answer:
            self._handler(Question(self, frame))
            return
        with self._asking:
            answer = self._pending.pop(frame.id, None)
        if answer is not None:
            answer.set_result(frame)

    def _lose(self) -> None:
        with self._asking:
            self._is_lost = True
            pending, self._pending = self._pending, {}
        for answer in pending.values():
            answer.set_exception(LinkLostError("the other process has ended"))
        with self._sending:
            self._socket.close()
        self._on_lost()


def settle(answer: "Future[Frame]", *, timeout_s: float) -> Frame:
    """Wait for an answer; errors are those of `Link.ask`."""
    try:
        frame = answer.result(timeout_s)
    except FutureTimeoutError as error:
        raise LinkLostError(f"the other process did not answer within {timeout_s:g} s") from error
    if frame.HasField("failed"):
        raise ConfigError(frame.failed.message, remedy=frame.failed.remedy)
    return frame


def _read_frame(read: Callable[[int], bytes]) -> Frame | None:
    header = read(_LENGTH.size)
    if not header:
        return None
    if len(header) < _LENGTH.size:
        raise TransportError("a frame was cut off")
    (length,) = _LENGTH.unpack(header)
    if length > MAX_FRAME_BYTES:
        raise TransportError(f"a frame claims {length} bytes, the limit is {MAX_FRAME_BYTES}")
    data = read(length)
    if len(data) < length:
        raise TransportError("a frame was cut off")
    return Frame.FromString(data)
