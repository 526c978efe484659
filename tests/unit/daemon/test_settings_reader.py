"""Files and flags become settings; what is wrong is named where it stands; what is written is read back."""

import tomllib
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.appraisal.verifiers import NULL_VERIFIER, VerifierName, name_verifiers
from verdictd.configuration.address import Address
from verdictd.configuration.layers import MAX_CONFIG_FILE_BYTES
from verdictd.configuration.log_choice import LogFormat, LogLevel
from verdictd.core.errors import ConfigError, LimitExceededError
from verdictd.daemon.guest_settings import GuestSettings
from verdictd.daemon.settings import ArchiveSettings, AttesterName, CollateralSettings, CryptoName, Settings, TLSName
from verdictd.daemon.settings_address import UnixAddress
from verdictd.daemon.settings_fields import FIELDS
from verdictd.daemon.settings_reader import (
    FORM,
    build_settings,
    encode_settings,
    needs_restart,
    plain_values,
)
from verdictd.ratstls.evidence import CertificateFormat
from verdictd.ratstls.limits import ServerLimits
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, Acceptance, TCBStatus

BASE = Path("/etc/verdictd")


def _parse(text: str) -> dict[str, object]:
    return FORM.parse_file(text.encode(), name="v.toml", base=BASE)


def _settings(text: str) -> Settings:
    return build_settings({"mutual": True}, _parse(text))


def test_every_field_of_the_settings_has_a_key_and_every_key_a_field() -> None:
    def keys(kind: type, table: str = "") -> set[str]:
        names = {"max_collateral_age": "max_collateral_age_days", "max_age": "max_age_days"}
        return {f"{table}{names.get(field.name, field.name)}" for field in fields(kind)}

    tables = {
        "acceptance": Acceptance,
        "collateral": CollateralSettings,
        "archive": ArchiveSettings,
        "guests": GuestSettings,
        "limits": ServerLimits,
    }
    expected = keys(Settings) - tables.keys()
    expected |= {key for table, kind in tables.items() for key in keys(kind, f"{table}.")}
    assert set(FIELDS) == expected


def test_a_file_of_everything_is_read() -> None:
    settings = _settings(
        """
        listen = "0.0.0.0:1111"
        client_api = "unix:/run/v.sock"
        tls = "openssl"
        crypto = "openssl"
        attester = "sgx_ecdsa"
        verifier = "sgx_ecdsa_qve"
        mutual = true
        data_dir = "data"
        trust_roots = ["intel", "sim.pem", "/abs.pem"]
        allow_any_enclave = true
        certificate_format = "interoperable"
        endorsements = true
        quote_command = "quoter --now"
        attestation_history = 7
        log_level = "debug"
        log_format = "json"
        [acceptance]
        tcb_statuses = ["UpToDate", "OutOfDate"]
        allow_debug = true
        allow_expired_collateral = true
        denied_advisories = ["intel-sa-00615"]
        min_evaluation_data_number = 17
        max_collateral_age_days = 30
        [collateral]
        source = "dir"
        pccs_url = "https://localhost:8081/sgx/certification/v4/"
        [limits]
        max_connections = 2
        handshake_threads = 3
        handshake_timeout_s = 4
        idle_timeout_s = 5.5
        write_timeout_s = 6.0
        farewell_timeout_s = 0.5
        """
    )
    assert settings == Settings(
        listen=Address("0.0.0.0", 1111),  # noqa: S104 - it is only read
        client_api=UnixAddress(Path("/run/v.sock")),
        attester=AttesterName.SGX_ECDSA,
        verifier=name_verifiers(VerifierName.SGX_ECDSA_QVE),
        mutual=True,
        data_dir=BASE / "data",
        trust_roots=("intel", "/etc/verdictd/sim.pem", "/abs.pem"),
        allow_any_enclave=True,
        endorsements=True,
        quote_command="quoter --now",
        attestation_history=7,
        log_level=LogLevel.DEBUG,
        log_format=LogFormat.JSON,
        acceptance=Acceptance(
            tcb_statuses=frozenset({TCBStatus.UP_TO_DATE, TCBStatus.OUT_OF_DATE}),
            allow_debug=True,
            allow_expired_collateral=True,
            denied_advisories=frozenset({"INTEL-SA-00615"}),
            min_evaluation_data_number=17,
            max_collateral_age=timedelta(days=30),
        ),
        collateral=CollateralSettings(
            source="/etc/verdictd/dir", pccs_url="https://localhost:8081/sgx/certification/v4/"
        ),
        limits=ServerLimits(
            max_connections=2,
            handshake_threads=3,
            handshake_timeout_s=4.0,
            idle_timeout_s=5.5,
            write_timeout_s=6.0,
            farewell_timeout_s=0.5,
        ),
    )


