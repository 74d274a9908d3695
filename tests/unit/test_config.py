"""Settings: where a value comes from, and what is said of a bad one."""

import json
from pathlib import Path

import pytest

from storelog.config import load, shown
from storelog.errors import BadSetting
from storelog.setting_types import ApiKey, mask_url

KEY = "a" * 64


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "storelog.toml").write_text('currency = "GBP"\nkafka_lanes = 6\n')
    loaded = load({"currency": "CHF"}, {"STORELOG_CURRENCY": "USD"}, tmp_path)
    assert (loaded.settings.currency, loaded.sources["currency"]) == ("CHF", "flag")
    loaded = load(None, {"STORELOG_CURRENCY": "USD"}, tmp_path)
    assert (loaded.settings.currency, loaded.sources["currency"]) == ("USD", "environment")
    loaded = load(None, {}, tmp_path)
    assert (loaded.settings.currency, loaded.sources["currency"]) == ("GBP", "file")
    assert loaded.settings.kafka_lanes == 6
    assert loaded.sources["log_level"] == "default"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STORELOG_POSTGRES_URL", "mysql://h/x"),
        ("STORELOG_MONGODB_URI", "http://x"),
        ("STORELOG_KAFKA_BOOTSTRAP_SERVERS", "nowhere"),
        ("STORELOG_KAFKA_LANES", "0"),
        ("STORELOG_KAFKA_LANES", "three"),
        ("STORELOG_CURRENCY", "euro"),
        ("STORELOG_ALLOW_ANONYMOUS", "perhaps"),
        ("STORELOG_LOG_LEVEL", "loud"),
        ("STORELOG_COMMAND_URL", "ftp://x"),
        ("STORELOG_COMMAND_URL", "http://127.0.0.1:99999"),
        ("STORELOG_POSTGRES_URL", "postgresql://127.0.0.1:five/x"),
        ("STORELOG_POSTGRES_URL", "postgresql://a..b/x"),
        ("STORELOG_POSTGRES_URL", "postgresql://a:1,b:2:3/x"),
        ("STORELOG_POSTGRES_URL", "postgresql://a,b/x?port=1,2,3"),
        ("STORELOG_POSTGRES_URL", "postgresql://a/x?connect_timeout=soon"),
        ("STORELOG_KAFKA_BOOTSTRAP_SERVERS", "::1:9092"),
        ("STORELOG_ALLOWED_HOSTS", "shop.example:8080"),
        ("STORELOG_ALLOWED_HOSTS", "10.0.0.7:8080"),
        ("STORELOG_ALLOWED_HOSTS", "[::1]:8080"),
        ("STORELOG_ALLOWED_HOSTS", "cafe:80"),
        ("STORELOG_ALLOWED_HOSTS", "[shop.example]"),
        ("STORELOG_ALLOWED_HOSTS", "*.shop.example"),
        ("STORELOG_ALLOWED_HOSTS", ".shop.example"),
        ("STORELOG_ALLOWED_HOSTS", "http://shop.example"),
    ],
)
def test_a_bad_value_names_the_setting_the_value_and_what_is_allowed(
    name: str, value: str, tmp_path: Path
) -> None:
    with pytest.raises(BadSetting) as caught:
        load(None, {name: value}, tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert name in message
    assert value in message
    assert "allowed: " in message


@pytest.mark.parametrize(
    ("name", "value"),
    [("QUERY_URL", "http://h:1\n"), ("API_KEY", "slk_x\r"), ("API_KEY", "\u20ac")],
)
def test_what_would_break_a_header_is_no_value(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=f"STORELOG_{name}"):
        load(None, {f"STORELOG_{name}": value}, tmp_path)


@pytest.mark.parametrize(
    "uri",
    ["mongodb://%2Ftmp%2Fmongodb-27017.sock/x", "mongodb://a:1,b:2/x", "mongodb+srv://c.net/x"],
)
def test_addresses_of_sockets_and_of_several_hosts_are_taken(uri: str, tmp_path: Path) -> None:
    assert load(None, {"STORELOG_MONGODB_URI": uri}, tmp_path).settings.mongodb_uri == uri


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("postgres_url", "postgresql://ann:s3@/shop?host=/cloudsql/project:region:instance"),
        ("postgres_url", "postgresql://[::1]:5432,db-2:5433/shop?target_session_attrs=read-write"),
        ("keys_postgres_url", "postgresql://ann:s3@/shop?host=/cloudsql/project:region:instance"),
        ("keys_postgres_url", "postgresql:///shop?host=db-1,db-2&port=5432,5433&user=ann"),
        ("kafka_bootstrap_servers", "[::1]:9092"),
        ("kafka_bootstrap_servers", "kafka-1:9092,[2001:db8::2]:9092"),
    ],
)
def test_sockets_ipv6_and_lists_are_addresses(name: str, value: str, tmp_path: Path) -> None:
    settings = load(None, {f"STORELOG_{name.upper()}": value}, tmp_path).settings
    assert getattr(settings, name) == value


