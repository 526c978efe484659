from . import collateral_pb2 as _collateral_pb2
from . import verdictd_pb2 as _verdictd_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Frame(_message.Message):
    __slots__ = ("id", "is_answer", "done", "failed", "prepare", "commit", "pairs", "stop", "watch", "list", "attestations", "figures_request", "figures", "find", "found", "newer", "concluded")
    ID_FIELD_NUMBER: _ClassVar[int]
    IS_ANSWER_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    PREPARE_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    WATCH_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    ATTESTATIONS_FIELD_NUMBER: _ClassVar[int]
    FIGURES_REQUEST_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    FIND_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    NEWER_FIELD_NUMBER: _ClassVar[int]
    CONCLUDED_FIELD_NUMBER: _ClassVar[int]
    id: int
    is_answer: bool
    done: Done
    failed: Failed
    prepare: Prepare
    commit: Commit
    pairs: bytes
    stop: Stop
    watch: Watch
    list: ListRequest
    attestations: _verdictd_pb2.ListAttestationsResponse
    figures_request: FiguresRequest
    figures: Figures
    find: FindRequest
    found: Found
    newer: Item
    concluded: _verdictd_pb2.Attestation
    def __init__(self, id: _Optional[int] = ..., is_answer: _Optional[bool] = ..., done: _Optional[_Union[Done, _Mapping[str, object]]] = ..., failed: _Optional[_Union[Failed, _Mapping[str, object]]] = ..., prepare: _Optional[_Union[Prepare, _Mapping[str, object]]] = ..., commit: _Optional[_Union[Commit, _Mapping[str, object]]] = ..., pairs: _Optional[bytes] = ..., stop: _Optional[_Union[Stop, _Mapping[str, object]]] = ..., watch: _Optional[_Union[Watch, _Mapping[str, object]]] = ..., list: _Optional[_Union[ListRequest, _Mapping[str, object]]] = ..., attestations: _Optional[_Union[_verdictd_pb2.ListAttestationsResponse, _Mapping[str, object]]] = ..., figures_request: _Optional[_Union[FiguresRequest, _Mapping[str, object]]] = ..., figures: _Optional[_Union[Figures, _Mapping[str, object]]] = ..., find: _Optional[_Union[FindRequest, _Mapping[str, object]]] = ..., found: _Optional[_Union[Found, _Mapping[str, object]]] = ..., newer: _Optional[_Union[Item, _Mapping[str, object]]] = ..., concluded: _Optional[_Union[_verdictd_pb2.Attestation, _Mapping[str, object]]] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Failed(_message.Message):
    __slots__ = ("message", "remedy")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    message: str
    remedy: str
    def __init__(self, message: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class Prepare(_message.Message):
    __slots__ = ("settings", "roots")
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    settings: str
    roots: _containers.RepeatedCompositeFieldContainer[Root]
    def __init__(self, settings: _Optional[str] = ..., roots: _Optional[_Iterable[_Union[Root, _Mapping[str, object]]]] = ...) -> None: ...

class Root(_message.Message):
    __slots__ = ("der", "label")
    DER_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    der: bytes
    label: str
    def __init__(self, der: _Optional[bytes] = ..., label: _Optional[str] = ...) -> None: ...

class Commit(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Stop(_message.Message):
    __slots__ = ("grace_s",)
    GRACE_S_FIELD_NUMBER: _ClassVar[int]
    grace_s: float
    def __init__(self, grace_s: _Optional[float] = ...) -> None: ...

class Watch(_message.Message):
    __slots__ = ("is_on",)
    IS_ON_FIELD_NUMBER: _ClassVar[int]
    is_on: bool
    def __init__(self, is_on: _Optional[bool] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("id_prefix", "limit")
    ID_PREFIX_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    id_prefix: str
    limit: int
    def __init__(self, id_prefix: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class FiguresRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Figures(_message.Message):
    __slots__ = ("metrics",)
    METRICS_FIELD_NUMBER: _ClassVar[int]
    metrics: bytes
    def __init__(self, metrics: _Optional[bytes] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("raw", "is_from_peer")
    RAW_FIELD_NUMBER: _ClassVar[int]
    IS_FROM_PEER_FIELD_NUMBER: _ClassVar[int]
    raw: _collateral_pb2.RawCollateral
    is_from_peer: bool
    def __init__(self, raw: _Optional[_Union[_collateral_pb2.RawCollateral, _Mapping[str, object]]] = ..., is_from_peer: _Optional[bool] = ...) -> None: ...

class FindRequest(_message.Message):
    __slots__ = ("kind", "tee", "fmspc", "pck_ca", "seconds")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEE_FIELD_NUMBER: _ClassVar[int]
    FMSPC_FIELD_NUMBER: _ClassVar[int]
    PCK_CA_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    tee: str
    fmspc: bytes
    pck_ca: str
    seconds: float
    def __init__(self, kind: _Optional[str] = ..., tee: _Optional[str] = ..., fmspc: _Optional[bytes] = ..., pck_ca: _Optional[str] = ..., seconds: _Optional[float] = ...) -> None: ...

class Found(_message.Message):
    __slots__ = ("items", "reason")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Item]
    reason: str
    def __init__(self, items: _Optional[_Iterable[_Union[Item, _Mapping[str, object]]]] = ..., reason: _Optional[str] = ...) -> None: ...
