"""The programs around Kafka that are not ours: schema registries and producers, by `make test-ecosystem`."""
