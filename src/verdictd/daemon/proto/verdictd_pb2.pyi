import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_ALLOW: _ClassVar[Verdict]
    VERDICT_DENY: _ClassVar[Verdict]

class CheckResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHECK_RESULT_UNSPECIFIED: _ClassVar[CheckResult]
    CHECK_RESULT_PASS: _ClassVar[CheckResult]
    CHECK_RESULT_FAIL: _ClassVar[CheckResult]
    CHECK_RESULT_NOT_MADE: _ClassVar[CheckResult]
VERDICT_UNSPECIFIED: Verdict
VERDICT_ALLOW: Verdict
VERDICT_DENY: Verdict
CHECK_RESULT_UNSPECIFIED: CheckResult
CHECK_RESULT_PASS: CheckResult
CHECK_RESULT_FAIL: CheckResult
CHECK_RESULT_NOT_MADE: CheckResult

class ListAttestationsRequest(_message.Message):
    __slots__ = ("limit", "id_prefix")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    ID_PREFIX_FIELD_NUMBER: _ClassVar[int]
    limit: int
    id_prefix: str
    def __init__(self, limit: _Optional[int] = ..., id_prefix: _Optional[str] = ...) -> None: ...

class ListAttestationsResponse(_message.Message):
    __slots__ = ("attestations",)
    ATTESTATIONS_FIELD_NUMBER: _ClassVar[int]
    attestations: _containers.RepeatedCompositeFieldContainer[Attestation]
    def __init__(self, attestations: _Optional[_Iterable[_Union[Attestation, _Mapping[str, object]]]] = ...) -> None: ...

class WatchAttestationsRequest(_message.Message):
    __slots__ = ("id_prefix",)
    ID_PREFIX_FIELD_NUMBER: _ClassVar[int]
    id_prefix: str
    def __init__(self, id_prefix: _Optional[str] = ...) -> None: ...

class Attestation(_message.Message):
    __slots__ = ("id", "number", "concluded_at", "peer_address", "tee", "verdict", "sentence", "checks", "claims_json", "policy_parse_info_json", "collateral_sources", "duration", "tcb_status", "advisory_ids", "report_json")
    class CollateralSourcesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CONCLUDED_AT_FIELD_NUMBER: _ClassVar[int]
    PEER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TEE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_JSON_FIELD_NUMBER: _ClassVar[int]
    POLICY_PARSE_INFO_JSON_FIELD_NUMBER: _ClassVar[int]
    COLLATERAL_SOURCES_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    TCB_STATUS_FIELD_NUMBER: _ClassVar[int]
    ADVISORY_IDS_FIELD_NUMBER: _ClassVar[int]
    REPORT_JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    number: int
    concluded_at: _timestamp_pb2.Timestamp
    peer_address: str
    tee: str
    verdict: Verdict
    sentence: str
    checks: _containers.RepeatedCompositeFieldContainer[Check]
    claims_json: str
    policy_parse_info_json: str
    collateral_sources: _containers.ScalarMap[str, str]
    duration: _duration_pb2.Duration
    tcb_status: str
    advisory_ids: _containers.RepeatedScalarFieldContainer[str]
    report_json: str
    def __init__(self, id: _Optional[str] = ..., number: _Optional[int] = ..., concluded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, object]]] = ..., peer_address: _Optional[str] = ..., tee: _Optional[str] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., sentence: _Optional[str] = ..., checks: _Optional[_Iterable[_Union[Check, _Mapping[str, object]]]] = ..., claims_json: _Optional[str] = ..., policy_parse_info_json: _Optional[str] = ..., collateral_sources: _Optional[_Mapping[str, str]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping[str, object]]] = ..., tcb_status: _Optional[str] = ..., advisory_ids: _Optional[_Iterable[str]] = ..., report_json: _Optional[str] = ...) -> None: ...

