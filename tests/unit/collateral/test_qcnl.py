import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.collateral.qcnl import DEFAULT_PATH, DEFAULT_PCCS_URL, load_qcnl, parse_qcnl
from verdictd.core.errors import ConfigError

ALIBABA = """# PCCS server address
PCCS_URL=https://sgx-dcap-server.cn-hangzhou.aliyuncs.com/sgx/certification/v3/
# To accept insecure HTTPS cert, set this option to FALSE
USE_SECURE_CERT=TRUE
"""
ALIBABA_VPC = (
    "# PCCS server address\n"
    "PCCS_URL=https://sgx-dcap-server-vpc.ap-southeast-5.aliyuncs.com/sgx/certification/v4/\r\n"
    "USE_SECURE_CERT=TRUE"
)
OLD_FULL = """
  # local cache
PCCS_URL = https://localhost:8081/sgx/certification/v3/
USE_SECURE_CERT = FALSE
COLLATERAL_SERVICE=https://collateral.example/sgx/certification/v4/
PCCS_API_VERSION=3.1
RETRY_TIMES= 6
RETRY_DELAY =10
LOCAL_PCK_URL=http://localhost:8081/sgx/certification/v3/
PCK_CACHE_EXPIRE_HOURS=168
VERIFY_COLLATERAL_CACHE_EXPIRE_HOURS=168
LOCAL_CACHE_ONLY=FALSE
"""
JSON_FULL = """\ufeff// keys are case sensitive
{
  // where the cache is
  "pccs_url": "https://pccs.example:8081/sgx/certification/v4/", // not the collateral
  /* a remark with a "string" and // a comment
     over lines */
  "use_secure_cert": true,
  "collateral_service": "https://api.trustedservices.intel.com/sgx/certification/v4/",
  "tcb_update_type": "early",
  "pccs_api_version": "3.1",
  "retry_times": 6,
  "retry_delay": 10,
  //"local_pck_url": "http://localhost:8081/sgx/certification/v4/",
  "pck_cache_expire_hours": 168,
  "verify_collateral_cache_expire_hours": 168.5,
  "local_cache_only": false
  ,"custom_request_options" : { "get_cert" : { "headers": { "head1": "value1" }, "params": { "param1": "value1" } } }
}
"""


def test_the_old_form_as_alibaba_documents_it() -> None:
    settings = parse_qcnl(ALIBABA.encode(), "qcnl.conf")
    assert settings.form == "KEY=VALUE"
    assert settings.pccs_url == "https://sgx-dcap-server.cn-hangzhou.aliyuncs.com/sgx/certification/v3/"
    assert settings.collateral_url == settings.pccs_url
    assert settings.use_secure_cert is True
    assert settings.ignored == ()
    assert settings.warnings == ()
    inside = parse_qcnl(ALIBABA_VPC.encode(), "qcnl.conf")
    assert inside.pccs_url == "https://sgx-dcap-server-vpc.ap-southeast-5.aliyuncs.com/sgx/certification/v4/"
    assert inside.use_secure_cert is True


def test_the_old_form_with_everything() -> None:
    settings = parse_qcnl(OLD_FULL.encode(), "qcnl.conf")
    assert settings.pccs_url == "https://localhost:8081/sgx/certification/v3/"
    assert settings.collateral_url == "https://collateral.example/sgx/certification/v4/"
    assert settings.use_secure_cert is False
    assert (settings.retry_times, settings.retry_delay) == (6, 10)
    assert settings.ignored == (
        "line 6, PCCS_API_VERSION: CRLs are read in whatever encoding they come",
        "line 9, LOCAL_PCK_URL: PCK certificates come with the evidence",
        "line 10, PCK_CACHE_EXPIRE_HOURS: PCK certificates come with the evidence",
        "line 11, VERIFY_COLLATERAL_CACHE_EXPIRE_HOURS: collateral is kept until it expires",
        "line 12, LOCAL_CACHE_ONLY: PCK certificates come with the evidence",
    )
    (warning,) = settings.warnings
    assert "switches off the check of the PCCS's TLS certificate" in warning


