"""Login at Amazon MSK by IAM: tokens that are signed with Amazon's usual credentials, without a request to a server."""

from __future__ import annotations

from aws_msk_iam_sasl_signer import MSKAuthTokenProvider


def token(region: str, _: str = "") -> tuple[str, float]:
    """Return a token for a cluster in a region, and when it ends in seconds since 1970; a callback of librdkafka.

    The client asks again before that. Raises an error of botocore where there are no credentials.
    """
    signed, ends_ms = MSKAuthTokenProvider.generate_auth_token(region)
    return signed, ends_ms / 1000
