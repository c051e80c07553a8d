-- On a cluster, a Distributed table under the name that the sink writes to and the views read from, over the tables of
-- each shard. Rows that replace each other must meet on one shard, so the sharding key is a column of the sorting key: the
-- event where the key has it, so that all rows of one event lie together.

CREATE TABLE IF NOT EXISTS calls_rows ON CLUSTER '$cluster' AS $database.calls_local
ENGINE = Distributed('$cluster', '$database', 'calls_local', cityHash64(event_id));

CREATE TABLE IF NOT EXISTS outcomes_rows ON CLUSTER '$cluster' AS $database.outcomes_local
ENGINE = Distributed('$cluster', '$database', 'outcomes_local', cityHash64(event_id));

CREATE TABLE IF NOT EXISTS verdicts_rows ON CLUSTER '$cluster' AS $database.verdicts_local
ENGINE = Distributed('$cluster', '$database', 'verdicts_local', cityHash64(event_id));

CREATE TABLE IF NOT EXISTS dead_letters_rows ON CLUSTER '$cluster' AS $database.dead_letters_local
ENGINE = Distributed('$cluster', '$database', 'dead_letters_local', cityHash64(dead_letter_id));

CREATE TABLE IF NOT EXISTS labels_rows ON CLUSTER '$cluster' AS $database.labels_local
ENGINE = Distributed('$cluster', '$database', 'labels_local', cityHash64(event_id));

CREATE TABLE IF NOT EXISTS judgements_rows ON CLUSTER '$cluster' AS $database.judgements_local
ENGINE = Distributed('$cluster', '$database', 'judgements_local', cityHash64(event_id));

CREATE TABLE IF NOT EXISTS panels_rows ON CLUSTER '$cluster' AS $database.panels_local
ENGINE = Distributed('$cluster', '$database', 'panels_local', cityHash64(panel));

CREATE TABLE IF NOT EXISTS panel_cases_rows ON CLUSTER '$cluster' AS $database.panel_cases_local
ENGINE = Distributed('$cluster', '$database', 'panel_cases_local', cityHash64(case_id));

CREATE TABLE IF NOT EXISTS runs_rows ON CLUSTER '$cluster' AS $database.runs_local
ENGINE = Distributed('$cluster', '$database', 'runs_local', cityHash64(run));

CREATE TABLE IF NOT EXISTS erased_events_rows ON CLUSTER '$cluster' AS $database.erased_events_local
ENGINE = Distributed('$cluster', '$database', 'erased_events_local', cityHash64(event_id));

CREATE TABLE IF NOT EXISTS erasures_rows ON CLUSTER '$cluster' AS $database.erasures_local
ENGINE = Distributed('$cluster', '$database', 'erasures_local', cityHash64(erasure_id));

CREATE TABLE IF NOT EXISTS dead_letter_actions_rows ON CLUSTER '$cluster' AS $database.dead_letter_actions_local
ENGINE = Distributed('$cluster', '$database', 'dead_letter_actions_local', cityHash64(dead_letter_id));

CREATE TABLE IF NOT EXISTS calls_hourly_rows ON CLUSTER '$cluster' AS $database.calls_hourly_local
ENGINE = Distributed('$cluster', '$database', 'calls_hourly_local', rand());
