"""escalon: AI on event streams in three tiers."""
