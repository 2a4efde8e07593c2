/**
 * Made-up ledgers for the sample lake: a chain of LedgerCloseMeta whose header, transaction-set, result-set and link
 * hashes are right and whose values are signed, V1 up to an upgrade and V2 from it on. Fields stand in the order of Stellar-ledger.x.
 */
import { BASE_FEE, feeBump, type MadeUp, payments } from './transactions.ts';
import { valueSignature } from './validators.ts';
import { i32, i64, list, opaque, sha256, struct, u32 } from './xdr-writer.ts';

/** First ledger of protocol 23 and of LedgerCloseMetaV2: where one era of an example ends and the next begins. */
export const BOUNDARY = 64;

/** Unix seconds of ledger 1. */
const GENESIS_TIME = 1_767_225_600n;
/** Seconds from ledger to ledger. */
const CLOSE_EVERY = 5n;
/** Stroops: 100 billion lumens, as on a new network. */
const TOTAL_COINS = 1_000_000_000_000_000_000n;
const BASE_RESERVE = 5_000_000;
const MAX_TX_SET_SIZE = 100;

const EXT = i32(0);
const NONE = u32(0);
const LEDGER_UPGRADE_VERSION = i32(1);
const STELLAR_VALUE_SIGNED = i32(1);

/** What the next ledger needs of the one before. */
export interface ChainState {
  readonly hash: Buffer;
  readonly feePool: bigint;
}

/** Before the first ledger: its previous hash is that of a ledger 1 that no lake holds. */
export const GENESIS: ChainState = { hash: sha256(Buffer.from('sample ledger 1')), feePool: 0n };

/** Every kind of transaction comes up every four ledgers; each fourth ledger is empty. */
function transactionsOf(networkId: Buffer, ledger: number): MadeUp[] {
  switch (ledger % 4) {
    case 0:
      return [];
    case 1:
      return [payments(networkId, ledger, 0, 1, false)];
    case 2:
      return [payments(networkId, ledger, 0, 3, false), feeBump(networkId, ledger, 1)];
    default:
      return [payments(networkId, ledger, 0, 2, true), payments(networkId, ledger, 1, 1, false)];
  }
}

const protocolOf = (ledger: number): number => (ledger < BOUNDARY ? 22 : 23);

/** GeneralizedTransactionSet v1: a classic phase with one component where there is anything in it, an empty Soroban one. */
function transactionSet(previousHash: Buffer, protocol: number, transactions: readonly MadeUp[]): Buffer {
  const baseFee = struct(u32(1), i64(BASE_FEE));
  const component = struct(i32(0), baseFee, list(transactions.map((t) => t.envelope)));
  const classic = struct(i32(0), list(transactions.length === 0 ? [] : [component]));
  // CAP-63: from protocol 23 on the Soroban phase is parallel: no base fee, no stages.
  const soroban = protocol < 23 ? struct(i32(0), NONE) : struct(i32(1), NONE, NONE);
  return struct(i32(1), previousHash, list([classic, soroban]));
}

/** TransactionMeta V3 (protocols 20 to 22) or V4, listing no changes. */
function transactionMeta(protocol: number, operations: number): Buffer {
  if (protocol < 23) return struct(i32(3), EXT, NONE, list(Array<Buffer>(operations).fill(NONE)), NONE, NONE);
  const operationMeta = struct(EXT, NONE, NONE);
  return struct(i32(4), EXT, NONE, list(Array<Buffer>(operations).fill(operationMeta)), NONE, NONE, NONE, NONE);
}

/** TransactionResultMeta, or V1 of it in LedgerCloseMetaV2. */
function processing(protocol: number, t: MadeUp): Buffer {
  const meta = struct(t.hash, t.result, NONE, transactionMeta(protocol, t.appliedOperations));
  return protocol < 23 ? meta : struct(EXT, meta, NONE);
}

/** One ledger after `before`: its LedgerCloseMeta and what the next one needs. */
export function makeLedger(networkId: Buffer, ledger: number, before: ChainState): { meta: Buffer; state: ChainState } {
  const protocol = protocolOf(ledger);
  // Core orders a set, and so the envelopes in it, by hash.
  const transactions = transactionsOf(networkId, ledger).sort((a, b) => Buffer.compare(a.hash, b.hash));
  const set = transactionSet(before.hash, protocol, transactions);
  const results = list(transactions.map((t) => struct(t.hash, t.result)));
  const feePool = transactions.reduce((sum, t) => sum + t.fee, before.feePool);
  const upgrade = struct(LEDGER_UPGRADE_VERSION, u32(protocol));
  const upgrades = ledger === BOUNDARY ? [upgrade] : [];
  const closeTime = GENESIS_TIME + CLOSE_EVERY * BigInt(ledger - 1);
  const setHash = sha256(set);
  const stellarValue = struct(
    setHash,
    i64(closeTime),
    list(upgrades.map(opaque)),
    STELLAR_VALUE_SIGNED,
    valueSignature(networkId, ledger, setHash, closeTime),
  );
  const header = struct(
    u32(protocol),
    before.hash,
    stellarValue,
    sha256(results),
    sha256(Buffer.from(`sample bucket list ${ledger}`)),
    u32(ledger),
    i64(TOTAL_COINS),
    i64(feePool),
    u32(0),
    i64(0n),
    u32(Number(BASE_FEE)),
    u32(BASE_RESERVE),
    u32(MAX_TX_SET_SIZE),
    Buffer.alloc(4 * 32),
    EXT,
  );
  const hash = sha256(header);
  const meta = struct(
    i32(protocol < 23 ? 1 : 2),
    EXT,
    struct(hash, header, EXT),
    set,
    list(transactions.map((t) => processing(protocol, t))),
    // UpgradeEntryMeta: the upgrade, and no changes.
    list(upgrades.map((u) => struct(u, NONE))),
    NONE, // scpInfo
    i64(0n), // totalByteSizeOfLiveSorobanState
    NONE, // evictedKeys
    ...(protocol < 23 ? [NONE] : []), // unused, dropped in V2
  );
  return { meta, state: { hash, feePool } };
}
