import re

import pytest

from tests.unit.policy.rego import ENGINE
from verdictd.core.errors import PolicyError
from verdictd.policy.engine import Dialect
from verdictd.policy.rego.builtins import ALLOWED, INSTEAD, REFUSED

FORBIDDEN_WORDS = re.compile(r"http|lookup|now|rand|runtime|env|file|exec|sleep|^print|schema|rfc4122")


@pytest.mark.parametrize("name", ALLOWED)
def test_engine_has_what_is_allowed_with_that_many_arguments(name: str) -> None:
    arguments = ", ".join(["null"] * 9)
    prepared = ENGINE.prepare(f"package policy\nallow := {name}({arguments})\n", Dialect.V1, "{}")
    plural = "" if ALLOWED[name] == 1 else "s"
    with pytest.raises(PolicyError, match=rf"`[\w.]+` expects {ALLOWED[name]} argument{plural}$"):
        prepared.evaluate("{}")


def test_nothing_allowed_sounds_like_a_side_effect() -> None:
    assert not [name for name in ALLOWED if FORBIDDEN_WORDS.search(name)]


def test_lists_do_not_overlap() -> None:
    assert not ALLOWED.keys() & REFUSED.keys()
    assert not INSTEAD.keys() & (ALLOWED.keys() | REFUSED.keys())