class Check(_message.Message):
    __slots__ = ("name", "result", "expected", "found", "remedy", "mandatory")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    MANDATORY_FIELD_NUMBER: _ClassVar[int]
    name: str
    result: CheckResult
    expected: str
    found: str
    remedy: str
    mandatory: bool
    def __init__(self, name: _Optional[str] = ..., result: _Optional[_Union[CheckResult, str]] = ..., expected: _Optional[str] = ..., found: _Optional[str] = ..., remedy: _Optional[str] = ..., mandatory: _Optional[bool] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("version", "started_at", "trust_roots", "settings", "collateral", "policies", "counts", "warnings", "audit_head", "last_collateral_failure", "workers")
    class SettingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    TRUST_ROOTS_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    COLLATERAL_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    AUDIT_HEAD_FIELD_NUMBER: _ClassVar[int]
    LAST_COLLATERAL_FAILURE_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    version: str
    started_at: _timestamp_pb2.Timestamp
    trust_roots: _containers.RepeatedCompositeFieldContainer[TrustRoot]
    settings: _containers.ScalarMap[str, str]
    collateral: _containers.RepeatedCompositeFieldContainer[HeldCollateral]
    policies: _containers.RepeatedCompositeFieldContainer[PolicyPair]
    counts: Counts
    warnings: _containers.RepeatedScalarFieldContainer[str]
    audit_head: str
    last_collateral_failure: str
    workers: int
    def __init__(self, version: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, object]]] = ..., trust_roots: _Optional[_Iterable[_Union[TrustRoot, _Mapping[str, object]]]] = ..., settings: _Optional[_Mapping[str, str]] = ..., collateral: _Optional[_Iterable[_Union[HeldCollateral, _Mapping[str, object]]]] = ..., policies: _Optional[_Iterable[_Union[PolicyPair, _Mapping[str, object]]]] = ..., counts: _Optional[_Union[Counts, _Mapping[str, object]]] = ..., warnings: _Optional[_Iterable[str]] = ..., audit_head: _Optional[str] = ..., last_collateral_failure: _Optional[str] = ..., workers: _Optional[int] = ...) -> None: ...

class TrustRoot(_message.Message):
    __slots__ = ("label", "fingerprint", "is_intel")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    IS_INTEL_FIELD_NUMBER: _ClassVar[int]
    label: str
    fingerprint: str
    is_intel: bool
    def __init__(self, label: _Optional[str] = ..., fingerprint: _Optional[str] = ..., is_intel: _Optional[bool] = ...) -> None: ...

class HeldCollateral(_message.Message):
    __slots__ = ("kind", "key", "source", "issue_date", "next_update")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ISSUE_DATE_FIELD_NUMBER: _ClassVar[int]
    NEXT_UPDATE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    key: str
    source: str
    issue_date: _timestamp_pb2.Timestamp
    next_update: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[str] = ..., key: _Optional[str] = ..., source: _Optional[str] = ..., issue_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, object]]] = ..., next_update: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, object]]] = ...) -> None: ...

class PolicyPair(_message.Message):
    __slots__ = ("tee", "policy_name", "policy_digest", "reference_name", "reference_digest", "problem")
    TEE_FIELD_NUMBER: _ClassVar[int]
    POLICY_NAME_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_NAME_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    tee: str
    policy_name: str
    policy_digest: str
    reference_name: str
    reference_digest: str
    problem: str
    def __init__(self, tee: _Optional[str] = ..., policy_name: _Optional[str] = ..., policy_digest: _Optional[str] = ..., reference_name: _Optional[str] = ..., reference_digest: _Optional[str] = ..., problem: _Optional[str] = ...) -> None: ...

class Counts(_message.Message):
    __slots__ = ("accepted", "refused", "open_connections")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    OPEN_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    refused: int
    open_connections: int
    def __init__(self, accepted: _Optional[int] = ..., refused: _Optional[int] = ..., open_connections: _Optional[int] = ...) -> None: ...

class SetPairRequest(_message.Message):
    __slots__ = ("policy_name", "policy", "reference_name", "reference")
    POLICY_NAME_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_NAME_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    policy_name: str
    policy: bytes
    reference_name: str
    reference: bytes
    def __init__(self, policy_name: _Optional[str] = ..., policy: _Optional[bytes] = ..., reference_name: _Optional[str] = ..., reference: _Optional[bytes] = ...) -> None: ...

class SetPairResponse(_message.Message):
    __slots__ = ("ok", "error")
    OK_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ok: PairSet
    error: Refusal
    def __init__(self, ok: _Optional[_Union[PairSet, _Mapping[str, object]]] = ..., error: _Optional[_Union[Refusal, _Mapping[str, object]]] = ...) -> None: ...

class PairSet(_message.Message):
    __slots__ = ("policy_digest", "reference_digest")
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    policy_digest: str
    reference_digest: str
    def __init__(self, policy_digest: _Optional[str] = ..., reference_digest: _Optional[str] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("message", "remedy")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    message: str
    remedy: str
    def __init__(self, message: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...
