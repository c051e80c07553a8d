"""Real programs that serve models: llama-server and a LiteLLM proxy, by `make test-providers`."""