def test_the_json_form_with_everything() -> None:
    settings = parse_qcnl(JSON_FULL.encode(), "qcnl.conf")
    assert settings.form == "JSON"
    assert settings.pccs_url == "https://pccs.example:8081/sgx/certification/v4/"
    assert settings.collateral_url == "https://api.trustedservices.intel.com/sgx/certification/v4/"
    assert settings.use_secure_cert is True
    assert settings.tcb_update_type == "early"
    assert (settings.retry_times, settings.retry_delay) == (6, 10)
    assert [entry.split(":")[0] for entry in settings.ignored] == [
        "pccs_api_version",
        "pck_cache_expire_hours",
        "verify_collateral_cache_expire_hours",
        "local_cache_only",
        "custom_request_options",
    ]


@pytest.mark.parametrize(
    ("value", "secure"),
    [("FALSE", False), ("false", False), ("F A L S E", False)]
    + [(value, True) for value in ("TRUE", "true", "False", "0", "no", "OFF", "", "FALSE#comment", '"FALSE"')],
)
def test_only_false_in_one_case_switches_the_check_off(value: str, secure: bool) -> None:
    settings = parse_qcnl(f"PCCS_URL=https://h/\nUSE_SECURE_CERT={value}\n".encode(), "qcnl.conf")
    assert settings.use_secure_cert is secure
    is_said = any("only FALSE or false switches the check off" in entry for entry in settings.ignored)
    assert is_said is (value not in {"FALSE", "false", "TRUE", "true", "F A L S E"})


def test_json_switches_the_check_off_and_says_so_loudly() -> None:
    settings = parse_qcnl(b'{"pccs_url": "https://h/", "use_secure_cert": false}', "qcnl.conf")
    assert settings.use_secure_cert is False
    assert len(settings.warnings) == 1


def test_unknown_settings_are_listed() -> None:
    old = parse_qcnl(b"PCCS_URL=https://h/\nNEW_THING=1\npccs_url=https://other/\nnonsense\n", "qcnl.conf")
    assert old.pccs_url == "https://h/"
    assert old.ignored == ("line 2, NEW_THING: unknown", "line 3, pccs_url: unknown", "line 4, nonsense: not KEY=VALUE")
    new = parse_qcnl(b'{"pccs_url": "https://h/", "PCCS_URL": "https://other/", "x": [1, {"y": 2}]}', "qcnl.conf")
    assert new.pccs_url == "https://h/"
    assert new.ignored == ("PCCS_URL: unknown", "x: unknown")


