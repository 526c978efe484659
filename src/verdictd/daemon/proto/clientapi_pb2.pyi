from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class SetOpaPolicyRequest(_message.Message):
    __slots__ = ("name", "content")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    content: bytes
    def __init__(self, name: _Optional[bytes] = ..., content: _Optional[bytes] = ...) -> None: ...

class SetOpaPolicyResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: bytes
    def __init__(self, status: _Optional[bytes] = ...) -> None: ...

class SetOpaReferenceRequest(_message.Message):
    __slots__ = ("name", "content")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    content: bytes
    def __init__(self, name: _Optional[bytes] = ..., content: _Optional[bytes] = ...) -> None: ...

class SetOpaReferenceResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: bytes
    def __init__(self, status: _Optional[bytes] = ...) -> None: ...

class ExportOpaPolicyRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    def __init__(self, name: _Optional[bytes] = ...) -> None: ...

class ExportOpaPolicyResponse(_message.Message):
    __slots__ = ("status", "content")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    status: bytes
    content: bytes
    def __init__(self, status: _Optional[bytes] = ..., content: _Optional[bytes] = ...) -> None: ...

class ExportOpaReferenceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    def __init__(self, name: _Optional[bytes] = ...) -> None: ...

class ExportOpaReferenceResponse(_message.Message):
    __slots__ = ("status", "content")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    status: bytes
    content: bytes
    def __init__(self, status: _Optional[bytes] = ..., content: _Optional[bytes] = ...) -> None: ...

class TestOpaRequest(_message.Message):
    __slots__ = ("policyname", "policycontent", "policylocal", "referencename", "referencecontent", "referencelocal", "input")
    POLICYNAME_FIELD_NUMBER: _ClassVar[int]
    POLICYCONTENT_FIELD_NUMBER: _ClassVar[int]
    POLICYLOCAL_FIELD_NUMBER: _ClassVar[int]
    REFERENCENAME_FIELD_NUMBER: _ClassVar[int]
    REFERENCECONTENT_FIELD_NUMBER: _ClassVar[int]
    REFERENCELOCAL_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    policyname: bytes
    policycontent: bytes
    policylocal: bool
    referencename: bytes
    referencecontent: bytes
    referencelocal: bool
    input: bytes
    def __init__(self, policyname: _Optional[bytes] = ..., policycontent: _Optional[bytes] = ..., policylocal: _Optional[bool] = ..., referencename: _Optional[bytes] = ..., referencecontent: _Optional[bytes] = ..., referencelocal: _Optional[bool] = ..., input: _Optional[bytes] = ...) -> None: ...

class TestOpaResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: bytes
    def __init__(self, status: _Optional[bytes] = ...) -> None: ...
