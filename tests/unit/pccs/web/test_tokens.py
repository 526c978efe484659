"""Who may do what."""

import hmac
from typing import Any

import pytest

from tests.unit.pccs.web.desk import ADMIN, ADMIN_HEADERS, TOKENS, USER, USER_HEADERS, V4, Desk
from verdictd.core.errors import ConfigError
from verdictd.pccs.web.http.tokens import TokenHashes


@pytest.mark.parametrize(
    "headers",
    [{}, {"admin-token": ""}, {"admin-token": USER}, {"user-token": ADMIN}, {"admin-token": ADMIN + " "}],
)
def test_administrators_alone_may_refresh(headers: dict[str, str]) -> None:
    desk = Desk()
    assert desk.ask("POST", f"{V4}/refresh", headers).status == 401
    assert desk.collateral.refreshes == 0


def test_an_administrator_is_no_user() -> None:
    assert Desk().ask("POST", f"{V4}/platforms", {"user-token": ADMIN} | ADMIN_HEADERS, b"{}").status == 401
    assert Desk().ask("POST", f"{V4}/platforms", USER_HEADERS, b"{}").status == 400


def test_nobody_may_where_no_token_is_set_up() -> None:
    empty = {"admin-token": ""}
    for headers in (ADMIN_HEADERS, empty):
        reply = Desk(tokens=TokenHashes()).ask("POST", f"{V4}/refresh", headers)
        assert (reply.status, reply.text) == (401, "Authentication failed.")
        assert "no admin token is set up" in reply.headers["error-message"]


def test_hashes_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Any, Any]] = []
    compare_digest = hmac.compare_digest

    def compare(first: str, second: str) -> bool:
        compared.append((first, second))
        return compare_digest(first, second)

    monkeypatch.setattr("verdictd.pccs.web.http.tokens.hmac.compare_digest", compare)
    desk = Desk()
    for token in (ADMIN, "wrong"):
        desk.ask("POST", f"{V4}/refresh", {"admin-token": token})
    assert [second for _, second in compared] == [TOKENS.admin.lower()] * 2
    assert [len(first) for first, _ in compared] == [128, 128]


@pytest.mark.parametrize("text", ["ab", "g" * 128, "a" * 129])
def test_a_hash_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="128 hex digits"):
        TokenHashes(admin=text)


def test_hashes_are_not_shown() -> None:
    assert TOKENS.user not in repr(TOKENS)
