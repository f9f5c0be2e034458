"""The notice: who may read it, and that it says what the session's own policy does."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from aggregator.risk.conditions import RULES
from api.notice import WORDS
from api.settings import ApiSettings
from proto.errors import BadSettings
from runtime.bus import Bus
from tests.support.api import a_policy_dir, assert_problem, create, running_api
from tests.support.views import a_view, store

KEYS = {"ingest": "i" * 24, "supervise": "s" * 24, "admin": "a" * 24}
KEYED = ApiSettings(keys=SecretStr(",".join(f"{role}:{key}" for role, key in KEYS.items())), settle_timeout_s=0)


def as_(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"} if credential else {}


async def notice(http: httpx.AsyncClient, session: str, credential: str = "") -> httpx.Response:
    return await http.get(f"/v1/sessions/{session}/notice", headers=as_(credential))


async def test_the_sessions_token_and_every_key_may_read_it(bus: Bus) -> None:
    async with running_api(bus, KEYED) as url, httpx.AsyncClient(base_url=url) as http:
        http.headers["authorization"] = f"Bearer {KEYS['admin']}"
        session, other = await create(http), await create(http)
        del http.headers["authorization"]
        for credential in (session["token"], *KEYS.values()):
            assert (await notice(http, session["id"], credential)).json()["session"] == session["id"]
        for credential in ("", "z" * 24, other["token"], session["token"] + "x"):
            answer = await notice(http, session["id"], credential)
            assert_problem(answer, 401)
            assert "www-authenticate" in answer.headers
        assert_problem(await notice(http, "unknown", KEYS["ingest"]), 404)
        assert_problem(await notice(http, "unknown"), 401)
        # The token opens this and nothing else of the session.
        answer = await http.get(f"/v1/sessions/{session['id']}", headers=as_(session["token"]))
        assert_problem(answer, 401)


async def test_without_keys_everybody_here_may_but_a_wrong_token_is_told(bus: Bus) -> None:
    async with running_api(bus) as url, httpx.AsyncClient(base_url=url) as http:
        session = await create(http)
        assert (await notice(http, session["id"])).status_code == 200
        assert (await notice(http, session["id"], session["token"])).status_code == 200
        assert_problem(await notice(http, session["id"], "z" * 24), 401)
        assert_problem(await notice(http, "unknown", session["token"]), 404)


async def test_it_says_what_each_policy_allows(bus: Bus) -> None:
    async with running_api(bus) as url, httpx.AsyncClient(base_url=url) as http:
        said = {
            name: (await notice(http, (await create(http, policy=name))["id"])).json()
            for name in ("standard", "full", "eu-recruitment")
        }
    assert [said[name]["policy"] for name in said] == list(said)
    assert {name: said[name]["analysis"]["emotion"] for name in said} == {
        "standard": False,
        "full": True,
        "eu-recruitment": False,
    }
    assert said["standard"]["analysis"] == {
        "fps": 5.0,
        "audio": True,
        "transcript": True,
        "emotion": False,
        "evidence": True,
        "objects": True,
        "identity": True,
        "text": True,
        "keep_text": False,
        "voices": True,
    }
    assert said["eu-recruitment"]["analysis"]["evidence"] is False
    assert [name for name in said if "signs of stress" in said[name]["rules"]] == ["full"]
    assert "a lost connection (noted, never counted)" in said["standard"]["rules"]
    assert any(rule.startswith("other objects in view: book,") for rule in said["standard"]["rules"])
    assert said["standard"]["description"].endswith("No emotion is inferred.")
    assert {item["retention_days"] for item in said.values()} == {bus.settings.log_retention_days}
    assert {item["status"] for item in said.values()} == {"created"}


async def test_what_a_policy_never_looks_for_is_not_said_to_be_noted(bus: Bus, tmp_path: Path) -> None:
    rules = "".join(
        f'[rules.{name}]\nseverity = "low"\nweight = 1\n'
        for name in ("PHONE_DETECTED", "SUSPICIOUS_OBJECT", "IDENTITY_MISMATCH", "TEXT_IN_VIEW", "NO_FACE")
    )
    faces = (
        f'name = "faces"\n[analysis]\nobjects_per_s = 0\nidentity_per_s = 0\ntext_per_s = 0\nkeep_text = true\n{rules}'
    )
    reader = f'name = "reader"\n[analysis]\nkeep_text = true\n{rules}'
    settings = ApiSettings(policy_dir=a_policy_dir(tmp_path / "policies", faces=faces, reader=reader))
    async with running_api(bus, settings) as url, httpx.AsyncClient(base_url=url) as http:
        some = (await notice(http, (await create(http, policy="faces"))["id"])).json()
        more = (await notice(http, (await create(http, policy="reader"))["id"])).json()
    assert some["rules"] == ["nobody in view"]
    assert not any(some["analysis"][name] for name in ("objects", "identity", "text", "keep_text"))
    assert more["rules"][:2] == ["a phone in view", "other objects in view"]
    assert "a face unlike the reference picture, if one is registered" in more["rules"]
    assert more["analysis"]["keep_text"] is True


async def test_without_sound_nothing_is_said_to_be_heard(bus: Bus, tmp_path: Path) -> None:
    quiet = """
    name = "quiet"
    [analysis]
    audio = false
    [rules.WHISPERING]
    severity = "low"
    weight = 1
    [rules.LOOKING_AWAY]
    severity = "low"
    weight = 1
    [rules.NO_FACE]
    severity = "low"
    weight = 1
    enabled = false
    """
    settings = ApiSettings(policy_dir=a_policy_dir(tmp_path / "policies", quiet=quiet))
    async with running_api(bus, settings) as url, httpx.AsyncClient(base_url=url) as http:
        said = (await notice(http, (await create(http, policy="quiet"))["id"])).json()
    assert said["analysis"]["transcript"] is False
    assert said["rules"] == ["a head that stays turned away"]


async def test_voices_that_are_not_told_apart_are_not_said_to_be(bus: Bus, tmp_path: Path) -> None:
    rules = "".join(f'[rules.{name}]\nseverity = "low"\nweight = 1\n' for name in ("SECOND_VOICE", "WHISPERING"))
    alike = f'name = "alike"\n[analysis]\nvoices = false\n{rules}'
    settings = ApiSettings(policy_dir=a_policy_dir(tmp_path / "policies", alike=alike))
    async with running_api(bus, settings) as url, httpx.AsyncClient(base_url=url) as http:
        said = (await notice(http, (await create(http, policy="alike"))["id"])).json()
    assert said["analysis"]["voices"] is False
    assert said["rules"] == ["whispering"]


async def test_a_session_that_is_over_says_so(bus: Bus) -> None:
    async with running_api(bus, KEYED) as url, httpx.AsyncClient(base_url=url) as http:
        http.headers["authorization"] = f"Bearer {KEYS['admin']}"
        # Nobody folds here: the log alone says that it ended.
        session = await create(http)
        await http.post(f"/v1/sessions/{session['id']}/end")
        assert (await notice(http, session["id"], session["token"])).json()["status"] == "ended"
        expired = await create(http)
        await store(bus, a_view(expired["id"], 7, status="expired"))
        assert (await notice(http, expired["id"], expired["token"])).json()["status"] == "expired"
        await http.delete(f"/v1/sessions/{session['id']}")
        assert_problem(await notice(http, session["id"], session["token"]), 404)


def test_every_rule_has_words() -> None:
    assert set(WORDS) == set(RULES)
    assert {name for name, (_, need) in WORDS.items() if need == "emotion"} == {
        name for name, spec in RULES.items() if spec.needs == "emotion"
    }


@pytest.mark.parametrize("half", [{"turn_username": "u"}, {"turn_password": SecretStr("secret-word")}])
async def test_half_of_turns_credentials_is_told(bus: Bus, half: dict[str, object]) -> None:
    with pytest.raises(BadSettings, match="TURN_USERNAME and CANDOR_API_TURN_PASSWORD") as caught:
        async with running_api(bus, ApiSettings(**half)):  # type: ignore[arg-type]
            pass
    assert "secret-word" not in str(caught.value)
