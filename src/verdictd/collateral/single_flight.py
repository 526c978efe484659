"""One piece of work at a time per key, whoever asks for it; the others wait for the same one."""

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Condition, Thread
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class SingleFlight(Generic[K]):
    """Runs work in threads of its own, so that who waits for it can stop waiting. Safe to share between threads."""

    def __init__(self, *, max_flights: int = 64) -> None:
        self._max_flights = max_flights
        self._flights: dict[K, Future[None]] = {}
        self._changed = Condition()

    def start(
        self, key: K, work: Callable[[], object], *, spare: int = 0, patience_s: float = 0.0
    ) -> Future[None] | None:
        """Start `work` unless some is under way for `key`; return what to wait on.

        The work must end by itself. Its exception, if any, is the result for everybody who waits.

        Args:
            key: what the work is for.
            work: what to do.
            spare: for how many flights that are more urgent this one must leave room.
            patience_s: how long to wait for room.
        Returns:
            The flight; ``None`` where too many others are under way, or no thread can be had.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: key in self._flights or len(self._flights) < self._max_flights - spare, patience_s
            )
            flight = self._flights.get(key)
            if flight is not None:
                return flight
            if len(self._flights) >= self._max_flights - spare:
                return None
            flight = self._flights[key] = Future()
        # A daemon: a server that does not answer must not keep the process from ending.
        thread = Thread(target=self._run, args=(key, work, flight), name="collateral", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._end(key)
            flight.set_result(None)
            return None
        return flight

    def _run(self, key: K, work: Callable[[], object], flight: Future[None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the threads that wait raise it
            outcome: BaseException | None = error
        else:
            outcome = None
        self._end(key)
        if outcome is None:
            flight.set_result(None)
        else:
            flight.set_exception(outcome)

    def _end(self, key: K) -> None:
        with self._changed:
            del self._flights[key]
            self._changed.notify_all()
