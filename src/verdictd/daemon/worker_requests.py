"""What the workers ask of the supervisor, and tell it."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

from verdictd.collateral.service import CollateralService
from verdictd.core.errors import CollateralUnavailableError, TransportError, VerdictdError
from verdictd.daemon.collateral_wire import decode_item, decode_name, encode_item
from verdictd.daemon.link import Handler, Question
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.proto.worker_pb2 import Found, Frame
from verdictd.daemon.worker_process import WorkerProcess

_LOGGER: Final = logging.getLogger(__name__)
_THREADS: Final = 16


class WorkerRequests:
    """Answers the workers. What takes time is done on threads of its own, so that no worker waits for another.

    Attributes:
        tell: told of each attestation, while somebody follows.
    """

    def __init__(self, collateral: Callable[[], CollateralService | None]) -> None:
        self._collateral = collateral
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="for-workers")
        self.tell: Callable[[messages.Attestation], None] = lambda _: None

    def close(self) -> None:
        """Answer nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def handler(self, worker: WorkerProcess) -> Handler:
        """Make what takes the questions and the news of a worker."""
        del worker

        def handle(question: Question) -> None:
            match question.frame.WhichOneof("body"):
                case "find":
                    self._submit(self._find, question)
                case "newer":
                    self._submit(self._learn, question)
                case "concluded":
                    self.tell(question.frame.concluded)
                case body:
                    raise TransportError(f"a worker says {body}, which is nothing for the supervisor")

        return handle

    def _submit(self, work: Callable[[Question, CollateralService], None], question: Question) -> None:
        service = self._collateral()
        if service is None:
            question.answer(Frame(found=Found(reason="verdictd is still starting")))
        else:
            self._threads.submit(self._do, work, question, service)

    def _do(
        self, work: Callable[[Question, CollateralService], None], question: Question, service: CollateralService
    ) -> None:
        try:
            work(question, service)
        except VerdictdError as error:
            _LOGGER.warning("a worker's question cannot be answered", extra={"why": str(error)})
            question.answer_error(error)
        except Exception:
            _LOGGER.exception("a worker's question cannot be answered; this is a fault in the program")
            question.answer(Frame(found=Found(reason="verdictd failed, see its log")))

    def _find(self, question: Question, service: CollateralService) -> None:
        try:
            items = service.fetch_item(decode_name(question.frame.find), datetime.now(UTC))
        except CollateralUnavailableError as error:
            question.answer(Frame(found=Found(reason=error.message)))
            return
        question.answer(Frame(found=Found(items=[encode_item(item) for item in items])))

    def _learn(self, question: Question, service: CollateralService) -> None:
        service.offer_from_peer(decode_item(question.frame.newer), datetime.now(UTC))
