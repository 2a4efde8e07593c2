/** Made-up values for tests of machines: hashes are words that tell which ledger they belong to. */
import type {
  AttestedEvent,
  EraFacts,
  Job,
  LedgerEnds,
  LedgerRange,
  SealedPartition,
  StagedPartition,
} from '../../machines/protocol.ts';

export const lastHashOf = (ledger: number): string => `hash-of-${ledger}`;

const endsOf = (range: LedgerRange): LedgerEnds => ({
  firstHash: lastHashOf(range.start),
  lastHash: lastHashOf(range.end),
  previousHash: lastHashOf(range.start - 1),
  contentRoot: `root-${range.start}-${range.end}`,
});

const dataOf = (range: LedgerRange) => ({
  file: `part-${range.start}-${range.end}.parquet`,
  checksum: `sha256:data-${range.start}-${range.end}`,
  rowCount: range.end - range.start + 1,
  byteSize: 1,
});

export const noFacts: EraFacts = {
  partitions: [],
  events: [],
  checkpoint: null,
  rederived: [],
  memories: [],
  oldChain: null,
};

export const stagedPartition = (job: Job, retries: number): StagedPartition => ({
  range: job.range,
  ticket: job.ticket,
  correlationId: job.correlationId,
  handle: `staged-${job.ticket}`,
  data: dataOf(job.range),
  ledgers: endsOf(job.range),
  writer: { writer: '1' },
  checks: {},
  source: 'file:///lake',
  sourceBytes: 1,
  rawBytes: 1,
  retries,
});

export const sealedPartition = (range: LedgerRange): SealedPartition => ({
  range,
  data: dataOf(range),
  ledgers: endsOf(range),
  manifestSha256: `manifest-${range.start}-${range.end}`,
  createdAt: '2026-01-01T00:00:00.000Z',
});

export const attestedEvent = (sequence: number, range: LedgerRange, prevEventHash: string | null): AttestedEvent => ({
  sequence,
  range,
  eventHash: `event-${sequence}`,
  prevEventHash,
  data: dataOf(range),
  ledgers: endsOf(range),
  manifestSha256: `manifest-${range.start}-${range.end}`,
  timestamp: '2026-01-01T00:00:00.000Z',
  storagePrefix: '',
});
