"""Errors of librdkafka, translated into our own with the remedy."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError

from streams.adapters.kafka import KafkaConfig
from streams.core.errors import ServiceError

_REFUSALS: Final = (
    (
        KafkaError._AUTHENTICATION,
        "OAUTHBEARER token",
        "needs a token, which cannot be had ({said}).",
        "Check ESCALON_KAFKA_TOKEN_URL, ESCALON_KAFKA_USERNAME (the client's id), ESCALON_KAFKA_PASSWORD (its secret) "
        "and ESCALON_KAFKA_SCOPE.",
    ),
    (
        KafkaError._AUTHENTICATION,
        "",
        "refuses the login of {username} by {mechanism}.",
        "Check ESCALON_KAFKA_USERNAME and ESCALON_KAFKA_PASSWORD (or ESCALON_KAFKA_PASSWORD_FILE), and that the broker "
        "has this user for the mechanism in ESCALON_KAFKA_SASL_MECHANISM.",
    ),
    (
        KafkaError._SSL,
        "certificate verify failed",
        "presents a certificate that is not signed by {ca}, or not issued for that address.",
        "Set ESCALON_KAFKA_CA_FILE to the authority of the brokers' certificates, and use the name in them.",
    ),
    (
        KafkaError._SSL,
        "wrong version number",
        "does not speak TLS at this port.",
        "Give the port of its TLS listener, or leave ESCALON_KAFKA_TLS out.",
    ),
    (
        KafkaError._SSL,
        "",
        "ends the TLS handshake.",
        "It may require a client certificate: ESCALON_KAFKA_CERT_FILE and ESCALON_KAFKA_KEY_FILE.",
    ),
)


def refused(config: KafkaConfig, error: KafkaError) -> ServiceError | None:
    """Return a client's error as ours if waiting does not help; None if it may pass."""
    said = error.str()
    for code, words, what, remedy in _REFUSALS:
        if error.code() == code and words in said:
            filled = what.format(
                username=config.username,
                mechanism=config.sasl_mechanism,
                said=said.strip(),
                ca=config.ca_file or "an authority that this machine knows",
            )
            return ServiceError(f"Kafka at {config.servers} {filled}", remedy)
    return None


def unreachable(config: KafkaConfig, why: str) -> ServiceError:
    remedy = "Check that it runs and that ESCALON_KAFKA (and its TLS and SASL settings) are right."
    if not config.tls:
        remedy += " A broker that requires TLS hangs up without a word: then set ESCALON_KAFKA_TLS=1."
    elif config.cert_file is None:
        remedy += " A broker that requires a client certificate hangs up as well: then set ESCALON_KAFKA_CERT_FILE."
    return ServiceError(f"Kafka at {config.servers} cannot be reached ({why}).", remedy)