@pytest.mark.parametrize("data", [b"", b"# nothing\n", b"{}", b'{"pccs_url": null}', b"PCCS_URL=\n"])
def test_a_file_that_names_no_pccs_stands_for_the_default_and_says_so(data: bytes) -> None:
    settings = parse_qcnl(data, "qcnl.conf")
    assert settings.collateral_url == DEFAULT_PCCS_URL
    assert settings.warnings == (f"qcnl.conf names no PCCS: {DEFAULT_PCCS_URL} is asked",)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('{\n  "pccs_url": "https://h/",\n  // last one\n  "retry_times": 6,\n}\n', 5, 1),  # a stray comma
        ('{\n  "pccs_url": "https://h/" /* here\n and here */ "retry_times": 6\n}', 3, 14),
        ('{\n  "pccs_url": "https://h/"\n', 3, 1),
        ('{"pccs_url": "https://h/"} // fine\n{', 2, 1),
        ("{'pccs_url': 'https://h/'}", 1, 2),
        ('{\n# a comment of the old form\n"pccs_url": "https://h/"}', 2, 1),
        ('{\n"pccs_url": "https://h/",\n/* never ends', 3, 1),
        ('{"pccs_url": "https://h/\n"}', 1, 25),
        ('{"pccs_url": "https://h/"} /*/', 1, 28),
        ('{"pccs_url": "https://h/"} /* "*', 1, 28),
    ],
)
def test_json_that_does_not_parse_is_an_error_with_its_place(text: str, line: int, column: int) -> None:
    with pytest.raises(ConfigError, match=f"^qcnl.conf, line {line}, column {column}: not JSON"):
        parse_qcnl(text.encode(), "qcnl.conf")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"use_secure_cert": "FALSE"}', "use_secure_cert is 'FALSE'"),
        (b'{"use_secure_cert": 0}', "use_secure_cert is 0"),
        (b'{"retry_times": "6"}', "retry_times is '6'"),
        (b'{"retry_times": true}', "retry_times is True"),
        (b'{"retry_times": -1}', "retry_times is -1"),
        (b'{"retry_times": -' + b"9" * 4000 + b"}", "retry_times is -9{59};"),
        (b'{"retry_delay": 1.5}', "retry_delay is 1.5"),
        (b'{"pccs_url": 5}', "pccs_url is 5"),
        (b'{"collateral_service": ["https://h/"]}', "collateral_service is"),
        (b'{"tcb_update_type": "all"}', "tcb_update_type is 'all'"),
        (b'{"pccs_url": "https://a/", "pccs_url": "https://b/"}', "holds 'pccs_url' twice"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"retry_times": ' + b"9" * 5000 + b"}", "holds a number that is too long"),
        (b"RETRY_TIMES=six\n", "line 1: RETRY_TIMES is 'six'"),
        (b"\nRETRY_DELAY=-1\n", "line 2: RETRY_DELAY is '-1'"),
        (b"TCB_UPDATE_TYPE=late\n", "line 1: TCB_UPDATE_TYPE is 'late'"),
        (b"PCCS_URL=https://h/\xff\n", "not text in UTF-8: byte 19"),
    ],
)
def test_values_that_cannot_be_used_are_errors(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_qcnl(data, "qcnl.conf")
    assert caught.value.remedy


def test_comments_inside_strings_are_text() -> None:
    settings = parse_qcnl(b'{"pccs_url": "https://h/a//b/*c*/\\"//", "x": 1} // https', "qcnl.conf")
    assert settings.pccs_url == 'https://h/a//b/*c*/"//'


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | st.text(max_size=100).map("{{{}".format).map(str.encode)
)
def test_any_bytes_are_settings_or_a_config_error(data: bytes) -> None:
    with suppress(ConfigError):
        assert parse_qcnl(data, "qcnl.conf").collateral_url


def test_the_environment_names_another_file(tmp_path: Path) -> None:
    path = tmp_path / "other.conf"
    path.write_text(ALIBABA)
    settings = load_qcnl({"QCNL_CONF_PATH": str(path)})
    assert settings is not None
    assert settings.where == str(path)
    assert settings.collateral_url.startswith("https://sgx-dcap-server.cn-hangzhou.")


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"QCNL_CONF_PATH names .*missing, which does not exist"):
        load_qcnl({"QCNL_CONF_PATH": str(tmp_path / "missing")})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_qcnl({"QCNL_CONF_PATH": str(tmp_path)})


def test_a_file_of_unreasonable_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load_qcnl({"QCNL_CONF_PATH": str(path)})


def test_without_a_name_the_default_file_is_read_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Path("/etc/sgx_default_qcnl.conf") == DEFAULT_PATH
    monkeypatch.setattr("verdictd.collateral.qcnl.DEFAULT_PATH", tmp_path / "qcnl.conf")
    assert load_qcnl({}) is None
    assert load_qcnl({"QCNL_CONF_PATH": ""}) is None
    (tmp_path / "qcnl.conf").write_text(ALIBABA_VPC)
    settings = load_qcnl({})
    assert settings is not None
    assert settings.where == str(tmp_path / "qcnl.conf")


@pytest.mark.parametrize(
    "data",
    [
        b'{"' + b'\\"' * 500_000,
        b"{" + b"/* " * 340_000,
        b"{" + b",".join(b'"%d":0' % number for number in range(80_000)) + b',"79999":0}',
    ],
    ids=["strings", "comments", "members"],
)
def test_the_time_a_file_takes_grows_no_faster_than_its_size(data: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(ConfigError):
        parse_qcnl(data, "qcnl.conf")
    assert time.monotonic() - started < 10
