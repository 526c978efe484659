import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from . import verdictd_pb2 as _verdictd_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VersionOrigin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERSION_ORIGIN_UNSPECIFIED: _ClassVar[VersionOrigin]
    VERSION_ORIGIN_SHIPPED: _ClassVar[VersionOrigin]
    VERSION_ORIGIN_UPLOAD: _ClassVar[VersionOrigin]
    VERSION_ORIGIN_RELOAD: _ClassVar[VersionOrigin]
    VERSION_ORIGIN_ROLLBACK: _ClassVar[VersionOrigin]
VERSION_ORIGIN_UNSPECIFIED: VersionOrigin
VERSION_ORIGIN_SHIPPED: VersionOrigin
VERSION_ORIGIN_UPLOAD: VersionOrigin
VERSION_ORIGIN_RELOAD: VersionOrigin
VERSION_ORIGIN_ROLLBACK: VersionOrigin

class ListVersionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListVersionsResponse(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[PolicyVersion]
    def __init__(self, versions: _Optional[_Iterable[_Union[PolicyVersion, _Mapping[str, object]]]] = ...) -> None: ...

class PolicyVersion(_message.Message):
    __slots__ = ("number", "recorded_at", "origin", "restored", "policy_name", "policy_digest", "reference_name", "reference_digest", "in_force")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    RESTORED_FIELD_NUMBER: _ClassVar[int]
    POLICY_NAME_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_NAME_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    number: int
    recorded_at: _timestamp_pb2.Timestamp
    origin: VersionOrigin
    restored: int
    policy_name: str
    policy_digest: str
    reference_name: str
    reference_digest: str
    in_force: bool
    def __init__(self, number: _Optional[int] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, object]]] = ..., origin: _Optional[_Union[VersionOrigin, str]] = ..., restored: _Optional[int] = ..., policy_name: _Optional[str] = ..., policy_digest: _Optional[str] = ..., reference_name: _Optional[str] = ..., reference_digest: _Optional[str] = ..., in_force: _Optional[bool] = ...) -> None: ...

class GetVersionRequest(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class GetVersionResponse(_message.Message):
    __slots__ = ("ok", "error")
    OK_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ok: VersionContents
    error: _verdictd_pb2.Refusal
    def __init__(self, ok: _Optional[_Union[VersionContents, _Mapping[str, object]]] = ..., error: _Optional[_Union[_verdictd_pb2.Refusal, _Mapping[str, object]]] = ...) -> None: ...

class VersionContents(_message.Message):
    __slots__ = ("version", "policy", "reference")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    version: PolicyVersion
    policy: bytes
    reference: bytes
    def __init__(self, version: _Optional[_Union[PolicyVersion, _Mapping[str, object]]] = ..., policy: _Optional[bytes] = ..., reference: _Optional[bytes] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("number", "dry_run", "expected")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    number: int
    dry_run: bool
    expected: PairDigests
    def __init__(self, number: _Optional[int] = ..., dry_run: _Optional[bool] = ..., expected: _Optional[_Union[PairDigests, _Mapping[str, object]]] = ...) -> None: ...

class PairDigests(_message.Message):
    __slots__ = ("policy_digest", "reference_digest")
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    policy_digest: str
    reference_digest: str
    def __init__(self, policy_digest: _Optional[str] = ..., reference_digest: _Optional[str] = ...) -> None: ...

class RollbackResponse(_message.Message):
    __slots__ = ("ok", "error")
    OK_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ok: RollbackDone
    error: _verdictd_pb2.Refusal
    def __init__(self, ok: _Optional[_Union[RollbackDone, _Mapping[str, object]]] = ..., error: _Optional[_Union[_verdictd_pb2.Refusal, _Mapping[str, object]]] = ...) -> None: ...

class RollbackDone(_message.Message):
    __slots__ = ("version", "replaced", "replaced_policy", "replaced_reference", "notes")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    REPLACED_POLICY_FIELD_NUMBER: _ClassVar[int]
    REPLACED_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    version: VersionContents
    replaced: PairDigests
    replaced_policy: bytes
    replaced_reference: bytes
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[_Union[VersionContents, _Mapping[str, object]]] = ..., replaced: _Optional[_Union[PairDigests, _Mapping[str, object]]] = ..., replaced_policy: _Optional[bytes] = ..., replaced_reference: _Optional[bytes] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...
