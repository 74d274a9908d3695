"""Logging in to servers: what must be set together, and secrets that are in files."""

from dataclasses import fields
from pathlib import Path

import pytest

from storelog.config import Settings, load, shown
from storelog.errors import BadSetting
from storelog.kafka import client_settings
from storelog.local.run_file import as_environment

SASL = {"STORELOG_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
SECRETS = [
    ("POSTGRES_URL", "postgresql://ann:s3cret@db/shop"),
    ("KEYS_POSTGRES_URL", "postgresql://bob:s3cret@db/shop"),
    ("MONGODB_URI", "mongodb://ann:s3cret@db/shop"),
    ("KAFKA_SASL_PASSWORD", "s3cret"),
    ("KAFKA_SSL_KEY_PASSWORD", "s3cret"),
    ("KAFKA_OAUTH_CLIENT_SECRET", "s3cret"),
    ("API_KEY", "s3cret"),
    ("API_KEYS", f"ann:admin:{'a' * 64}"),
]


@pytest.mark.parametrize(("name", "value"), SECRETS)
def test_every_secret_setting_can_be_in_a_file(tmp_path: Path, name: str, value: str) -> None:
    (tmp_path / "secret").write_text(f"{value}\n")
    variable = f"STORELOG_{name}"
    from_file = load(None, {f"{variable}_FILE": str(tmp_path / "secret")}, tmp_path)
    plain = load(None, {variable: value}, tmp_path).settings
    assert from_file.settings == plain
    assert from_file.sources[name.lower()] == "environment"


def test_no_secret_setting_is_left_out() -> None:
    secret = {each.name.upper() for each in fields(Settings) if each.metadata["is_secret"]}
    assert secret == {name for name, _ in SECRETS}


def test_a_secrets_file_can_be_named_in_the_file_of_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("s3cret")
    (tmp_path / "storelog.toml").write_text('kafka_sasl_password_file = "secret"\n')
    assert load(environ={}).settings.kafka_sasl_password == "s3cret"


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"x" * 70_000])
def test_a_secrets_file_that_cannot_be_used_is_rejected_without_being_shown(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(BadSetting, match="STORELOG_API_KEY_FILE") as refused:
        load(None, {"STORELOG_API_KEY_FILE": str(tmp_path / "secret")}, tmp_path)
    assert len(str(refused.value)) < 500


def test_a_secret_and_its_file_are_not_both_taken(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    both = {"STORELOG_API_KEY": "other", "STORELOG_API_KEY_FILE": str(tmp_path / "secret")}
    with pytest.raises(BadSetting, match="only one of it and STORELOG_API_KEY"):
        load(None, both, tmp_path)


def test_what_up_gives_its_processes_names_no_file_of_a_secret_once_more(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("postgresql://ann:s3cret@db/shop")
    environ = {"STORELOG_POSTGRES_URL_FILE": str(tmp_path / "secret")}
    settings = load(None, environ, tmp_path).settings
    again = load(None, {**environ, **as_environment(settings)}, tmp_path).settings
    assert again.postgres_url == settings.postgres_url


@pytest.mark.parametrize(
    ("given", "lacks"),
    [
        (SASL, "KAFKA_SASL_MECHANISM"),
        ({**SASL, "STORELOG_KAFKA_SASL_MECHANISM": "GSSAPI"}, "KAFKA_SASL_MECHANISM"),
        ({**SASL, "STORELOG_KAFKA_SASL_MECHANISM": "PLAIN"}, "KAFKA_SASL_USERNAME"),
        ({**SASL, "STORELOG_KAFKA_SASL_MECHANISM": "OAUTHBEARER"}, "KAFKA_OAUTH_TOKEN_URL"),
        ({**SASL, "STORELOG_KAFKA_SASL_MECHANISM": "AWS_MSK_IAM"}, "KAFKA_AWS_REGION"),
        ({"STORELOG_KAFKA_SSL_CERTIFICATE": __file__}, "KAFKA_SSL_KEY"),
        ({"STORELOG_KAFKA_SSL_KEY": __file__}, "KAFKA_SSL_CERTIFICATE"),
        ({"STORELOG_KAFKA_SSL_CA": "/nowhere/ca.pem"}, "KAFKA_SSL_CA"),
    ],
)
def test_what_a_login_to_kafka_lacks_is_named_at_the_start(
    given: dict[str, str], lacks: str, tmp_path: Path
) -> None:
    with pytest.raises(BadSetting, match=f"STORELOG_{lacks}"):
        load(None, given, tmp_path)


def test_the_settings_of_a_login_are_shown_without_its_secrets() -> None:
    for name in ("kafka_oauth_client_secret", "kafka_ssl_key_password"):
        assert shown(name, "s3cret") == "***"
    told = client_settings(
        Settings(
            kafka_bootstrap_servers="k:1",
            kafka_security_protocol="SASL_SSL",
            kafka_sasl_mechanism="OAUTHBEARER",
            kafka_oauth_token_url="https://login.example/token",
            kafka_oauth_client_id="shop",
            kafka_oauth_client_secret="s3cret",
            kafka_oauth_scope="kafka",
        )
    )
    assert told["sasl.oauthbearer.method"] == "oidc"
    assert told["sasl.oauthbearer.scope"] == "kafka"
