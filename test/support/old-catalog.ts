/**
 * A catalog in PostgreSQL as the old program (version 1) left it: its tables, constraints, indexes and view, and two
 * partitions of one era. Written from its description: names and types are what counts.
 */

export const OLD_CATALOG = `
  CREATE TABLE _meta_datasets (
    id serial PRIMARY KEY, domain varchar(64) NOT NULL, dataset varchar(128) NOT NULL, version varchar(32) NOT NULL,
    era_id varchar(64) NOT NULL, network varchar(32) NOT NULL, schema_hash varchar(64), description text,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(),
    UNIQUE (domain, dataset, version, era_id, network));
  CREATE TABLE _meta_lineage (
    id serial PRIMARY KEY, dataset_id integer NOT NULL REFERENCES _meta_datasets (id), ledger_start bigint NOT NULL,
    ledger_end bigint NOT NULL, row_count bigint NOT NULL, byte_size bigint NOT NULL, checksum varchar(128) NOT NULL,
    prev_hash varchar(128), storage_path text NOT NULL, storage_uri text, producer_version varchar(64) NOT NULL,
    producer_git_sha varchar(64), source_type varchar(32), source_location text,
    created_at timestamptz DEFAULT now(), UNIQUE (dataset_id, ledger_start, ledger_end));
  CREATE INDEX idx_lineage_dataset_range ON _meta_lineage (dataset_id, ledger_start, ledger_end);
  CREATE INDEX idx_lineage_ledger_end ON _meta_lineage (dataset_id, ledger_end);
  CREATE TABLE _meta_quality (
    id serial PRIMARY KEY, dataset_id integer NOT NULL REFERENCES _meta_datasets (id), ledger_start bigint NOT NULL,
    ledger_end bigint NOT NULL, passed boolean NOT NULL, error_message text, created_at timestamptz DEFAULT now(),
    UNIQUE (dataset_id, ledger_start, ledger_end));
  CREATE INDEX idx_quality_failed ON _meta_quality (dataset_id, passed) WHERE NOT passed;
  CREATE TABLE _meta_changes (
    id serial PRIMARY KEY, dataset_id integer NOT NULL REFERENCES _meta_datasets (id),
    change_type varchar(32) NOT NULL, description text, old_version varchar(32), new_version varchar(32),
    created_at timestamptz DEFAULT now());
  CREATE VIEW _meta_coverage AS
    SELECT d.domain, d.dataset, d.version, d.era_id, d.network, min(l.ledger_start) AS min_ledger,
      max(l.ledger_end) AS max_ledger, count(*) AS partition_count, sum(l.row_count) AS total_rows,
      sum(l.byte_size) AS total_bytes
    FROM _meta_datasets d JOIN _meta_lineage l ON l.dataset_id = d.id
    GROUP BY d.domain, d.dataset, d.version, d.era_id, d.network`;

/** Two neighbouring partitions, checksums `sha256:aa…` and `sha256:bb…`; nothing that the old program left out. */
export const OLD_ROWS = `
  INSERT INTO _meta_datasets (domain, dataset, version, era_id, network, description)
    VALUES ('mainnet', 'ledgers_lcm_raw', 'v1', 'pre_p23', 'pubnet', 'by the old program');
  INSERT INTO _meta_lineage (dataset_id, ledger_start, ledger_end, row_count, byte_size, checksum, storage_path,
      producer_version, source_type)
    VALUES (1, 2, 9999, 9998, 1000, 'sha256:${'aa'.repeat(32)}', 'bronze/one', 'bronze-copier@v1.1.0', ''),
      (1, 10000, 19999, 10000, 2000, 'sha256:${'bb'.repeat(32)}', 'bronze/two', 'bronze-copier@v1.1.0', NULL);
  INSERT INTO _meta_quality (dataset_id, ledger_start, ledger_end, passed) VALUES (1, 2, 9999, true)`;
