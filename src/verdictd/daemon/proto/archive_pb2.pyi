from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetArchivedRequest(_message.Message):
    __slots__ = ("id_prefix", "number")
    ID_PREFIX_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    id_prefix: str
    number: int
    def __init__(self, id_prefix: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class ListArchivedRequest(_message.Message):
    __slots__ = ("last", "roles")
    LAST_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    last: int
    roles: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, last: _Optional[int] = ..., roles: _Optional[_Iterable[str]] = ...) -> None: ...

class ArchivedAttestation(_message.Message):
    __slots__ = ("entry_json", "blobs")
    ENTRY_JSON_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    entry_json: bytes
    blobs: _containers.RepeatedCompositeFieldContainer[ArchivedBlob]
    def __init__(self, entry_json: _Optional[bytes] = ..., blobs: _Optional[_Iterable[_Union[ArchivedBlob, _Mapping[str, object]]]] = ...) -> None: ...

class ArchivedBlob(_message.Message):
    __slots__ = ("role", "content")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    role: str
    content: bytes
    def __init__(self, role: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...
