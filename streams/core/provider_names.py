"""Providers of language models, as the audit names them: as OpenTelemetry's gen_ai.provider.name, where it does.

https://github.com/open-telemetry/semantic-conventions/blob/main/docs/registry/attributes/gen-ai.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CLOUDS: Final[Mapping[str, str]] = {
    "bedrock": "aws.bedrock",
    "vertex": "gcp.vertex_ai",
    "foundry": "azure.ai.inference",
}
"""By the cloud that serves Claude."""
CLAUDE: Final = frozenset({"anthropic", *CLOUDS.values()})
"""Providers that count the tokens of their prompt cache apart from the input."""
REMOTE: Final = CLAUDE | {"openai"}
"""Providers that are called over the network; all others run in this process."""