def test_an_empty_file_changes_nothing() -> None:
    assert build_settings({"mutual": True}, _parse("")) == Settings(mutual=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"any"', ANY_STATUS_BUT_REVOKED),
        ('["any"]', ANY_STATUS_BUT_REVOKED),
        ('"OutOfDate, UpToDate"', {TCBStatus.OUT_OF_DATE, TCBStatus.UP_TO_DATE}),
        ('["Revoked"]', {TCBStatus.REVOKED}),
        ('["UpToDate,OutOfDate", "SWHardeningNeeded"]',
         {TCBStatus.UP_TO_DATE, TCBStatus.OUT_OF_DATE, TCBStatus.SW_HARDENING_NEEDED}),
    ],
)  # fmt: skip
def test_tcb_statuses_come_as_lists_or_with_commas(text: str, expected: frozenset[TCBStatus]) -> None:
    assert _settings(f"[acceptance]\ntcb_statuses = {text}").acceptance.tcb_statuses == expected


def test_any_never_means_revoked() -> None:
    assert TCBStatus.REVOKED not in _settings('[acceptance]\ntcb_statuses = "any"').acceptance.tcb_statuses


def test_no_denied_advisory_can_be_said() -> None:
    assert _settings("[acceptance]\ndenied_advisories = []").acceptance.denied_advisories == frozenset()


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ('lisen = "x:1"', "v.toml: lisen", "unknown setting (did you mean listen?)"),
        ("[acceptance]\nallow_debg = true", "v.toml: acceptance.allow_debg", "did you mean acceptance.allow_debug?"),
        ("[acceptence]\nallow_debug = true", "v.toml: acceptence", "unknown setting"),
        ("[limits.more]\na = 1", "v.toml: limits.more", "unknown setting"),
        ("acceptance = true", "v.toml: acceptance", "expected the table [acceptance]"),
        ("[[limits]]\nmax_connections = 1", "v.toml: limits", "expected the table [limits]"),
        ('"acceptance.allow_debug" = true', "v.toml: acceptance.allow_debug", "unknown setting"),
        ("listen = 1234", "v.toml: listen", "expected a text, found 1234"),
        ('listen = "1234"', "v.toml: listen", "is not an address"),
        ('listen = ""', "v.toml: listen", "neither empty"),
        ('data_dir = "a\\u0000b"', "v.toml: data_dir", "NUL"),
        ('mutual = "yes"', "v.toml: mutual", "expected true or false, found the text 'yes'"),
        ("mutual = 1", "v.toml: mutual", "expected true or false, found 1"),
        ('tls = "gnutls"', "v.toml: tls", "'gnutls' is unknown; use one of openssl, nulltls"),
        ('attester = "sgx_la"', "v.toml: attester", "'sgx_la' is not implemented"),
        ('verifier = "SGX_ECDSA"', "v.toml: verifier", "is unknown"),
        ("[guests]\namd_roots = []", "v.toml: guests.amd_roots", "at least one root"),
        ('[guests]\namd_certificates = "ftp://amd"', "v.toml: guests.amd_certificates", "URL of another kind"),
        ('[guests]\naccept_unbound_evidence = ["csv"]', "v.toml: guests.accept_unbound_evidence", "csv: no kind of"),
        ("[guests]\nvmpls = [4]", "v.toml: guests.vmpls", "from 0 to 3"),
        ("[guests]\nvmpls = []", "v.toml: guests.vmpls", "at least one privilege level"),
        ("[guests]\nvmpls = [true]", "v.toml: guests.vmpls", "found true"),
        ('[guests]\nmin_tcb = ["Rome:snp=1"]', "v.toml: guests.min_tcb", "no TCB of a product"),
        ('[guests]\nmin_tcb = ["Milan"]', "v.toml: guests.min_tcb", "no TCB of a product"),
        ('[guests]\nmin_tcb = ["Milan:fmc=1"]', "v.toml: guests.min_tcb", "no TCB of Milan"),
        ('[guests]\nmin_tcb = ["Milan:snp=256"]', "v.toml: guests.min_tcb", "no TCB of Milan"),
        ('[guests]\nmin_tcb = ["Milan:snp=1,snp=2"]', "v.toml: guests.min_tcb", "no TCB of Milan"),
        ('[guests]\nmin_tcb = ["Milan:snp=1", "Milan:tee=2"]', "v.toml: guests.min_tcb", "two lowest TCBs"),
        ('[guests]\nrequired_mitigations = "many"', "v.toml: guests.required_mitigations", "no number such as 0x3"),
        ("[guests]\nrequired_mitigations = -1", "v.toml: guests.required_mitigations", "from 0"),
        ('[guests]\nmin_csv_firmware = "1"', "v.toml: guests.min_csv_firmware", "no API version"),
        ('trust_roots = "intel"', "v.toml: trust_roots", "expected a list of texts, found the text 'intel'"),
        ("trust_roots = []", "v.toml: trust_roots", "at least one trust root"),
        ("trust_roots = [1]", "v.toml: trust_roots", "expected a text, found 1"),
        ("trust_roots = {a = 1}", "v.toml: trust_roots", "found a table"),
        ("attestation_history = 0", "v.toml: attestation_history", "from 1 to"),
        ("attestation_history = true", "v.toml: attestation_history", "found true"),
        ("attestation_history = 1.5", "v.toml: attestation_history", "whole number"),
        ("attestation_history = [1]", "v.toml: attestation_history", "found a list"),
        ("listen = 2026-01-01", "v.toml: listen", "found 2026-01-01"),
        ("[acceptance]\ntcb_statuses = []", "v.toml: acceptance.tcb_statuses", "at least one TCB status"),
        ('[acceptance]\ntcb_statuses = ["uptodate"]', "v.toml: acceptance.tcb_statuses", "did you mean UpToDate?"),
        ('[acceptance]\ntcb_statuses = ["any", "Revoked"]', "v.toml: acceptance.tcb_statuses", "stands alone"),
        ('[acceptance]\ntcb_statuses = ""', "v.toml: acceptance.tcb_statuses", "is no TCB status"),
        ('[acceptance]\ndenied_advisories = ["SA-615"]', "v.toml: acceptance.denied_advisories", "INTEL-SA-00615"),
        ("[acceptance]\nmin_evaluation_data_number = -1", "acceptance.min_evaluation_data_number", "from 0"),
        ("[acceptance]\nmax_collateral_age_days = 0", "acceptance.max_collateral_age_days", "from 1 to 36500"),
        ('[collateral]\npccs_url = "localhost:8081"', "v.toml: collateral.pccs_url", "URL"),
        (
            '[collateral]\npccs_url = "https://pccs/sgx/certification/v2/"',
            "v.toml: collateral.pccs_url",
            "API version 2",
        ),
        ('[collateral]\nsource = "https://pccs/elsewhere"', "v.toml: collateral.source", "/sgx/certification/v4/"),
        ('[collateral]\nsource = "ftp://x/y"', "v.toml: collateral.source", "URL of another kind"),
        ('[collateral]\nalibaba_region = "evil.com/#"', "v.toml: collateral.alibaba_region", "region"),
        ("[limits]\nidle_timeout_s = 0", "v.toml: limits.idle_timeout_s", "above 0"),
        ("[limits]\nidle_timeout_s = inf", "v.toml: limits.idle_timeout_s", "above 0"),
        ("[limits]\nidle_timeout_s = nan", "v.toml: limits.idle_timeout_s", "above 0"),
        ("[limits]\nidle_timeout_s = true", "v.toml: limits.idle_timeout_s", "above 0"),
        ("[limits]\nhandshake_threads = 1000000", "v.toml: limits.handshake_threads", "from 1 to 256"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(text: str, where: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _parse(text)
    assert where in str(caught.value)
    assert why in str(caught.value)


def test_a_password_in_a_url_is_not_repeated() -> None:
    for url in (
        "https://user:hunter2@pccs/",
        "ftp://user:hunter2@pccs/",
        "https://user:hunter2@[pccs/",
        "https://x y@z/",
    ):
        for key in ("pccs_url", "source"):
            with pytest.raises(ConfigError) as caught:
                _parse(f'[collateral]\n{key} = "{url}"')
            assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("data", [b"listen", b"a = 1\na = 2", b"a = '\xff'", b"a = " + b"[" * 5000])
def test_what_is_no_toml_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match=r"v\.toml is not TOML"):
        FORM.parse_file(data, name="v.toml", base=BASE)


@given(st.binary(max_size=60) | st.text('[]."=\n abmutal123', max_size=60).map(str.encode))
def test_any_file_gives_settings_or_our_error(data: bytes) -> None:
    try:
        FORM.parse_file(data, name="v.toml", base=BASE)
    except ConfigError as error:
        assert str(error).startswith("v.toml")  # noqa: PT017 - an error is one of two good outcomes


def test_a_file_that_is_not_there_or_too_long_is_named(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    with pytest.raises(ConfigError, match=r"v\.toml cannot be read: No such file"):
        FORM.load_file(path)
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        FORM.load_file(tmp_path)
    path.write_bytes(b"#" * (MAX_CONFIG_FILE_BYTES + 1))
    with pytest.raises(LimitExceededError):
        FORM.load_file(path)
    path.write_bytes(b"#" * MAX_CONFIG_FILE_BYTES)
    assert FORM.load_file(path) == {}


def test_relative_paths_are_relative_to_the_files_directory(tmp_path: Path) -> None:
    (tmp_path / "v.toml").write_text('data_dir = "data"\ntrust_roots = ["sim/root.pem"]')
    assert FORM.load_file(tmp_path / "v.toml") == {
        "data_dir": tmp_path / "data",
        "trust_roots": (f"{tmp_path}/sim/root.pem",),
    }


def test_a_later_layer_replaces_whole_values_and_leaves_the_rest() -> None:
    file = _parse('mutual = true\ntrust_roots = ["a.pem"]\n[acceptance]\nallow_debug = true\ntcb_statuses = "any"')
    settings = build_settings(
        file, {"trust_roots": ("intel",), "acceptance.tcb_statuses": frozenset({TCBStatus.UP_TO_DATE})}
    )
    assert settings.trust_roots == ("intel",)
    assert settings.acceptance == Acceptance(allow_debug=True)


@pytest.mark.parametrize(
    ("file", "flag", "expected"),
    [
        (
            '[collateral]\nalibaba_region = "cn-hangzhou"\nalibaba_vpc = true',
            {"collateral.pccs_url": "https://pccs/"},
            CollateralSettings(pccs_url="https://pccs/"),
        ),
        (
            '[collateral]\npccs_url = "https://pccs/"\nsource = "/d"',
            {"collateral.alibaba_region": "cn-beijing"},
            CollateralSettings(alibaba_region="cn-beijing", source="/d"),
        ),
    ],
)
def test_a_flag_that_names_a_pccs_replaces_whichever_the_file_named(
    file: str, flag: dict[str, object], expected: CollateralSettings
) -> None:
    assert build_settings({"mutual": True}, _parse(file), flag).collateral == expected


def test_a_flag_that_names_a_source_of_quotes_replaces_the_files() -> None:
    file = _parse('mutual = true\nattester = "sgx_ecdsa"\nsimulate = "sim"')
    settings = build_settings(file, {"quote_command": "quoter"})
    assert (settings.simulate, settings.quote_command) == (None, "quoter")
    back = build_settings(
        _parse('mutual = true\nattester = "sgx_ecdsa"\nquote_command = "quoter"'), {"simulate": Path("other")}
    )
    assert (back.simulate, back.quote_command) == (Path("other"), None)


def test_two_that_exclude_each_other_in_one_file_are_refused() -> None:
    with pytest.raises(ConfigError, match="two PCCS"):
        _settings('[collateral]\npccs_url = "https://pccs/"\nalibaba_region = "cn-hangzhou"')


def test_settings_that_would_serve_anyone_are_refused_when_put_together() -> None:
    with pytest.raises(ConfigError, match="without mutual"):
        build_settings(_parse('verifier = "sgx_ecdsa"'))


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
judging = [name for name in VerifierName if name is not VerifierName.NULL]
verifiers_strategy = st.just(NULL_VERIFIER) | st.lists(st.sampled_from(judging), min_size=1).map(
    lambda names: name_verifiers(*names)
)
settings_strategy = st.builds(
    Settings,
    listen=st.builds(Address, st.ip_addresses().map(str), st.integers(0, 65535)),
    client_api=st.builds(Address, st.ip_addresses(network="127.0.0.0/8").map(str), st.integers(0, 65535)),
    verifier=verifiers_strategy,
    mutual=st.just(True),
    tls=st.just(TLSName.OPENSSL),
    crypto=st.just(CryptoName.OPENSSL),
    attester=st.just(AttesterName.SGX_ECDSA),
    certificate_format=st.just(CertificateFormat.INTEROPERABLE),
    endorsements=st.booleans(),
    quote_command=names,
    simulate=st.none(),
    data_dir=names.map(lambda name: Path("/data") / name.replace("/", "x")),
    trust_roots=st.lists(
        names.map(lambda name: str(Path(f"/roots/{name.replace('/', 'x')}"))), min_size=1, max_size=3
    ).map(tuple),
    allow_any_enclave=st.booleans(),
    attestation_history=st.integers(1, 10**6),
    log_level=st.sampled_from(LogLevel),
    log_format=st.sampled_from(LogFormat),
    acceptance=st.builds(
        Acceptance,
        tcb_statuses=st.frozensets(st.sampled_from(TCBStatus), min_size=1),
        allow_debug=st.booleans(),
        allow_expired_collateral=st.booleans(),
        denied_advisories=st.frozensets(st.from_regex(r"INTEL-SA-[0-9]{5}", fullmatch=True), max_size=3),
        min_evaluation_data_number=st.integers(0, 2**32 - 1),
        max_collateral_age=st.none() | st.integers(1, 36500).map(lambda days: timedelta(days=days)),
    ),
    collateral=st.builds(
        CollateralSettings,
        source=st.none() | names.map(lambda name: str(Path(f"/collateral/{name.replace('/', 'x')}"))),
        pccs_url=st.none() | st.just("https://pccs.example:8081/sgx/certification/v4/"),
        alibaba_region=st.none(),
        alibaba_vpc=st.just(value=False),
    ),
    limits=st.builds(
        ServerLimits,
        max_connections=st.integers(1, 1000),
        handshake_threads=st.integers(1, 256),
        **dict.fromkeys(
            ("handshake_timeout_s", "idle_timeout_s", "write_timeout_s", "farewell_timeout_s"),
            st.floats(0, 86400, exclude_min=True),
        ),
    ),
)


@given(settings_strategy)
def test_what_check_config_prints_is_a_file_that_means_the_same(settings: Settings) -> None:
    assert build_settings(_parse(encode_settings(settings))) == settings


def test_what_check_config_prints_is_toml_with_every_setting_that_is_set() -> None:
    settings = Settings(mutual=True)
    document = tomllib.loads(encode_settings(settings))
    assert document["listen"] == "127.0.0.1:1234"
    assert document["acceptance"] == {
        "tcb_statuses": ["UpToDate"],
        "allow_debug": False,
        "allow_expired_collateral": False,
        "denied_advisories": [],
        "min_evaluation_data_number": 0,
    }
    assert set(FIELDS) - plain_values(settings).keys() == {
        "verifier",
        "quote_command",
        "simulate",
        "metrics",
        "acceptance.max_collateral_age_days",
        "otlp_endpoint",
        "collateral.source",
        "collateral.pccs_url",
        "collateral.alibaba_region",
        "guests.amd_certificates",
        "guests.sev_certificates",
        "guests.hygon_certificates",
    }


def test_what_a_running_daemon_cannot_take_up_is_named() -> None:
    old = Settings(mutual=True)
    new = build_settings(
        {"mutual": True, "data_dir": Path("/d"), "limits.max_connections": 1, "acceptance.allow_debug": True}
    )
    assert needs_restart(old, new) == ("data_dir", "limits.max_connections")
    assert needs_restart(old, old) == ()
