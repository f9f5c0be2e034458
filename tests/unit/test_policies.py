"""The policies that are shipped: whole, parsable, with the weights that were promised."""

from __future__ import annotations

import pytest

from aggregator.risk.conditions import RULES
from proto import policy
from proto.errors import BadPolicy
from proto.policy import Policy
from tests.support.observed import POLICIES, Folded, calm, frame, span

NAMES = ["standard", "full", "eu-recruitment"]

TABLE = {
    "PHONE_DETECTED": ("critical", 30), "PHONE_PARTIAL_DETECTED": ("high", 20), "MULTIPLE_FACES": ("critical", 25),
    "EYES_OFF_SCREEN": ("high", 15), "LOOKING_AWAY": ("medium", 10), "NO_FACE": ("high", 20),
    "SUSPICIOUS_OBJECT": ("medium", 15), "WHISPERING": ("medium", 10), "READING_PATTERN": ("medium", 12),
    "STRESS_HIGH": ("low", 5), "SECOND_VOICE": ("medium", 10), "IDENTITY_MISMATCH": ("critical", 25),
    "TEXT_IN_VIEW": ("info", 0), "VOICE_NOT_FROM_FACE": ("info", 0), "SOURCE_LOST": ("info", 0),
}  # fmt: skip


def load(name: str) -> Policy:
    return policy.parse((POLICIES / f"{name}.toml").read_text("utf-8"))


def test_these_are_all():
    assert sorted(path.stem for path in POLICIES.glob("*.toml")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_weights_and_severities_are_those_of_the_table(name):
    loaded = load(name)
    assert loaded.name == name
    assert {rule: (r.severity, r.weight) for rule, r in loaded.rules.items()} == TABLE
    assert set(loaded.rules) == set(RULES)


@pytest.mark.parametrize("name", NAMES)
def test_every_threshold_has_hysteresis_and_every_measured_rule_a_hold(name):
    for rule_name, rule in load(name).rules.items():
        if rule.exit is not None:
            assert rule.enter is not None
            assert rule.exit < rule.enter, rule_name
        if not RULES[rule_name].at_once:
            assert rule.hold_s > 0, rule_name


def test_emotion_is_allowed_only_where_everything_is():
    assert {name: load(name).analysis.emotion for name in NAMES} == {
        "standard": False, "full": True, "eu-recruitment": False,
    }  # fmt: skip
    assert not load("eu-recruitment").rules["STRESS_HIGH"].enabled
    assert load("eu-recruitment").analysis.expression_per_s == 0


@pytest.mark.parametrize("name", NAMES)
def test_two_looks_see_a_phone_and_one_does_not(name):
    loaded = load(name)
    period_s = 1 / loaded.analysis.objects_per_s
    whole, part = loaded.rules["PHONE_DETECTED"], loaded.rules["PHONE_PARTIAL_DETECTED"]
    # Two looks lie within a second of a phone's appearance wherever the grid is, and what is whole wins.
    assert 0 < whole.hold_s < period_s
    assert 2 * period_s <= 1.0
    assert whole.hold_s < part.hold_s < 2 * period_s
    assert part.enter is not None
    assert whole.enter is not None
    assert part.enter < whole.enter
    assert whole.labels == part.labels


@pytest.mark.parametrize("name", NAMES)
def test_words_in_the_picture_are_not_kept_unless_somebody_says_so(name):
    assert not load(name).analysis.keep_text


def test_the_european_policy_is_never_stricter():
    standard, european = load("standard"), load("eu-recruitment")
    assert european.review_at > standard.review_at
    assert european.half_life_s < standard.half_life_s
    assert not european.analysis.evidence
    for name, rule in european.rules.items():
        other = standard.rules[name]
        assert rule.hold_s >= other.hold_s, name
        assert rule.cooldown_s >= other.cooldown_s, name
        assert (rule.enter or 0) >= (other.enter or 0), name
        assert (rule.count or 0) >= (other.count or 0), name


def test_a_shorter_lapse_counts_only_where_the_policy_says_so():
    lapse = [*calm(0.0, 2.0), *(frame(t) for t in span(2.0, 5.0)), *calm(5.0, 9.0)]
    counted = {name: Folded(lapse, (POLICIES / f"{name}.toml").read_text("utf-8")).rules for name in NAMES}
    assert counted == {"standard": ["NO_FACE"], "full": ["NO_FACE"], "eu-recruitment": []}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("half_life_s = inf", "policy.half_life_s"),
        ("medium_at = inf\nhigh_at = inf\ncritical_at = inf", "policy.medium_at"),
        ('[rules.NO_FACE]\nseverity = "high"\nweight = 5\nenter = nan', "policy.rules.NO_FACE.enter"),
        ('[rules.NO_FACE]\nseverity = "high"\nweight = 5\nhold_s = inf', "policy.rules.NO_FACE.hold_s"),
    ],
)
def test_a_number_that_is_none_is_refused_and_named(text, field):
    with pytest.raises(BadPolicy, match="finite") as refused:
        policy.parse(f'name = "p"\n{text}\n')
    assert refused.value.field == field


def test_nesting_deeper_than_the_stack_is_a_bad_policy():
    with pytest.raises(BadPolicy):
        policy.parse(f'name = "p"\ndescription = {"[" * 30_000}{"]" * 30_000}\n')


def test_a_typo_in_a_rule_is_told_before_the_policy_is_used() -> None:
    text = 'name = "x"\n[rules.NO_FAEC]\nseverity = "low"\nweight = 1\n'
    with pytest.raises(BadPolicy, match=r"policy\.rules\.NO_FAEC: is no rule; the rules are EYES_OFF"):
        policy.parse(text, known_rules_only=True)
    assert "NO_FAEC" in policy.parse(text).rules, "a log of another version can still be folded"


def test_the_rules_a_policy_may_name_are_those_of_the_fold() -> None:
    assert set(RULES) == policy.RULE_NAMES
