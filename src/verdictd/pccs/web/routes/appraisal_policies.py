"""``appraisalpolicy``: PUT keeps a policy of Intel's appraisal engine, GET hands out a family's defaults.

A policy is signed by its owner, and judged by whoever uses it; here only its form is looked at.

Spec: Intel PCCS, service/services/appraisalPolicyService.js.
"""

import base64
import binascii
import hashlib
import json
import re
from typing import Final

from verdictd.core.result import JSONValue
from verdictd.pccs.errors import NO_CACHE_DATA, UnavailableError
from verdictd.pccs.model import AppraisalPolicy
from verdictd.pccs.ports import Storage
from verdictd.pccs.web.http.answers import TEXT, Answer, make_answer
from verdictd.pccs.web.http.exchange import Exchange
from verdictd.pccs.web.http.parameters import read_fmspc
from verdictd.pccs.web.http.refusals import RequestRefusedError, refuse_parameter
from verdictd.pccs.web.http.threads import Threads
from verdictd.pccs.web.http.tokens import TokenHashes

PLATFORM_CLASSES: Final = frozenset(
    {
        "3123ec35-8d38-4ea5-87a5-d6c48b567570",
        "9eec018b-7481-4b1c-8e1a-9f7c0c8c777f",
        "f708b97f-0fb2-4e6b-8b03-8a5bcd1221d3",
    }
)
"""Class ids of policies for platforms: SGX, TDX 1.0 and TDX 1.5. A policy has to hold one of them."""
TDQE_CLASS: Final = "3769258c-75e6-4bc7-8d72-d2b0e224cad2"
"""Class id of policies for the TD quoting enclave, which may stand before it."""
_JWT: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}(?:\.[A-Za-z0-9_-]*={0,2})+(?:\r?\n)?")
"""With the end of the line that stands in its file: Intel's administration tool sends the file as it is."""


class AppraisalPolicyRoutes:
    """Answers from the policies that are stored."""

    def __init__(self, storage: Storage, tokens: TokenHashes, threads: Threads) -> None:
        self._storage = storage
        self._tokens = tokens
        self._threads = threads

    async def keep(self, exchange: Exchange) -> Answer:
        """Answer PUT with the policy's id."""
        self._tokens.require_admin(exchange)
        policy = read_policy(await exchange.read_json_object())
        await self._threads.run(self._storage.policies.keep, policy)
        return make_answer(policy.policy_id.encode("ascii"), TEXT)

    async def show(self, exchange: Exchange) -> Answer:
        """Answer GET with the defaults, joined by commas."""
        fmspc = read_fmspc(exchange.parameters())
        policies = await self._threads.run(self._storage.policies.defaults, fmspc)
        if not policies:
            raise UnavailableError(
                f"there is no default appraisal policy for FMSPC {fmspc.hex()}",
                status=NO_CACHE_DATA,
                problem="no-cache-data",
                remedy="bring one with PUT appraisalpolicy and is_default true",
            )
        return make_answer(",".join(policy.text for policy in policies).encode("ascii"), TEXT)


def read_policy(document: dict[str, JSONValue]) -> AppraisalPolicy:
    """Read what PUT is given.

    Raises:
        RequestRefusedError: 400.
    """
    is_default, fmspc, text = document.get("is_default"), document.get("fmspc"), document.get("policy")
    if not isinstance(is_default, bool):
        raise refuse_parameter("is_default", "true or false", _kind(is_default))
    if not isinstance(fmspc, str):
        raise refuse_parameter("fmspc", "12 hex digits", _kind(fmspc))
    family = read_fmspc({"fmspc": fmspc})
    if not isinstance(text, str) or not _JWT.fullmatch(text):
        raise refuse_parameter("policy", "a JWT", _kind(text))
    _check_classes(_read_classes(text))
    return AppraisalPolicy(
        policy_id=hashlib.sha384(text.encode("ascii")).hexdigest(), fmspc=family, is_default=is_default, text=text
    )


def _read_classes(text: str) -> list[str]:
    encoded = text.rstrip().split(".")[1].rstrip("=")
    try:
        payload = json.loads(base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True))
        policies = json.loads(payload["policy_payload"])["policy_array"]
        return [str(policy["environment"]["class_id"]).lower() for policy in policies]
    except (binascii.Error, ValueError, TypeError, KeyError, RecursionError) as error:
        raise _refuse_policy(
            f"the policy does not hold policy_payload with a policy_array of environments with class_id ({error!r:.80})"
        ) from error


def _check_classes(classes: list[str]) -> None:
    for class_id in classes:
        if class_id in PLATFORM_CLASSES:
            return
        if class_id != TDQE_CLASS:
            raise _refuse_policy(f"the policy is for {class_id[:60]!a}, which is no class of platforms")
    raise _refuse_policy("the policy is for no class of platforms")


def _kind(value: JSONValue) -> str | None:
    return None if value is None else type(value).__name__


def _refuse_policy(message: str) -> RequestRefusedError:
    return RequestRefusedError(
        message,
        status=400,
        problem="malformed",
        remedy="sign the policy with Intel's tee_appraisal_tool, for an SGX or a TDX platform",
    )
