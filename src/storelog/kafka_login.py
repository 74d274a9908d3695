"""How Kafka's clients log in: what must be set together, and what librdkafka needs for it.

Next: kafka.py
"""

from importlib.util import find_spec
from typing import Any

from storelog.errors import BadSetting
from storelog.settings import AWS_MSK_IAM, Settings

_SIGNER = "aws_msk_iam_sasl_signer"
_OAUTH = ("kafka_oauth_token_url", "kafka_oauth_client_id", "kafka_oauth_client_secret")
_NEEDED = {
    "PLAIN": ("kafka_sasl_username", "kafka_sasl_password"),
    "SCRAM-SHA-256": ("kafka_sasl_username", "kafka_sasl_password"),
    "SCRAM-SHA-512": ("kafka_sasl_username", "kafka_sasl_password"),
    "OAUTHBEARER": _OAUTH,
    AWS_MSK_IAM: ("kafka_aws_region",),
}


def check_login(settings: Settings) -> None:
    """Check that settings that belong together are set. Raises BadSetting with the missing one."""
    mechanism = settings.kafka_sasl_mechanism
    if settings.kafka_security_protocol.startswith("SASL_"):
        if mechanism is None:
            protocol = settings.kafka_security_protocol
            allowed = f"{', '.join(_NEEDED)}, since STORELOG_KAFKA_SECURITY_PROTOCOL is {protocol}"
            raise BadSetting("STORELOG_KAFKA_SASL_MECHANISM", "", allowed)
        for name in _NEEDED[mechanism]:
            if getattr(settings, name) is None:
                needs = f"what STORELOG_KAFKA_SASL_MECHANISM={mechanism} needs"
                raise BadSetting(f"STORELOG_{name.upper()}", "", needs)
        if mechanism == AWS_MSK_IAM and find_spec(_SIGNER) is None:
            allowed = f"{AWS_MSK_IAM} needs pip install 'storelog[aws]'"
            raise BadSetting("STORELOG_KAFKA_SASL_MECHANISM", mechanism, allowed)
    if (settings.kafka_ssl_certificate is None) != (settings.kafka_ssl_key is None):
        lacks = "KEY" if settings.kafka_ssl_key is None else "CERTIFICATE"
        raise BadSetting(f"STORELOG_KAFKA_SSL_{lacks}", "", "a certificate and its key, or neither")


def login(settings: Settings) -> dict[str, Any]:
    """Return librdkafka's settings for the login; None for a setting that is not set."""
    mechanism = settings.kafka_sasl_mechanism
    is_aws = mechanism == AWS_MSK_IAM
    wanted: dict[str, Any] = {
        "security.protocol": settings.kafka_security_protocol,
        "sasl.mechanism": "OAUTHBEARER" if is_aws else mechanism,
        "sasl.username": settings.kafka_sasl_username,
        "sasl.password": settings.kafka_sasl_password,
        "ssl.ca.location": settings.kafka_ssl_ca,
        "ssl.certificate.location": settings.kafka_ssl_certificate,
        "ssl.key.location": settings.kafka_ssl_key,
        "ssl.key.password": settings.kafka_ssl_key_password,
    }
    if is_aws:
        wanted["oauth_cb"] = lambda _config: _aws_token(settings.kafka_aws_region or "")
    elif mechanism == "OAUTHBEARER":
        wanted |= {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": settings.kafka_oauth_token_url,
            "sasl.oauthbearer.client.id": settings.kafka_oauth_client_id,
            "sasl.oauthbearer.client.secret": settings.kafka_oauth_client_secret,
            "sasl.oauthbearer.scope": settings.kafka_oauth_scope,
            "sasl.oauthbearer.extensions": settings.kafka_oauth_extensions,
        }
    return wanted


def _aws_token(region: str) -> tuple[str, float]:
    """Return a token signed with the AWS credentials that are found, and when it ends (epoch s)."""
    # Imported only here, since the package is an optional extra.
    from aws_msk_iam_sasl_signer import MSKAuthTokenProvider

    token, ends_ms = MSKAuthTokenProvider.generate_auth_token(region)
    return token, ends_ms / 1000