def test_names_and_addresses_of_both_kinds_are_hosts(tmp_path: Path) -> None:
    hosts = ("shop.example.", "10.0.0.7", "fd00:0::7", "[::1]", "command-service", "a_b", "*")
    given = {"STORELOG_ALLOWED_HOSTS": ", ".join(hosts)}
    assert load(None, given, tmp_path).settings.allowed_hosts == hosts


@pytest.mark.parametrize("given", ["5", '""', '"a\\u0000b"'])
def test_a_data_directory_in_the_file_that_is_no_path_is_rejected(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "storelog.toml").write_text(f"data_dir = {given}\n")
    with pytest.raises(BadSetting, match="data_dir"):
        load(environ={})


def test_an_unknown_setting_in_the_file_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "storelog.toml").write_text('curency = "GBP"\n')
    with pytest.raises(BadSetting, match="curency"):
        load(None, {}, tmp_path)


def test_a_bad_key_is_rejected_without_being_shown(tmp_path: Path) -> None:
    with pytest.raises(BadSetting) as caught:
        load(None, {"STORELOG_API_KEYS": f"ann:boss:{KEY}"}, tmp_path)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("nothing", [",", " ", " , ,"])
@pytest.mark.parametrize("name", ["API_KEYS", "OIDC_ALGORITHMS", "OIDC_ROLES", "CORS_ORIGINS"])
def test_a_list_that_names_nothing_is_rejected(name: str, nothing: str, tmp_path: Path) -> None:
    """Keys that were lost on the way must not let everybody in."""
    with pytest.raises(BadSetting, match=f"STORELOG_{name}"):
        load(None, {f"STORELOG_{name}": nothing}, tmp_path)


def test_secrets_are_masked_wherever_they_are_shown(tmp_path: Path) -> None:
    url = "postgresql://ann:secret@db/shop"
    environ = {"STORELOG_POSTGRES_URL": url, "STORELOG_API_KEYS": f"ann:admin:{KEY}"}
    settings = load(None, environ, tmp_path).settings
    assert settings.api_keys == (ApiKey("ann", "admin", KEY),)
    assert shown("postgres_url", settings.postgres_url) == "postgresql://ann:***@db/shop"
    assert shown("api_keys", settings.api_keys) == "ann:admin:***"
    assert shown("kafka_sasl_password", "secret") == "***"
    assert mask_url("mongodb://h/x") == "mongodb://h/x"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@db/shop",
        "postgresql://ann:s3c@ret@db/shop",
        "postgresql://db/shop?user=ann&password=s3cret",
        "postgresql://db/shop?sslpassword=s3cret&sslmode=verify-full",
        "mongodb://ann:s3cret@a:1,b:2/shop?tls=true",
    ],
)
def test_no_password_of_an_address_is_shown(url: str) -> None:
    assert "cret" not in mask_url(url)


def test_what_a_dead_up_left_behind_misleads_nobody(tmp_path: Path) -> None:
    facts = {"pid": 1, "settings": {"postgres_url": "postgresql://x/y"}}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    (tmp_path / "up.lock").touch()
    assert load(None, {}, tmp_path).settings.postgres_url is None


def test_the_data_directory_says_where_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(environ={}).sources["data_dir"] == "default"
    (tmp_path / "storelog.toml").write_text('data_dir = "from-file"\n')
    assert load(environ={}).data_dir == tmp_path / "from-file"
    assert load(environ={}).sources["data_dir"] == "file"
    environ = {"STORELOG_DATA_DIR": str(tmp_path / "named")}
    assert load(environ=environ).sources["data_dir"] == "environment"
    flagged = load(environ=environ, data_dir=tmp_path / "flag")
    assert (flagged.sources["data_dir"], flagged.data_dir) == ("flag", tmp_path / "flag")
