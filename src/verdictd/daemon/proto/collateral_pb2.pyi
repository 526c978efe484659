import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListCollateralRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCollateralResponse(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[CollateralDescription]
    def __init__(self, items: _Optional[_Iterable[_Union[CollateralDescription, _Mapping[str, object]]]] = ...) -> None: ...

class CollateralDescription(_message.Message):
    __slots__ = ("kind", "name", "source", "root", "issue_date", "expires_at", "number", "is_from_peer", "next_refresh_s", "last_failure")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    ISSUE_DATE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    IS_FROM_PEER_FIELD_NUMBER: _ClassVar[int]
    NEXT_REFRESH_S_FIELD_NUMBER: _ClassVar[int]
    LAST_FAILURE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    source: str
    root: str
    issue_date: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    number: int
    is_from_peer: bool
    next_refresh_s: float
    last_failure: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., source: _Optional[str] = ..., root: _Optional[str] = ..., issue_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, object]]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping[str, object]]] = ..., number: _Optional[int] = ..., is_from_peer: _Optional[bool] = ..., next_refresh_s: _Optional[float] = ..., last_failure: _Optional[str] = ...) -> None: ...

class RawCollateral(_message.Message):
    __slots__ = ("kind", "body", "signature", "issuer_chain", "source")
    KIND_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    ISSUER_CHAIN_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    body: bytes
    signature: bytes
    issuer_chain: bytes
    source: str
    def __init__(self, kind: _Optional[str] = ..., body: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., issuer_chain: _Optional[bytes] = ..., source: _Optional[str] = ...) -> None: ...

class RefreshCollateralRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RefreshCollateralResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[CollateralOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[CollateralOutcome, _Mapping[str, object]]]] = ...) -> None: ...

class ImportCollateralRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[RawCollateral]
    def __init__(self, items: _Optional[_Iterable[_Union[RawCollateral, _Mapping[str, object]]]] = ...) -> None: ...

class ImportCollateralResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[CollateralOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[CollateralOutcome, _Mapping[str, object]]]] = ...) -> None: ...

class ExportCollateralRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CollateralOutcome(_message.Message):
    __slots__ = ("name", "source", "status", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    source: str
    status: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., source: _Optional[str] = ..., status: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
