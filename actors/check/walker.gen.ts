/**
 * GENERATED, do not edit. A strict skip walker over LedgerCloseMeta: it accepts what the full decode of the SDK accepts,
 * builds nothing, and notes where the fields lie that the checks need. It must never read a ledger's meaning.
 *
 * Made by: npx tsc -p tsconfig.tools.json && node build/tools/generate-walker.js
 * From: @stellar/stellar-sdk 17.2.0, @stellar/js-xdr 5.0.0
 *
 * In every function: d the buffer, o the offset of the value, e the offset at which the bytes end, depth how many
 * schemas are open around the value; the result is the offset after it. Reads that run past e are noticed at the end
 * at the latest: offsets only grow.
 */
import { reject, type WalkRecord, XdrFault } from './walk-record.ts';

/** Discriminants of LedgerCloseMeta that this walker knows. */
export const LEDGER_VERSIONS: readonly number[] = [0, 1, 2];

let record: WalkRecord;
let at: Int32Array;

/**
 * Walks the LedgerCloseMeta that starts at `start`; bytes from `end` on do not belong to it.
 * Fills `into` and returns the offset after the value. Synchronous, one walk at a time per thread. `open` counts
 * schemas that are open around the value: they are taken off the 1500 that may nest.
 * @throws XdrFault where the bytes are not valid.
 */
export function walkLedger(d: DataView, start: number, end: number, into: WalkRecord, open = 0): number {
  into.reset();
  record = into;
  at = into.at;
  let o: number;
  try {
    o = walkLedgerCloseMeta(d, start, end, open);
  } catch (error) {
    // A read past the buffer.
    if (error instanceof RangeError) throw new XdrFault('incomplete', end);
    throw error;
  }
  if (o > end) throw new XdrFault('incomplete', end);
  return o;
}

function walkLedgerCloseMeta(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return walkLedgerCloseMetaV0(d, o + 4, e, depth + 1);
    }
    case 1: {
      return walkLedgerCloseMetaV1(d, o + 4, e, depth + 1);
    }
    case 2: {
      return walkLedgerCloseMetaV2(d, o + 4, e, depth + 1);
    }
    default:
      return reject('LedgerCloseMeta', o);
  }
}

function walkLedgerCloseMetaV0(d: DataView, o: number, e: number, depth: number): number {
  o = walkLedgerHeaderHistoryEntry(d, o, e);
  at[13] = o;
  o = walkTransactionSet(d, o, e, depth + 1);
  at[14] = o;
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkTransactionResultMeta(d, o, e, depth + 2);
  }
  const n3 = d.getInt32(o);
  if (n3 < 0 || n3 > e - o) reject('length', o);
  o += 4;
  for (let i4 = n3; i4 > 0; i4--) {
    o = walkUpgradeEntryMeta(d, o, e, depth + 2);
  }
  const n5 = d.getInt32(o);
  if (n5 < 0 || n5 > e - o) reject('length', o);
  o += 4;
  for (let i6 = n5; i6 > 0; i6--) {
    o = walkScpHistoryEntry(d, o, e, depth + 2);
  }
  return o;
}

function walkLedgerHeaderHistoryEntry(d: DataView, o: number, e: number): number {
  at[0] = o;
  at[1] = o + 32;
  o = walkLedgerHeader(d, o + 32, e);
  at[2] = o;
  if (d.getInt32(o) !== 0) reject('LedgerHeaderHistoryEntryExt', o);
  return o + 4;
}

function walkLedgerHeader(d: DataView, o: number, e: number): number {
  at[3] = o;
  at[4] = o + 4;
  o = walkStellarValue(d, o + 36, e);
  at[9] = o;
  at[10] = o + 64;
  at[11] = o + 68;
  at[12] = o + 76;
  return walkLedgerHeaderExt(d, o + 236, e);
}

function walkStellarValue(d: DataView, o: number, e: number): number {
  at[5] = o;
  at[6] = o + 32;
  const n1 = d.getInt32(o + 40);
  if (n1 >>> 0 > 6) reject('length', o + 40);
  o += 44;
  for (let i2 = n1; i2 > 0; i2--) {
    const n3 = d.getInt32(o);
    if (n3 >>> 0 > 128) reject('length', o);
    o += 4;
    if ((n3 & 3) !== 0 && (d.getInt32(o + (n3 & ~3)) & (-1 >>> ((n3 & 3) << 3))) !== 0) reject('padding', o + n3);
    o += (n3 + 3) & ~3;
  }
  at[18] = o;
  return walkStellarValueExt(d, o, e);
}

function walkStellarValueExt(d: DataView, o: number, e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      at[19] = o + 4;
      return walkLedgerCloseValueSignature(d, o + 4, e);
    }
    case 2: {
      return walkStellarValueProposedValue(d, o + 4, e);
    }
    default:
      return reject('StellarValueExt', o);
  }
}

function walkLedgerCloseValueSignature(d: DataView, o: number, _e: number): number {
  if (d.getInt32(o) !== 0) reject('PublicKey', o);
  const n1 = d.getInt32(o + 36);
  if (n1 >>> 0 > 64) reject('length', o + 36);
  o += 40;
  if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
  o += (n1 + 3) & ~3;
  return o;
}

function walkStellarValueProposedValue(d: DataView, o: number, e: number): number {
  at[7] = o + 32;
  at[8] = o + 64;
  return walkLedgerCloseValueSignature(d, o + 68, e);
}

function walkLedgerHeaderExt(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      if (d.getInt32(o + 8) !== 0) reject('LedgerHeaderExtensionV1Ext', o + 8);
      return o + 12;
    }
    default:
      return reject('LedgerHeaderExt', o);
  }
}

function walkTransactionSet(d: DataView, o: number, e: number, depth: number): number {
  at[15] = o + 32;
  const n1 = d.getInt32(o + 32);
  if (n1 < 0 || n1 > e - o) reject('length', o + 32);
  at[16]! += n1;
  o += 36;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkTransactionEnvelope(d, o, e, depth + 2);
  }
  return o;
}

function walkTransactionEnvelope(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return walkTransactionV0Envelope(d, o + 4, e, depth + 1);
    }
    case 2: {
      return walkTransactionV1Envelope(d, o + 4, e, depth + 1);
    }
    case 5: {
      return walkFeeBumpTransactionEnvelope(d, o + 4, e, depth + 1);
    }
    default:
      return reject('TransactionEnvelope', o);
  }
}

function walkTransactionV0Envelope(d: DataView, o: number, e: number, depth: number): number {
  o = walkTransactionV0(d, o, e, depth + 1);
  const n1 = d.getInt32(o);
  if (n1 >>> 0 > 20) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkDecoratedSignature(d, o, e);
  }
  return o;
}

function walkTransactionV0(d: DataView, o: number, e: number, depth: number): number {
  const f1 = d.getInt32(o + 44);
  o += 48;
  if (f1 === 1) {
    o += 16;
  } else if (f1 !== 0) reject('option', o);
  o = walkMemo(d, o, e);
  const n2 = d.getInt32(o);
  if (n2 >>> 0 > 100) reject('length', o);
  at[17]! += n2;
  o += 4;
  for (let i3 = n2; i3 > 0; i3--) {
    o = walkOperation(d, o, e, depth + 2);
  }
  if (d.getInt32(o) !== 0) reject('TransactionV0Ext', o);
  return o + 4;
}

function walkMemo(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      const n1 = d.getInt32(o + 4);
      if (n1 >>> 0 > 28) reject('length', o + 4);
      o += 8;
      if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
      o += (n1 + 3) & ~3;
      return o;
    }
    case 2: {
      return o + 12;
    }
    case 3:
    case 4: {
      return o + 36;
    }
    default:
      return reject('Memo', o);
  }
}

function walkOperation(d: DataView, o: number, e: number, depth: number): number {
  const f1 = d.getInt32(o);
  o += 4;
  if (f1 === 1) {
    o = walkMuxedAccount(d, o, e);
  } else if (f1 !== 0) reject('option', o);
  return walkOperationBody(d, o, e, depth + 1);
}

function walkMuxedAccount(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 36;
    }
    case 256: {
      return o + 44;
    }
    default:
      return reject('MuxedAccount', o);
  }
}

function walkOperationBody(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      if (d.getInt32(o + 4) !== 0) reject('PublicKey', o + 4);
      return o + 48;
    }
    case 1: {
      return walkPaymentOp(d, o + 4, e, depth + 1);
    }
    case 2: {
      return walkPathPaymentStrictReceiveOp(d, o + 4, e, depth + 1);
    }
    case 3: {
      return walkManageSellOfferOp(d, o + 4, e, depth + 1);
    }
    case 4: {
      return walkCreatePassiveSellOfferOp(d, o + 4, e, depth + 1);
    }
    case 5: {
      return walkSetOptionsOp(d, o + 4, e);
    }
    case 6: {
      return walkChangeTrustOp(d, o + 4, e, depth + 1);
    }
    case 7: {
      return walkAllowTrustOp(d, o + 4, e);
    }
    case 8: {
      return walkMuxedAccount(d, o + 4, e);
    }
    case 9:
    case 17: {
      return o + 4;
    }
    case 10: {
      return walkManageDataOp(d, o + 4, e);
    }
    case 11: {
      return o + 12;
    }
    case 12: {
      return walkManageBuyOfferOp(d, o + 4, e, depth + 1);
    }
    case 13: {
      return walkPathPaymentStrictSendOp(d, o + 4, e, depth + 1);
    }
    case 14: {
      return walkCreateClaimableBalanceOp(d, o + 4, e, depth + 1);
    }
    case 15:
    case 20: {
      if (d.getInt32(o + 4) !== 0) reject('ClaimableBalanceId', o + 4);
      return o + 40;
    }
    case 16: {
      if (d.getInt32(o + 4) !== 0) reject('PublicKey', o + 4);
      return o + 40;
    }
    case 18: {
      return walkRevokeSponsorshipOp(d, o + 4, e, depth + 1);
    }
    case 19: {
      return walkClawbackOp(d, o + 4, e, depth + 1);
    }
    case 21: {
      return walkSetTrustLineFlagsOp(d, o + 4, e, depth + 1);
    }
    case 22: {
      return o + 68;
    }
    case 23: {
      return o + 60;
    }
    case 24: {
      return walkInvokeHostFunctionOp(d, o + 4, e, depth + 1);
    }
    case 25: {
      if (d.getInt32(o + 4) !== 0) reject('ExtensionPoint', o + 4);
      return o + 12;
    }
    case 26: {
      if (d.getInt32(o + 4) !== 0) reject('ExtensionPoint', o + 4);
      return o + 8;
    }
    default:
      return reject('OperationBody', o);
  }
}

function walkPaymentOp(d: DataView, o: number, e: number, depth: number): number {
  o = walkMuxedAccount(d, o, e);
  o = walkAsset(d, o, e, depth + 1);
  return o + 8;
}

function walkAsset(d: DataView, o: number, _e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      if (depth > 1498) reject('nested too deep', o + 4);
      if (depth > 1497) reject('nested too deep', o + 8);
      if (d.getInt32(o + 8) !== 0) reject('PublicKey', o + 8);
      return o + 44;
    }
    case 2: {
      if (depth > 1498) reject('nested too deep', o + 4);
      if (depth > 1497) reject('nested too deep', o + 16);
      if (d.getInt32(o + 16) !== 0) reject('PublicKey', o + 16);
      return o + 52;
    }
    default:
      return reject('Asset', o);
  }
}

function walkPathPaymentStrictReceiveOp(d: DataView, o: number, e: number, depth: number): number {
  o = walkAsset(d, o, e, depth + 1);
  o = walkMuxedAccount(d, o + 8, e);
  o = walkAsset(d, o, e, depth + 1);
  const n1 = d.getInt32(o + 8);
  if (n1 >>> 0 > 5) reject('length', o + 8);
  o += 12;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkAsset(d, o, e, depth + 2);
  }
  return o;
}

function walkManageSellOfferOp(d: DataView, o: number, e: number, depth: number): number {
  o = walkAsset(d, o, e, depth + 1);
  o = walkAsset(d, o, e, depth + 1);
  return o + 24;
}

function walkCreatePassiveSellOfferOp(d: DataView, o: number, e: number, depth: number): number {
  o = walkAsset(d, o, e, depth + 1);
  o = walkAsset(d, o, e, depth + 1);
  return o + 16;
}

function walkSetOptionsOp(d: DataView, o: number, e: number): number {
  const f1 = d.getInt32(o);
  o += 4;
  if (f1 === 1) {
    if (d.getInt32(o) !== 0) reject('PublicKey', o);
    o += 36;
  } else if (f1 !== 0) reject('option', o);
  const f2 = d.getInt32(o);
  o += 4;
  if (f2 === 1) {
    o += 4;
  } else if (f2 !== 0) reject('option', o);
  const f3 = d.getInt32(o);
  o += 4;
  if (f3 === 1) {
    o += 4;
  } else if (f3 !== 0) reject('option', o);
  const f4 = d.getInt32(o);
  o += 4;
  if (f4 === 1) {
    o += 4;
  } else if (f4 !== 0) reject('option', o);
  const f5 = d.getInt32(o);
  o += 4;
  if (f5 === 1) {
    o += 4;
  } else if (f5 !== 0) reject('option', o);
  const f6 = d.getInt32(o);
  o += 4;
  if (f6 === 1) {
    o += 4;
  } else if (f6 !== 0) reject('option', o);
  const f7 = d.getInt32(o);
  o += 4;
  if (f7 === 1) {
    o += 4;
  } else if (f7 !== 0) reject('option', o);
  const f8 = d.getInt32(o);
  o += 4;
  if (f8 === 1) {
    const n9 = d.getInt32(o);
    if (n9 >>> 0 > 32) reject('length', o);
    o += 4;
    if ((n9 & 3) !== 0 && (d.getInt32(o + (n9 & ~3)) & (-1 >>> ((n9 & 3) << 3))) !== 0) reject('padding', o + n9);
    o += (n9 + 3) & ~3;
  } else if (f8 !== 0) reject('option', o);
  const f9 = d.getInt32(o);
  o += 4;
  if (f9 === 1) {
    o = walkSigner(d, o, e);
  } else if (f9 !== 0) reject('option', o);
  return o;
}

function walkSigner(d: DataView, o: number, e: number): number {
  o = walkSignerKey(d, o, e);
  return o + 4;
}

function walkSignerKey(d: DataView, o: number, e: number): number {
  switch (d.getInt32(o)) {
    case 0:
    case 1:
    case 2: {
      return o + 36;
    }
    case 3: {
      return walkSignerKeyEd25519SignedPayload(d, o + 4, e);
    }
    default:
      return reject('SignerKey', o);
  }
}

function walkSignerKeyEd25519SignedPayload(d: DataView, o: number, _e: number): number {
  const n1 = d.getInt32(o + 32);
  if (n1 >>> 0 > 64) reject('length', o + 32);
  o += 36;
  if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
  o += (n1 + 3) & ~3;
  return o;
}

function walkChangeTrustOp(d: DataView, o: number, e: number, depth: number): number {
  o = walkChangeTrustAsset(d, o, e, depth + 1);
  return o + 8;
}

function walkChangeTrustAsset(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      if (d.getInt32(o + 8) !== 0) reject('PublicKey', o + 8);
      return o + 44;
    }
    case 2: {
      if (d.getInt32(o + 16) !== 0) reject('PublicKey', o + 16);
      return o + 52;
    }
    case 3: {
      return walkLiquidityPoolParameters(d, o + 4, e, depth + 1);
    }
    default:
      return reject('ChangeTrustAsset', o);
  }
}

function walkLiquidityPoolParameters(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('LiquidityPoolParameters', o);
  return walkLiquidityPoolConstantProductParameters(d, o + 4, e, depth + 1);
}

function walkLiquidityPoolConstantProductParameters(d: DataView, o: number, e: number, depth: number): number {
  o = walkAsset(d, o, e, depth + 1);
  o = walkAsset(d, o, e, depth + 1);
  return o + 4;
}

function walkAllowTrustOp(d: DataView, o: number, e: number): number {
  if (d.getInt32(o) !== 0) reject('PublicKey', o);
  o = walkAssetCode(d, o + 36, e);
  return o + 4;
}

function walkAssetCode(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 1: {
      return o + 8;
    }
    case 2: {
      return o + 16;
    }
    default:
      return reject('AssetCode', o);
  }
}

function walkManageDataOp(d: DataView, o: number, _e: number): number {
  const n1 = d.getInt32(o);
  if (n1 >>> 0 > 64) reject('length', o);
  o += 4;
  if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
  o += (n1 + 3) & ~3;
  const f2 = d.getInt32(o);
  o += 4;
  if (f2 === 1) {
    const n3 = d.getInt32(o);
    if (n3 >>> 0 > 64) reject('length', o);
    o += 4;
    if ((n3 & 3) !== 0 && (d.getInt32(o + (n3 & ~3)) & (-1 >>> ((n3 & 3) << 3))) !== 0) reject('padding', o + n3);
    o += (n3 + 3) & ~3;
  } else if (f2 !== 0) reject('option', o);
  return o;
}

function walkManageBuyOfferOp(d: DataView, o: number, e: number, depth: number): number {
  o = walkAsset(d, o, e, depth + 1);
  o = walkAsset(d, o, e, depth + 1);
  return o + 24;
}

function walkPathPaymentStrictSendOp(d: DataView, o: number, e: number, depth: number): number {
  o = walkAsset(d, o, e, depth + 1);
  o = walkMuxedAccount(d, o + 8, e);
  o = walkAsset(d, o, e, depth + 1);
  const n1 = d.getInt32(o + 8);
  if (n1 >>> 0 > 5) reject('length', o + 8);
  o += 12;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkAsset(d, o, e, depth + 2);
  }
  return o;
}

function walkCreateClaimableBalanceOp(d: DataView, o: number, e: number, depth: number): number {
  o = walkAsset(d, o, e, depth + 1);
  const n1 = d.getInt32(o + 8);
  if (n1 >>> 0 > 10) reject('length', o + 8);
  o += 12;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkClaimant(d, o, e, depth + 2);
  }
  return o;
}

function walkClaimant(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('Claimant', o);
  return walkClaimantV0(d, o + 4, e, depth + 1);
}

function walkClaimantV0(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('PublicKey', o);
  return walkClaimPredicate(d, o + 36, e, depth + 1);
}

function walkClaimPredicate(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1:
    case 2: {
      if (depth > 1498) reject('nested too deep', o + 4);
      const n1 = d.getInt32(o + 4);
      if (n1 >>> 0 > 2) reject('length', o + 4);
      o += 8;
      for (let i2 = n1; i2 > 0; i2--) {
        if (depth > 1497) reject('nested too deep', o);
        o = walkClaimPredicate(d, o, e, depth + 3);
      }
      return o;
    }
    case 3: {
      if (depth > 1498) reject('nested too deep', o + 4);
      const f1 = d.getInt32(o + 4);
      o += 8;
      if (f1 === 1) {
        if (depth > 1497) reject('nested too deep', o);
        o = walkClaimPredicate(d, o, e, depth + 3);
      } else if (f1 !== 0) reject('option', o);
      return o;
    }
    case 4:
    case 5: {
      return o + 12;
    }
    default:
      return reject('ClaimPredicate', o);
  }
}

function walkRevokeSponsorshipOp(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return walkLedgerKey(d, o + 4, e, depth + 1);
    }
    case 1: {
      return walkRevokeSponsorshipOpSigner(d, o + 4, e);
    }
    default:
      return reject('RevokeSponsorshipOp', o);
  }
}

function walkLedgerKey(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      if (d.getInt32(o + 4) !== 0) reject('PublicKey', o + 4);
      return o + 40;
    }
    case 1: {
      return walkLedgerKeyTrustLine(d, o + 4, e);
    }
    case 2: {
      if (d.getInt32(o + 4) !== 0) reject('PublicKey', o + 4);
      return o + 48;
    }
    case 3: {
      return walkLedgerKeyData(d, o + 4, e);
    }
    case 4: {
      if (d.getInt32(o + 4) !== 0) reject('ClaimableBalanceId', o + 4);
      return o + 40;
    }
    case 5:
    case 7:
    case 9: {
      return o + 36;
    }
    case 6: {
      return walkLedgerKeyContractData(d, o + 4, e, depth + 1);
    }
    case 8: {
      if (d.getInt32(o + 4) >>> 0 > 20) reject('ConfigSettingId', o + 4);
      return o + 8;
    }
    default:
      return reject('LedgerKey', o);
  }
}

function walkLedgerKeyTrustLine(d: DataView, o: number, e: number): number {
  if (d.getInt32(o) !== 0) reject('PublicKey', o);
  return walkTrustLineAsset(d, o + 36, e);
}

function walkTrustLineAsset(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      if (d.getInt32(o + 8) !== 0) reject('PublicKey', o + 8);
      return o + 44;
    }
    case 2: {
      if (d.getInt32(o + 16) !== 0) reject('PublicKey', o + 16);
      return o + 52;
    }
    case 3: {
      return o + 36;
    }
    default:
      return reject('TrustLineAsset', o);
  }
}

function walkLedgerKeyData(d: DataView, o: number, _e: number): number {
  if (d.getInt32(o) !== 0) reject('PublicKey', o);
  const n1 = d.getInt32(o + 36);
  if (n1 >>> 0 > 64) reject('length', o + 36);
  o += 40;
  if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
  o += (n1 + 3) & ~3;
  return o;
}

function walkLedgerKeyContractData(d: DataView, o: number, e: number, depth: number): number {
  o = walkScAddress(d, o, e, depth + 1);
  o = walkScVal(d, o, e, depth + 1);
  if (d.getInt32(o) >>> 0 > 1) reject('ContractDataDurability', o);
  return o + 4;
}

function walkScAddress(d: DataView, o: number, _e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  switch (d.getInt32(o)) {
    case 0: {
      if (depth > 1498) reject('nested too deep', o + 4);
      if (d.getInt32(o + 4) !== 0) reject('PublicKey', o + 4);
      return o + 40;
    }
    case 1:
    case 4: {
      return o + 36;
    }
    case 2: {
      if (depth > 1498) reject('nested too deep', o + 4);
      return o + 44;
    }
    case 3: {
      if (depth > 1498) reject('nested too deep', o + 4);
      if (d.getInt32(o + 4) !== 0) reject('ClaimableBalanceId', o + 4);
      return o + 40;
    }
    default:
      return reject('ScAddress', o);
  }
}

function walkScVal(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  switch (d.getInt32(o)) {
    case 0: {
      if (d.getInt32(o + 4) >>> 0 > 1) reject('bool', o + 4);
      return o + 8;
    }
    case 1:
    case 20: {
      return o + 4;
    }
    case 2: {
      return walkScError(d, o + 4, e, depth + 1);
    }
    case 3:
    case 4: {
      return o + 8;
    }
    case 5:
    case 6:
    case 7:
    case 8: {
      return o + 12;
    }
    case 9:
    case 10: {
      if (depth > 1498) reject('nested too deep', o + 4);
      return o + 20;
    }
    case 11:
    case 12: {
      if (depth > 1498) reject('nested too deep', o + 4);
      return o + 36;
    }
    case 13:
    case 14:
    case 22: {
      const n1 = d.getInt32(o + 4);
      if (n1 < 0 || n1 > e - o) reject('length', o + 4);
      o += 8;
      if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
      o += (n1 + 3) & ~3;
      return o;
    }
    case 15: {
      const n1 = d.getInt32(o + 4);
      if (n1 >>> 0 > 32) reject('length', o + 4);
      o += 8;
      if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
      o += (n1 + 3) & ~3;
      return o;
    }
    case 16: {
      if (depth > 1498) reject('nested too deep', o + 4);
      const f1 = d.getInt32(o + 4);
      o += 8;
      if (f1 === 1) {
        if (depth > 1497) reject('nested too deep', o);
        const n2 = d.getInt32(o);
        if (n2 < 0 || n2 > e - o) reject('length', o);
        o += 4;
        for (let i3 = n2; i3 > 0; i3--) {
          if (depth > 1496) reject('nested too deep', o);
          o = walkScVal(d, o, e, depth + 4);
        }
      } else if (f1 !== 0) reject('option', o);
      return o;
    }
    case 17: {
      if (depth > 1498) reject('nested too deep', o + 4);
      const f1 = d.getInt32(o + 4);
      o += 8;
      if (f1 === 1) {
        if (depth > 1497) reject('nested too deep', o);
        const n2 = d.getInt32(o);
        if (n2 < 0 || n2 > e - o) reject('length', o);
        o += 4;
        for (let i3 = n2; i3 > 0; i3--) {
          if (depth > 1496) reject('nested too deep', o);
          o = walkScMapEntry(d, o, e, depth + 4);
        }
      } else if (f1 !== 0) reject('option', o);
      return o;
    }
    case 18: {
      return walkScAddress(d, o + 4, e, depth + 1);
    }
    case 19: {
      if (depth > 1498) reject('nested too deep', o + 4);
      return walkScContractInstance(d, o + 4, e, depth + 2);
    }
    case 21: {
      if (depth > 1498) reject('nested too deep', o + 4);
      return o + 12;
    }
    default:
      return reject('ScVal', o);
  }
}

function walkScError(d: DataView, o: number, _e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  switch (d.getInt32(o)) {
    case 0: {
      return o + 8;
    }
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
    case 8:
    case 9: {
      if (d.getInt32(o + 4) >>> 0 > 9) reject('ScErrorCode', o + 4);
      return o + 8;
    }
    default:
      return reject('ScError', o);
  }
}

function walkScMapEntry(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  if (depth > 1498) reject('nested too deep', o);
  o = walkScVal(d, o, e, depth + 2);
  return walkScVal(d, o, e, depth + 2);
}

function walkScContractInstance(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  o = walkContractExecutable(d, o, e, depth + 1);
  if (depth > 1498) reject('nested too deep', o);
  const f1 = d.getInt32(o);
  o += 4;
  if (f1 === 1) {
    if (depth > 1497) reject('nested too deep', o);
    const n2 = d.getInt32(o);
    if (n2 < 0 || n2 > e - o) reject('length', o);
    o += 4;
    for (let i3 = n2; i3 > 0; i3--) {
      if (depth > 1496) reject('nested too deep', o);
      o = walkScMapEntry(d, o, e, depth + 4);
    }
  } else if (f1 !== 0) reject('option', o);
  return o;
}

function walkContractExecutable(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  switch (d.getInt32(o)) {
    case 0: {
      return o + 36;
    }
    case 1: {
      return o + 4;
    }
    case 2: {
      return walkContractExecutableExternalRef(d, o + 4, e, depth + 1);
    }
    default:
      return reject('ContractExecutable', o);
  }
}

function walkContractExecutableExternalRef(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  o = walkScAddress(d, o, e, depth + 1);
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
  o += (n1 + 3) & ~3;
  return o;
}

function walkRevokeSponsorshipOpSigner(d: DataView, o: number, e: number): number {
  if (d.getInt32(o) !== 0) reject('PublicKey', o);
  return walkSignerKey(d, o + 36, e);
}

function walkClawbackOp(d: DataView, o: number, e: number, depth: number): number {
  o = walkAsset(d, o, e, depth + 1);
  o = walkMuxedAccount(d, o, e);
  return o + 8;
}

function walkSetTrustLineFlagsOp(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('PublicKey', o);
  o = walkAsset(d, o + 36, e, depth + 1);
  return o + 8;
}

function walkInvokeHostFunctionOp(d: DataView, o: number, e: number, depth: number): number {
  o = walkHostFunction(d, o, e, depth + 1);
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkSorobanAuthorizationEntry(d, o, e, depth + 2);
  }
  return o;
}

function walkHostFunction(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return walkInvokeContractArgs(d, o + 4, e, depth + 1);
    }
    case 1: {
      return walkCreateContractArgs(d, o + 4, e, depth + 1);
    }
    case 2: {
      const n1 = d.getInt32(o + 4);
      if (n1 < 0 || n1 > e - o) reject('length', o + 4);
      o += 8;
      if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
      o += (n1 + 3) & ~3;
      return o;
    }
    case 3: {
      return walkCreateContractArgsV2(d, o + 4, e, depth + 1);
    }
    default:
      return reject('HostFunction', o);
  }
}

function walkInvokeContractArgs(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  o = walkScAddress(d, o, e, depth + 1);
  const n1 = d.getInt32(o);
  if (n1 >>> 0 > 32) reject('length', o);
  o += 4;
  if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
  o += (n1 + 3) & ~3;
  if (depth > 1498) reject('nested too deep', o);
  const n2 = d.getInt32(o);
  if (n2 < 0 || n2 > e - o) reject('length', o);
  o += 4;
  for (let i3 = n2; i3 > 0; i3--) {
    o = walkScVal(d, o, e, depth + 2);
  }
  return o;
}

function walkCreateContractArgs(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  o = walkContractIdPreimage(d, o, e, depth + 1);
  return walkContractExecutable(d, o, e, depth + 1);
}

function walkContractIdPreimage(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  switch (d.getInt32(o)) {
    case 0: {
      return walkContractIdPreimageFromAddress(d, o + 4, e, depth + 1);
    }
    case 1: {
      return walkAsset(d, o + 4, e, depth + 1);
    }
    default:
      return reject('ContractIdPreimage', o);
  }
}

function walkContractIdPreimageFromAddress(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  o = walkScAddress(d, o, e, depth + 1);
  return o + 32;
}

function walkCreateContractArgsV2(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  o = walkContractIdPreimage(d, o, e, depth + 1);
  o = walkContractExecutable(d, o, e, depth + 1);
  if (depth > 1498) reject('nested too deep', o);
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkScVal(d, o, e, depth + 2);
  }
  return o;
}

function walkSorobanAuthorizationEntry(d: DataView, o: number, e: number, depth: number): number {
  o = walkSorobanCredentials(d, o, e, depth + 1);
  return walkSorobanAuthorizedInvocation(d, o, e, depth + 1);
}

function walkSorobanCredentials(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1:
    case 2: {
      return walkSorobanAddressCredentials(d, o + 4, e, depth + 1);
    }
    case 3: {
      return walkSorobanAddressCredentialsWithDelegates(d, o + 4, e, depth + 1);
    }
    default:
      return reject('SorobanCredentials', o);
  }
}

function walkSorobanAddressCredentials(d: DataView, o: number, e: number, depth: number): number {
  o = walkScAddress(d, o, e, depth + 1);
  return walkScVal(d, o + 12, e, depth + 1);
}

function walkSorobanAddressCredentialsWithDelegates(d: DataView, o: number, e: number, depth: number): number {
  o = walkSorobanAddressCredentials(d, o, e, depth + 1);
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkSorobanDelegateSignature(d, o, e, depth + 2);
  }
  return o;
}

function walkSorobanDelegateSignature(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  o = walkScAddress(d, o, e, depth + 1);
  o = walkScVal(d, o, e, depth + 1);
  if (depth > 1498) reject('nested too deep', o);
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    if (depth > 1497) reject('nested too deep', o);
    o = walkSorobanDelegateSignature(d, o, e, depth + 3);
  }
  return o;
}

function walkSorobanAuthorizedInvocation(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  o = walkSorobanAuthorizedFunction(d, o, e, depth + 1);
  if (depth > 1498) reject('nested too deep', o);
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    if (depth > 1497) reject('nested too deep', o);
    o = walkSorobanAuthorizedInvocation(d, o, e, depth + 3);
  }
  return o;
}

function walkSorobanAuthorizedFunction(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  switch (d.getInt32(o)) {
    case 0: {
      return walkInvokeContractArgs(d, o + 4, e, depth + 1);
    }
    case 1: {
      return walkCreateContractArgs(d, o + 4, e, depth + 1);
    }
    case 2: {
      return walkCreateContractArgsV2(d, o + 4, e, depth + 1);
    }
    default:
      return reject('SorobanAuthorizedFunction', o);
  }
}

function walkDecoratedSignature(d: DataView, o: number, _e: number): number {
  const n1 = d.getInt32(o + 4);
  if (n1 >>> 0 > 64) reject('length', o + 4);
  o += 8;
  if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
  o += (n1 + 3) & ~3;
  return o;
}

function walkTransactionV1Envelope(d: DataView, o: number, e: number, depth: number): number {
  o = walkTransaction(d, o, e, depth + 1);
  const n1 = d.getInt32(o);
  if (n1 >>> 0 > 20) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkDecoratedSignature(d, o, e);
  }
  return o;
}

function walkTransaction(d: DataView, o: number, e: number, depth: number): number {
  o = walkMuxedAccount(d, o, e);
  o = walkPreconditions(d, o + 12, e);
  o = walkMemo(d, o, e);
  const n1 = d.getInt32(o);
  if (n1 >>> 0 > 100) reject('length', o);
  at[17]! += n1;
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkOperation(d, o, e, depth + 2);
  }
  return walkTransactionExt(d, o, e, depth + 1);
}

function walkPreconditions(d: DataView, o: number, e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      return o + 20;
    }
    case 2: {
      return walkPreconditionsV2(d, o + 4, e);
    }
    default:
      return reject('Preconditions', o);
  }
}

function walkPreconditionsV2(d: DataView, o: number, e: number): number {
  const f1 = d.getInt32(o);
  o += 4;
  if (f1 === 1) {
    o += 16;
  } else if (f1 !== 0) reject('option', o);
  const f2 = d.getInt32(o);
  o += 4;
  if (f2 === 1) {
    o += 8;
  } else if (f2 !== 0) reject('option', o);
  const f3 = d.getInt32(o);
  o += 4;
  if (f3 === 1) {
    o += 8;
  } else if (f3 !== 0) reject('option', o);
  const n4 = d.getInt32(o + 12);
  if (n4 >>> 0 > 2) reject('length', o + 12);
  o += 16;
  for (let i5 = n4; i5 > 0; i5--) {
    o = walkSignerKey(d, o, e);
  }
  return o;
}

function walkTransactionExt(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      return walkSorobanTransactionData(d, o + 4, e, depth + 1);
    }
    default:
      return reject('TransactionExt', o);
  }
}

function walkSorobanTransactionData(d: DataView, o: number, e: number, depth: number): number {
  o = walkSorobanTransactionDataExt(d, o, e);
  o = walkSorobanResources(d, o, e, depth + 1);
  return o + 8;
}

function walkSorobanTransactionDataExt(d: DataView, o: number, e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      return walkSorobanResourcesExtV0(d, o + 4, e);
    }
    default:
      return reject('SorobanTransactionDataExt', o);
  }
}

function walkSorobanResourcesExtV0(d: DataView, o: number, e: number): number {
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  if (n1 * 4 > e - o) reject('length', o);
  o += n1 * 4;
  return o;
}

function walkSorobanResources(d: DataView, o: number, e: number, depth: number): number {
  o = walkLedgerFootprint(d, o, e, depth + 1);
  return o + 12;
}

function walkLedgerFootprint(d: DataView, o: number, e: number, depth: number): number {
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkLedgerKey(d, o, e, depth + 2);
  }
  const n3 = d.getInt32(o);
  if (n3 < 0 || n3 > e - o) reject('length', o);
  o += 4;
  for (let i4 = n3; i4 > 0; i4--) {
    o = walkLedgerKey(d, o, e, depth + 2);
  }
  return o;
}

function walkFeeBumpTransactionEnvelope(d: DataView, o: number, e: number, depth: number): number {
  o = walkFeeBumpTransaction(d, o, e, depth + 1);
  const n1 = d.getInt32(o);
  if (n1 >>> 0 > 20) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkDecoratedSignature(d, o, e);
  }
  return o;
}

function walkFeeBumpTransaction(d: DataView, o: number, e: number, depth: number): number {
  o = walkMuxedAccount(d, o, e);
  o = walkFeeBumpTransactionInnerTx(d, o + 8, e, depth + 1);
  if (d.getInt32(o) !== 0) reject('FeeBumpTransactionExt', o);
  return o + 4;
}

function walkFeeBumpTransactionInnerTx(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 2) reject('FeeBumpTransactionInnerTx', o);
  return walkTransactionV1Envelope(d, o + 4, e, depth + 1);
}

function walkTransactionResultMeta(d: DataView, o: number, e: number, depth: number): number {
  const p1 = o;
  o = walkTransactionResultPair(d, o, e, depth + 1);
  record.addPair(p1, o);
  const n2 = d.getInt32(o);
  if (n2 < 0 || n2 > e - o) reject('length', o);
  o += 4;
  for (let i3 = n2; i3 > 0; i3--) {
    o = walkLedgerEntryChange(d, o, e, depth + 2);
  }
  return walkTransactionMeta(d, o, e, depth + 1);
}

function walkTransactionResultPair(d: DataView, o: number, e: number, depth: number): number {
  return walkTransactionResult(d, o + 32, e, depth + 1);
}

function walkTransactionResult(d: DataView, o: number, e: number, depth: number): number {
  o = walkTransactionResultResult(d, o + 8, e, depth + 1);
  if (d.getInt32(o) !== 0) reject('TransactionResultExt', o);
  return o + 4;
}

function walkTransactionResultResult(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case -13:
    case 1: {
      return walkInnerTransactionResultPair(d, o + 4, e, depth + 1);
    }
    case -1:
    case 0: {
      const n1 = d.getInt32(o + 4);
      if (n1 < 0 || n1 > e - o) reject('length', o + 4);
      o += 8;
      for (let i2 = n1; i2 > 0; i2--) {
        o = walkOperationResult(d, o, e, depth + 2);
      }
      return o;
    }
    case -18:
    case -17:
    case -16:
    case -15:
    case -14:
    case -12:
    case -11:
    case -10:
    case -9:
    case -8:
    case -7:
    case -6:
    case -5:
    case -4:
    case -3:
    case -2: {
      return o + 4;
    }
    default:
      return reject('TransactionResultResult', o);
  }
}

function walkInnerTransactionResultPair(d: DataView, o: number, e: number, depth: number): number {
  return walkInnerTransactionResult(d, o + 32, e, depth + 1);
}

function walkInnerTransactionResult(d: DataView, o: number, e: number, depth: number): number {
  o = walkInnerTransactionResultResult(d, o + 8, e, depth + 1);
  if (d.getInt32(o) !== 0) reject('InnerTransactionResultExt', o);
  return o + 4;
}

function walkInnerTransactionResultResult(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case -1:
    case 0: {
      const n1 = d.getInt32(o + 4);
      if (n1 < 0 || n1 > e - o) reject('length', o + 4);
      o += 8;
      for (let i2 = n1; i2 > 0; i2--) {
        o = walkOperationResult(d, o, e, depth + 2);
      }
      return o;
    }
    case -18:
    case -17:
    case -16:
    case -15:
    case -14:
    case -12:
    case -11:
    case -10:
    case -9:
    case -8:
    case -7:
    case -6:
    case -5:
    case -4:
    case -3:
    case -2: {
      return o + 4;
    }
    default:
      return reject('InnerTransactionResultResult', o);
  }
}

function walkOperationResult(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return walkOperationResultTr(d, o + 4, e, depth + 1);
    }
    case -6:
    case -5:
    case -4:
    case -3:
    case -2:
    case -1: {
      return o + 4;
    }
    default:
      return reject('OperationResult', o);
  }
}

function walkOperationResultTr(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -4 || v1 > 0) reject('CreateAccountResult', o + 4);
      return o + 8;
    }
    case 1: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -9 || v1 > 0) reject('PaymentResult', o + 4);
      return o + 8;
    }
    case 2: {
      return walkPathPaymentStrictReceiveResult(d, o + 4, e, depth + 1);
    }
    case 3:
    case 4: {
      return walkManageSellOfferResult(d, o + 4, e, depth + 1);
    }
    case 5: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -10 || v1 > 0) reject('SetOptionsResult', o + 4);
      return o + 8;
    }
    case 6: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -8 || v1 > 0) reject('ChangeTrustResult', o + 4);
      return o + 8;
    }
    case 7: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -6 || v1 > 0) reject('AllowTrustResult', o + 4);
      return o + 8;
    }
    case 8: {
      return walkAccountMergeResult(d, o + 4, e);
    }
    case 9: {
      return walkInflationResult(d, o + 4, e);
    }
    case 10: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -4 || v1 > 0) reject('ManageDataResult', o + 4);
      return o + 8;
    }
    case 11: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -1 || v1 > 0) reject('BumpSequenceResult', o + 4);
      return o + 8;
    }
    case 12: {
      return walkManageBuyOfferResult(d, o + 4, e, depth + 1);
    }
    case 13: {
      return walkPathPaymentStrictSendResult(d, o + 4, e, depth + 1);
    }
    case 14: {
      return walkCreateClaimableBalanceResult(d, o + 4, e);
    }
    case 15: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -6 || v1 > 0) reject('ClaimClaimableBalanceResult', o + 4);
      return o + 8;
    }
    case 16: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -3 || v1 > 0) reject('BeginSponsoringFutureReservesResult', o + 4);
      return o + 8;
    }
    case 17: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -1 || v1 > 0) reject('EndSponsoringFutureReservesResult', o + 4);
      return o + 8;
    }
    case 18: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -5 || v1 > 0) reject('RevokeSponsorshipResult', o + 4);
      return o + 8;
    }
    case 19: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -4 || v1 > 0) reject('ClawbackResult', o + 4);
      return o + 8;
    }
    case 20: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -3 || v1 > 0) reject('ClawbackClaimableBalanceResult', o + 4);
      return o + 8;
    }
    case 21: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -5 || v1 > 0) reject('SetTrustLineFlagsResult', o + 4);
      return o + 8;
    }
    case 22: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -8 || v1 > 0) reject('LiquidityPoolDepositResult', o + 4);
      return o + 8;
    }
    case 23: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -6 || v1 > 0) reject('LiquidityPoolWithdrawResult', o + 4);
      return o + 8;
    }
    case 24: {
      return walkInvokeHostFunctionResult(d, o + 4, e);
    }
    case 25: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -3 || v1 > 0) reject('ExtendFootprintTtlResult', o + 4);
      return o + 8;
    }
    case 26: {
      const v1 = d.getInt32(o + 4);
      if (v1 < -3 || v1 > 0) reject('RestoreFootprintResult', o + 4);
      return o + 8;
    }
    default:
      return reject('OperationResultTr', o);
  }
}

function walkPathPaymentStrictReceiveResult(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return walkPathPaymentStrictReceiveResultSuccess(d, o + 4, e, depth + 1);
    }
    case -12:
    case -11:
    case -10:
    case -8:
    case -7:
    case -6:
    case -5:
    case -4:
    case -3:
    case -2:
    case -1: {
      return o + 4;
    }
    case -9: {
      return walkAsset(d, o + 4, e, depth + 1);
    }
    default:
      return reject('PathPaymentStrictReceiveResult', o);
  }
}

function walkPathPaymentStrictReceiveResultSuccess(d: DataView, o: number, e: number, depth: number): number {
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkClaimAtom(d, o, e, depth + 2);
  }
  return walkSimplePaymentResult(d, o, e, depth + 1);
}

function walkClaimAtom(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return walkClaimOfferAtomV0(d, o + 4, e, depth + 1);
    }
    case 1: {
      return walkClaimOfferAtom(d, o + 4, e, depth + 1);
    }
    case 2: {
      return walkClaimLiquidityAtom(d, o + 4, e, depth + 1);
    }
    default:
      return reject('ClaimAtom', o);
  }
}

function walkClaimOfferAtomV0(d: DataView, o: number, e: number, depth: number): number {
  o = walkAsset(d, o + 40, e, depth + 1);
  o = walkAsset(d, o + 8, e, depth + 1);
  return o + 8;
}

function walkClaimOfferAtom(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('PublicKey', o);
  o = walkAsset(d, o + 44, e, depth + 1);
  o = walkAsset(d, o + 8, e, depth + 1);
  return o + 8;
}

function walkClaimLiquidityAtom(d: DataView, o: number, e: number, depth: number): number {
  o = walkAsset(d, o + 32, e, depth + 1);
  o = walkAsset(d, o + 8, e, depth + 1);
  return o + 8;
}

function walkSimplePaymentResult(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('PublicKey', o);
  o = walkAsset(d, o + 36, e, depth + 1);
  return o + 8;
}

function walkManageSellOfferResult(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return walkManageOfferSuccessResult(d, o + 4, e, depth + 1);
    }
    case -12:
    case -11:
    case -10:
    case -9:
    case -8:
    case -7:
    case -6:
    case -5:
    case -4:
    case -3:
    case -2:
    case -1: {
      return o + 4;
    }
    default:
      return reject('ManageSellOfferResult', o);
  }
}

function walkManageOfferSuccessResult(d: DataView, o: number, e: number, depth: number): number {
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkClaimAtom(d, o, e, depth + 2);
  }
  return walkManageOfferSuccessResultOffer(d, o, e, depth + 1);
}

function walkManageOfferSuccessResultOffer(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0:
    case 1: {
      return walkOfferEntry(d, o + 4, e, depth + 1);
    }
    case 2: {
      return o + 4;
    }
    default:
      return reject('ManageOfferSuccessResultOffer', o);
  }
}

function walkOfferEntry(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('PublicKey', o);
  o = walkAsset(d, o + 44, e, depth + 1);
  o = walkAsset(d, o, e, depth + 1);
  if (d.getInt32(o + 20) !== 0) reject('OfferEntryExt', o + 20);
  return o + 24;
}

function walkAccountMergeResult(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 12;
    }
    case -7:
    case -6:
    case -5:
    case -4:
    case -3:
    case -2:
    case -1: {
      return o + 4;
    }
    default:
      return reject('AccountMergeResult', o);
  }
}

function walkInflationResult(d: DataView, o: number, e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      const n1 = d.getInt32(o + 4);
      if (n1 < 0 || n1 > e - o) reject('length', o + 4);
      o += 8;
      for (let i2 = n1; i2 > 0; i2--) {
        if (d.getInt32(o) !== 0) reject('PublicKey', o);
        o += 44;
      }
      return o;
    }
    case -1: {
      return o + 4;
    }
    default:
      return reject('InflationResult', o);
  }
}

function walkManageBuyOfferResult(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return walkManageOfferSuccessResult(d, o + 4, e, depth + 1);
    }
    case -12:
    case -11:
    case -10:
    case -9:
    case -8:
    case -7:
    case -6:
    case -5:
    case -4:
    case -3:
    case -2:
    case -1: {
      return o + 4;
    }
    default:
      return reject('ManageBuyOfferResult', o);
  }
}

function walkPathPaymentStrictSendResult(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return walkPathPaymentStrictSendResultSuccess(d, o + 4, e, depth + 1);
    }
    case -12:
    case -11:
    case -10:
    case -8:
    case -7:
    case -6:
    case -5:
    case -4:
    case -3:
    case -2:
    case -1: {
      return o + 4;
    }
    case -9: {
      return walkAsset(d, o + 4, e, depth + 1);
    }
    default:
      return reject('PathPaymentStrictSendResult', o);
  }
}

function walkPathPaymentStrictSendResultSuccess(d: DataView, o: number, e: number, depth: number): number {
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkClaimAtom(d, o, e, depth + 2);
  }
  return walkSimplePaymentResult(d, o, e, depth + 1);
}

function walkCreateClaimableBalanceResult(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      if (d.getInt32(o + 4) !== 0) reject('ClaimableBalanceId', o + 4);
      return o + 40;
    }
    case -5:
    case -4:
    case -3:
    case -2:
    case -1: {
      return o + 4;
    }
    default:
      return reject('CreateClaimableBalanceResult', o);
  }
}

function walkInvokeHostFunctionResult(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 36;
    }
    case -5:
    case -4:
    case -3:
    case -2:
    case -1: {
      return o + 4;
    }
    default:
      return reject('InvokeHostFunctionResult', o);
  }
}

function walkLedgerEntryChange(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0:
    case 1:
    case 3:
    case 4: {
      return walkLedgerEntry(d, o + 4, e, depth + 1);
    }
    case 2: {
      return walkLedgerKey(d, o + 4, e, depth + 1);
    }
    default:
      return reject('LedgerEntryChange', o);
  }
}

function walkLedgerEntry(d: DataView, o: number, e: number, depth: number): number {
  o = walkLedgerEntryData(d, o + 4, e, depth + 1);
  return walkLedgerEntryExt(d, o, e);
}

function walkLedgerEntryData(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return walkAccountEntry(d, o + 4, e);
    }
    case 1: {
      return walkTrustLineEntry(d, o + 4, e);
    }
    case 2: {
      return walkOfferEntry(d, o + 4, e, depth + 1);
    }
    case 3: {
      return walkDataEntry(d, o + 4, e);
    }
    case 4: {
      return walkClaimableBalanceEntry(d, o + 4, e, depth + 1);
    }
    case 5: {
      return walkLiquidityPoolEntry(d, o + 4, e, depth + 1);
    }
    case 6: {
      return walkContractDataEntry(d, o + 4, e, depth + 1);
    }
    case 7: {
      return walkContractCodeEntry(d, o + 4, e);
    }
    case 8: {
      return walkConfigSettingEntry(d, o + 4, e);
    }
    case 9: {
      return o + 40;
    }
    default:
      return reject('LedgerEntryData', o);
  }
}

function walkAccountEntry(d: DataView, o: number, e: number): number {
  if (d.getInt32(o) !== 0) reject('PublicKey', o);
  const f1 = d.getInt32(o + 56);
  o += 60;
  if (f1 === 1) {
    if (d.getInt32(o) !== 0) reject('PublicKey', o);
    o += 36;
  } else if (f1 !== 0) reject('option', o);
  const n2 = d.getInt32(o + 4);
  if (n2 >>> 0 > 32) reject('length', o + 4);
  o += 8;
  if ((n2 & 3) !== 0 && (d.getInt32(o + (n2 & ~3)) & (-1 >>> ((n2 & 3) << 3))) !== 0) reject('padding', o + n2);
  o += (n2 + 3) & ~3;
  const n3 = d.getInt32(o + 4);
  if (n3 >>> 0 > 20) reject('length', o + 4);
  o += 8;
  for (let i4 = n3; i4 > 0; i4--) {
    o = walkSigner(d, o, e);
  }
  return walkAccountEntryExt(d, o, e);
}

function walkAccountEntryExt(d: DataView, o: number, e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      return walkAccountEntryExtensionV1(d, o + 4, e);
    }
    default:
      return reject('AccountEntryExt', o);
  }
}

function walkAccountEntryExtensionV1(d: DataView, o: number, e: number): number {
  return walkAccountEntryExtensionV1Ext(d, o + 16, e);
}

function walkAccountEntryExtensionV1Ext(d: DataView, o: number, e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 2: {
      return walkAccountEntryExtensionV2(d, o + 4, e);
    }
    default:
      return reject('AccountEntryExtensionV1Ext', o);
  }
}

function walkAccountEntryExtensionV2(d: DataView, o: number, e: number): number {
  const n1 = d.getInt32(o + 8);
  if (n1 >>> 0 > 20) reject('length', o + 8);
  o += 12;
  for (let i2 = n1; i2 > 0; i2--) {
    const f3 = d.getInt32(o);
    o += 4;
    if (f3 === 1) {
      if (d.getInt32(o) !== 0) reject('PublicKey', o);
      o += 36;
    } else if (f3 !== 0) reject('option', o);
  }
  return walkAccountEntryExtensionV2Ext(d, o, e);
}

function walkAccountEntryExtensionV2Ext(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 3: {
      if (d.getInt32(o + 4) !== 0) reject('ExtensionPoint', o + 4);
      return o + 20;
    }
    default:
      return reject('AccountEntryExtensionV2Ext', o);
  }
}

function walkTrustLineEntry(d: DataView, o: number, e: number): number {
  if (d.getInt32(o) !== 0) reject('PublicKey', o);
  o = walkTrustLineAsset(d, o + 36, e);
  return walkTrustLineEntryExt(d, o + 20, e);
}

function walkTrustLineEntryExt(d: DataView, o: number, e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      return walkTrustLineEntryV1(d, o + 4, e);
    }
    default:
      return reject('TrustLineEntryExt', o);
  }
}

function walkTrustLineEntryV1(d: DataView, o: number, e: number): number {
  return walkTrustLineEntryV1Ext(d, o + 16, e);
}

function walkTrustLineEntryV1Ext(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 2: {
      if (d.getInt32(o + 8) !== 0) reject('TrustLineEntryExtensionV2Ext', o + 8);
      return o + 12;
    }
    default:
      return reject('TrustLineEntryV1Ext', o);
  }
}

function walkDataEntry(d: DataView, o: number, _e: number): number {
  if (d.getInt32(o) !== 0) reject('PublicKey', o);
  const n1 = d.getInt32(o + 36);
  if (n1 >>> 0 > 64) reject('length', o + 36);
  o += 40;
  if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
  o += (n1 + 3) & ~3;
  const n2 = d.getInt32(o);
  if (n2 >>> 0 > 64) reject('length', o);
  o += 4;
  if ((n2 & 3) !== 0 && (d.getInt32(o + (n2 & ~3)) & (-1 >>> ((n2 & 3) << 3))) !== 0) reject('padding', o + n2);
  o += (n2 + 3) & ~3;
  if (d.getInt32(o) !== 0) reject('DataEntryExt', o);
  return o + 4;
}

function walkClaimableBalanceEntry(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('ClaimableBalanceId', o);
  const n1 = d.getInt32(o + 36);
  if (n1 >>> 0 > 10) reject('length', o + 36);
  o += 40;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkClaimant(d, o, e, depth + 2);
  }
  o = walkAsset(d, o, e, depth + 1);
  return walkClaimableBalanceEntryExt(d, o + 8, e);
}

function walkClaimableBalanceEntryExt(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      if (d.getInt32(o + 4) !== 0) reject('ClaimableBalanceEntryExtensionV1Ext', o + 4);
      return o + 12;
    }
    default:
      return reject('ClaimableBalanceEntryExt', o);
  }
}

function walkLiquidityPoolEntry(d: DataView, o: number, e: number, depth: number): number {
  return walkLiquidityPoolEntryBody(d, o + 32, e, depth + 1);
}

function walkLiquidityPoolEntryBody(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('LiquidityPoolEntryBody', o);
  return walkLiquidityPoolEntryConstantProduct(d, o + 4, e, depth + 1);
}

function walkLiquidityPoolEntryConstantProduct(d: DataView, o: number, e: number, depth: number): number {
  o = walkLiquidityPoolConstantProductParameters(d, o, e, depth + 1);
  return o + 32;
}

function walkContractDataEntry(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('ExtensionPoint', o);
  o = walkScAddress(d, o + 4, e, depth + 1);
  o = walkScVal(d, o, e, depth + 1);
  if (d.getInt32(o) >>> 0 > 1) reject('ContractDataDurability', o);
  return walkScVal(d, o + 4, e, depth + 1);
}

function walkContractCodeEntry(d: DataView, o: number, e: number): number {
  o = walkContractCodeEntryExt(d, o, e);
  const n1 = d.getInt32(o + 32);
  if (n1 < 0 || n1 > e - o) reject('length', o + 32);
  o += 36;
  if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
  o += (n1 + 3) & ~3;
  return o;
}

function walkContractCodeEntryExt(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      if (d.getInt32(o + 4) !== 0) reject('ExtensionPoint', o + 4);
      if (d.getInt32(o + 8) !== 0) reject('ExtensionPoint', o + 8);
      return o + 52;
    }
    default:
      return reject('ContractCodeEntryExt', o);
  }
}

function walkConfigSettingEntry(d: DataView, o: number, e: number): number {
  switch (d.getInt32(o)) {
    case 0:
    case 8:
    case 9:
    case 11:
    case 14: {
      return o + 8;
    }
    case 1: {
      return o + 32;
    }
    case 2: {
      return o + 88;
    }
    case 3: {
      return o + 12;
    }
    case 4:
    case 15: {
      return o + 16;
    }
    case 5: {
      return o + 20;
    }
    case 6:
    case 7: {
      const n1 = d.getInt32(o + 4);
      if (n1 >>> 0 > 1024) reject('length', o + 4);
      o += 8;
      for (let i2 = n1; i2 > 0; i2--) {
        if (d.getInt32(o) !== 0) reject('ExtensionPoint', o);
        o += 20;
      }
      return o;
    }
    case 10: {
      return o + 52;
    }
    case 12: {
      const n1 = d.getInt32(o + 4);
      if (n1 < 0 || n1 > e - o) reject('length', o + 4);
      o += 8;
      if (n1 * 8 > e - o) reject('length', o);
      o += n1 * 8;
      return o;
    }
    case 13: {
      if (d.getInt32(o + 8) >>> 0 > 1) reject('bool', o + 8);
      return o + 20;
    }
    case 16: {
      return o + 24;
    }
    case 17: {
      return walkFrozenLedgerKeys(d, o + 4, e);
    }
    case 18: {
      return walkFrozenLedgerKeysDelta(d, o + 4, e);
    }
    case 19: {
      return walkFreezeBypassTxs(d, o + 4, e);
    }
    case 20: {
      return walkFreezeBypassTxsDelta(d, o + 4, e);
    }
    default:
      return reject('ConfigSettingEntry', o);
  }
}

function walkFrozenLedgerKeys(d: DataView, o: number, e: number): number {
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    const n3 = d.getInt32(o);
    if (n3 < 0 || n3 > e - o) reject('length', o);
    o += 4;
    if ((n3 & 3) !== 0 && (d.getInt32(o + (n3 & ~3)) & (-1 >>> ((n3 & 3) << 3))) !== 0) reject('padding', o + n3);
    o += (n3 + 3) & ~3;
  }
  return o;
}

function walkFrozenLedgerKeysDelta(d: DataView, o: number, e: number): number {
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    const n3 = d.getInt32(o);
    if (n3 < 0 || n3 > e - o) reject('length', o);
    o += 4;
    if ((n3 & 3) !== 0 && (d.getInt32(o + (n3 & ~3)) & (-1 >>> ((n3 & 3) << 3))) !== 0) reject('padding', o + n3);
    o += (n3 + 3) & ~3;
  }
  const n3 = d.getInt32(o);
  if (n3 < 0 || n3 > e - o) reject('length', o);
  o += 4;
  for (let i4 = n3; i4 > 0; i4--) {
    const n5 = d.getInt32(o);
    if (n5 < 0 || n5 > e - o) reject('length', o);
    o += 4;
    if ((n5 & 3) !== 0 && (d.getInt32(o + (n5 & ~3)) & (-1 >>> ((n5 & 3) << 3))) !== 0) reject('padding', o + n5);
    o += (n5 + 3) & ~3;
  }
  return o;
}

function walkFreezeBypassTxs(d: DataView, o: number, e: number): number {
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  if (n1 * 32 > e - o) reject('length', o);
  o += n1 * 32;
  return o;
}

function walkFreezeBypassTxsDelta(d: DataView, o: number, e: number): number {
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  if (n1 * 32 > e - o) reject('length', o);
  o += n1 * 32;
  const n2 = d.getInt32(o);
  if (n2 < 0 || n2 > e - o) reject('length', o);
  o += 4;
  if (n2 * 32 > e - o) reject('length', o);
  o += n2 * 32;
  return o;
}

function walkLedgerEntryExt(d: DataView, o: number, e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      return walkLedgerEntryExtensionV1(d, o + 4, e);
    }
    default:
      return reject('LedgerEntryExt', o);
  }
}

function walkLedgerEntryExtensionV1(d: DataView, o: number, _e: number): number {
  const f1 = d.getInt32(o);
  o += 4;
  if (f1 === 1) {
    if (d.getInt32(o) !== 0) reject('PublicKey', o);
    o += 36;
  } else if (f1 !== 0) reject('option', o);
  if (d.getInt32(o) !== 0) reject('LedgerEntryExtensionV1Ext', o);
  return o + 4;
}

function walkTransactionMeta(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      const n1 = d.getInt32(o + 4);
      if (n1 < 0 || n1 > e - o) reject('length', o + 4);
      o += 8;
      for (let i2 = n1; i2 > 0; i2--) {
        o = walkOperationMeta(d, o, e, depth + 2);
      }
      return o;
    }
    case 1: {
      return walkTransactionMetaV1(d, o + 4, e, depth + 1);
    }
    case 2: {
      return walkTransactionMetaV2(d, o + 4, e, depth + 1);
    }
    case 3: {
      return walkTransactionMetaV3(d, o + 4, e, depth + 1);
    }
    case 4: {
      return walkTransactionMetaV4(d, o + 4, e, depth + 1);
    }
    default:
      return reject('TransactionMeta', o);
  }
}

function walkOperationMeta(d: DataView, o: number, e: number, depth: number): number {
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkLedgerEntryChange(d, o, e, depth + 2);
  }
  return o;
}

function walkTransactionMetaV1(d: DataView, o: number, e: number, depth: number): number {
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkLedgerEntryChange(d, o, e, depth + 2);
  }
  const n3 = d.getInt32(o);
  if (n3 < 0 || n3 > e - o) reject('length', o);
  o += 4;
  for (let i4 = n3; i4 > 0; i4--) {
    o = walkOperationMeta(d, o, e, depth + 2);
  }
  return o;
}

function walkTransactionMetaV2(d: DataView, o: number, e: number, depth: number): number {
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkLedgerEntryChange(d, o, e, depth + 2);
  }
  const n3 = d.getInt32(o);
  if (n3 < 0 || n3 > e - o) reject('length', o);
  o += 4;
  for (let i4 = n3; i4 > 0; i4--) {
    o = walkOperationMeta(d, o, e, depth + 2);
  }
  const n5 = d.getInt32(o);
  if (n5 < 0 || n5 > e - o) reject('length', o);
  o += 4;
  for (let i6 = n5; i6 > 0; i6--) {
    o = walkLedgerEntryChange(d, o, e, depth + 2);
  }
  return o;
}

function walkTransactionMetaV3(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('ExtensionPoint', o);
  const n1 = d.getInt32(o + 4);
  if (n1 < 0 || n1 > e - o) reject('length', o + 4);
  o += 8;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkLedgerEntryChange(d, o, e, depth + 2);
  }
  const n3 = d.getInt32(o);
  if (n3 < 0 || n3 > e - o) reject('length', o);
  o += 4;
  for (let i4 = n3; i4 > 0; i4--) {
    o = walkOperationMeta(d, o, e, depth + 2);
  }
  const n5 = d.getInt32(o);
  if (n5 < 0 || n5 > e - o) reject('length', o);
  o += 4;
  for (let i6 = n5; i6 > 0; i6--) {
    o = walkLedgerEntryChange(d, o, e, depth + 2);
  }
  const f7 = d.getInt32(o);
  o += 4;
  if (f7 === 1) {
    o = walkSorobanTransactionMeta(d, o, e, depth + 2);
  } else if (f7 !== 0) reject('option', o);
  return o;
}

function walkSorobanTransactionMeta(d: DataView, o: number, e: number, depth: number): number {
  o = walkSorobanTransactionMetaExt(d, o, e);
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkContractEvent(d, o, e, depth + 2);
  }
  o = walkScVal(d, o, e, depth + 1);
  const n3 = d.getInt32(o);
  if (n3 < 0 || n3 > e - o) reject('length', o);
  o += 4;
  for (let i4 = n3; i4 > 0; i4--) {
    o = walkDiagnosticEvent(d, o, e, depth + 2);
  }
  return o;
}

function walkSorobanTransactionMetaExt(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      if (d.getInt32(o + 4) !== 0) reject('ExtensionPoint', o + 4);
      return o + 32;
    }
    default:
      return reject('SorobanTransactionMetaExt', o);
  }
}

function walkContractEvent(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('ExtensionPoint', o);
  const f1 = d.getInt32(o + 4);
  o += 8;
  if (f1 === 1) {
    o += 32;
  } else if (f1 !== 0) reject('option', o);
  if (d.getInt32(o) >>> 0 > 2) reject('ContractEventType', o);
  return walkContractEventBody(d, o + 4, e, depth + 1);
}

function walkContractEventBody(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('ContractEventBody', o);
  return walkContractEventV0(d, o + 4, e, depth + 1);
}

function walkContractEventV0(d: DataView, o: number, e: number, depth: number): number {
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkScVal(d, o, e, depth + 2);
  }
  return walkScVal(d, o, e, depth + 1);
}

function walkDiagnosticEvent(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) >>> 0 > 1) reject('bool', o);
  return walkContractEvent(d, o + 4, e, depth + 1);
}

function walkTransactionMetaV4(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('ExtensionPoint', o);
  const n1 = d.getInt32(o + 4);
  if (n1 < 0 || n1 > e - o) reject('length', o + 4);
  o += 8;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkLedgerEntryChange(d, o, e, depth + 2);
  }
  const n3 = d.getInt32(o);
  if (n3 < 0 || n3 > e - o) reject('length', o);
  o += 4;
  for (let i4 = n3; i4 > 0; i4--) {
    o = walkOperationMetaV2(d, o, e, depth + 2);
  }
  const n5 = d.getInt32(o);
  if (n5 < 0 || n5 > e - o) reject('length', o);
  o += 4;
  for (let i6 = n5; i6 > 0; i6--) {
    o = walkLedgerEntryChange(d, o, e, depth + 2);
  }
  const f7 = d.getInt32(o);
  o += 4;
  if (f7 === 1) {
    o = walkSorobanTransactionMetaV2(d, o, e, depth + 2);
  } else if (f7 !== 0) reject('option', o);
  const n8 = d.getInt32(o);
  if (n8 < 0 || n8 > e - o) reject('length', o);
  o += 4;
  for (let i9 = n8; i9 > 0; i9--) {
    o = walkTransactionEvent(d, o, e, depth + 2);
  }
  const n10 = d.getInt32(o);
  if (n10 < 0 || n10 > e - o) reject('length', o);
  o += 4;
  for (let i11 = n10; i11 > 0; i11--) {
    o = walkDiagnosticEvent(d, o, e, depth + 2);
  }
  return o;
}

function walkOperationMetaV2(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('ExtensionPoint', o);
  const n1 = d.getInt32(o + 4);
  if (n1 < 0 || n1 > e - o) reject('length', o + 4);
  o += 8;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkLedgerEntryChange(d, o, e, depth + 2);
  }
  const n3 = d.getInt32(o);
  if (n3 < 0 || n3 > e - o) reject('length', o);
  o += 4;
  for (let i4 = n3; i4 > 0; i4--) {
    o = walkContractEvent(d, o, e, depth + 2);
  }
  return o;
}

function walkSorobanTransactionMetaV2(d: DataView, o: number, e: number, depth: number): number {
  o = walkSorobanTransactionMetaExt(d, o, e);
  const f1 = d.getInt32(o);
  o += 4;
  if (f1 === 1) {
    o = walkScVal(d, o, e, depth + 2);
  } else if (f1 !== 0) reject('option', o);
  return o;
}

function walkTransactionEvent(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) >>> 0 > 2) reject('TransactionEventStage', o);
  return walkContractEvent(d, o + 4, e, depth + 1);
}

function walkUpgradeEntryMeta(d: DataView, o: number, e: number, depth: number): number {
  o = walkLedgerUpgrade(d, o, e);
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkLedgerEntryChange(d, o, e, depth + 2);
  }
  return o;
}

function walkLedgerUpgrade(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
    case 7: {
      return o + 8;
    }
    case 6: {
      return o + 68;
    }
    default:
      return reject('LedgerUpgrade', o);
  }
}

function walkScpHistoryEntry(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('ScpHistoryEntry', o);
  return walkScpHistoryEntryV0(d, o + 4, e, depth + 1);
}

function walkScpHistoryEntryV0(d: DataView, o: number, e: number, depth: number): number {
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkScpQuorumSet(d, o, e, depth + 2);
  }
  return walkLedgerScpMessages(d, o, e);
}

function walkScpQuorumSet(d: DataView, o: number, e: number, depth: number): number {
  if (depth > 1499) reject('nested too deep', o);
  if (depth > 1498) reject('nested too deep', o + 4);
  const n1 = d.getInt32(o + 4);
  if (n1 < 0 || n1 > e - o) reject('length', o + 4);
  o += 8;
  for (let i2 = n1; i2 > 0; i2--) {
    if (depth > 1497) reject('nested too deep', o);
    if (d.getInt32(o) !== 0) reject('PublicKey', o);
    o += 36;
  }
  const n3 = d.getInt32(o);
  if (n3 < 0 || n3 > e - o) reject('length', o);
  o += 4;
  for (let i4 = n3; i4 > 0; i4--) {
    if (depth > 1497) reject('nested too deep', o);
    o = walkScpQuorumSet(d, o, e, depth + 3);
  }
  return o;
}

function walkLedgerScpMessages(d: DataView, o: number, e: number): number {
  const n1 = d.getInt32(o + 4);
  if (n1 < 0 || n1 > e - o) reject('length', o + 4);
  o += 8;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkScpEnvelope(d, o, e);
  }
  return o;
}

function walkScpEnvelope(d: DataView, o: number, e: number): number {
  o = walkScpStatement(d, o, e);
  const n1 = d.getInt32(o);
  if (n1 >>> 0 > 64) reject('length', o);
  o += 4;
  if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
  o += (n1 + 3) & ~3;
  return o;
}

function walkScpStatement(d: DataView, o: number, e: number): number {
  if (d.getInt32(o) !== 0) reject('PublicKey', o);
  return walkScpStatementPledges(d, o + 44, e);
}

function walkScpStatementPledges(d: DataView, o: number, e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return walkScpStatementPrepare(d, o + 4, e);
    }
    case 1: {
      return walkScpStatementConfirm(d, o + 4, e);
    }
    case 2: {
      return walkScpStatementExternalize(d, o + 4, e);
    }
    case 3: {
      return walkScpNomination(d, o + 4, e);
    }
    default:
      return reject('ScpStatementPledges', o);
  }
}

function walkScpStatementPrepare(d: DataView, o: number, e: number): number {
  o = walkScpBallot(d, o + 32, e);
  const f1 = d.getInt32(o);
  o += 4;
  if (f1 === 1) {
    o = walkScpBallot(d, o, e);
  } else if (f1 !== 0) reject('option', o);
  const f2 = d.getInt32(o);
  o += 4;
  if (f2 === 1) {
    o = walkScpBallot(d, o, e);
  } else if (f2 !== 0) reject('option', o);
  return o + 8;
}

function walkScpBallot(d: DataView, o: number, e: number): number {
  const n1 = d.getInt32(o + 4);
  if (n1 < 0 || n1 > e - o) reject('length', o + 4);
  o += 8;
  if ((n1 & 3) !== 0 && (d.getInt32(o + (n1 & ~3)) & (-1 >>> ((n1 & 3) << 3))) !== 0) reject('padding', o + n1);
  o += (n1 + 3) & ~3;
  return o;
}

function walkScpStatementConfirm(d: DataView, o: number, e: number): number {
  o = walkScpBallot(d, o, e);
  return o + 44;
}

function walkScpStatementExternalize(d: DataView, o: number, e: number): number {
  o = walkScpBallot(d, o, e);
  return o + 36;
}

function walkScpNomination(d: DataView, o: number, e: number): number {
  const n1 = d.getInt32(o + 32);
  if (n1 < 0 || n1 > e - o) reject('length', o + 32);
  o += 36;
  for (let i2 = n1; i2 > 0; i2--) {
    const n3 = d.getInt32(o);
    if (n3 < 0 || n3 > e - o) reject('length', o);
    o += 4;
    if ((n3 & 3) !== 0 && (d.getInt32(o + (n3 & ~3)) & (-1 >>> ((n3 & 3) << 3))) !== 0) reject('padding', o + n3);
    o += (n3 + 3) & ~3;
  }
  const n3 = d.getInt32(o);
  if (n3 < 0 || n3 > e - o) reject('length', o);
  o += 4;
  for (let i4 = n3; i4 > 0; i4--) {
    const n5 = d.getInt32(o);
    if (n5 < 0 || n5 > e - o) reject('length', o);
    o += 4;
    if ((n5 & 3) !== 0 && (d.getInt32(o + (n5 & ~3)) & (-1 >>> ((n5 & 3) << 3))) !== 0) reject('padding', o + n5);
    o += (n5 + 3) & ~3;
  }
  return o;
}

function walkLedgerCloseMetaV1(d: DataView, o: number, e: number, depth: number): number {
  o = walkLedgerCloseMetaExt(d, o, e);
  o = walkLedgerHeaderHistoryEntry(d, o, e);
  at[13] = o;
  o = walkGeneralizedTransactionSet(d, o, e, depth + 1);
  at[14] = o;
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkTransactionResultMeta(d, o, e, depth + 2);
  }
  const n3 = d.getInt32(o);
  if (n3 < 0 || n3 > e - o) reject('length', o);
  o += 4;
  for (let i4 = n3; i4 > 0; i4--) {
    o = walkUpgradeEntryMeta(d, o, e, depth + 2);
  }
  const n5 = d.getInt32(o);
  if (n5 < 0 || n5 > e - o) reject('length', o);
  o += 4;
  for (let i6 = n5; i6 > 0; i6--) {
    o = walkScpHistoryEntry(d, o, e, depth + 2);
  }
  const n7 = d.getInt32(o + 8);
  if (n7 < 0 || n7 > e - o) reject('length', o + 8);
  o += 12;
  for (let i8 = n7; i8 > 0; i8--) {
    o = walkLedgerKey(d, o, e, depth + 2);
  }
  const n9 = d.getInt32(o);
  if (n9 < 0 || n9 > e - o) reject('length', o);
  o += 4;
  for (let i10 = n9; i10 > 0; i10--) {
    o = walkLedgerEntry(d, o, e, depth + 2);
  }
  return o;
}

function walkLedgerCloseMetaExt(d: DataView, o: number, _e: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      return o + 4;
    }
    case 1: {
      if (d.getInt32(o + 4) !== 0) reject('ExtensionPoint', o + 4);
      return o + 16;
    }
    default:
      return reject('LedgerCloseMetaExt', o);
  }
}

function walkGeneralizedTransactionSet(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 1) reject('GeneralizedTransactionSet', o);
  return walkTransactionSetV1(d, o + 4, e, depth + 1);
}

function walkTransactionSetV1(d: DataView, o: number, e: number, depth: number): number {
  const n1 = d.getInt32(o + 32);
  if (n1 < 0 || n1 > e - o) reject('length', o + 32);
  o += 36;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkTransactionPhase(d, o, e, depth + 2);
  }
  return o;
}

function walkTransactionPhase(d: DataView, o: number, e: number, depth: number): number {
  switch (d.getInt32(o)) {
    case 0: {
      const n1 = d.getInt32(o + 4);
      if (n1 < 0 || n1 > e - o) reject('length', o + 4);
      o += 8;
      for (let i2 = n1; i2 > 0; i2--) {
        o = walkTxSetComponent(d, o, e, depth + 2);
      }
      return o;
    }
    case 1: {
      return walkParallelTxsComponent(d, o + 4, e, depth + 1);
    }
    default:
      return reject('TransactionPhase', o);
  }
}

function walkTxSetComponent(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('TxSetComponent', o);
  return walkTxSetComponentTxsMaybeDiscountedFee(d, o + 4, e, depth + 1);
}

function walkTxSetComponentTxsMaybeDiscountedFee(d: DataView, o: number, e: number, depth: number): number {
  const f1 = d.getInt32(o);
  o += 4;
  if (f1 === 1) {
    o += 8;
  } else if (f1 !== 0) reject('option', o);
  const n2 = d.getInt32(o);
  if (n2 < 0 || n2 > e - o) reject('length', o);
  at[16]! += n2;
  o += 4;
  for (let i3 = n2; i3 > 0; i3--) {
    o = walkTransactionEnvelope(d, o, e, depth + 2);
  }
  return o;
}

function walkParallelTxsComponent(d: DataView, o: number, e: number, depth: number): number {
  const f1 = d.getInt32(o);
  o += 4;
  if (f1 === 1) {
    o += 8;
  } else if (f1 !== 0) reject('option', o);
  const n2 = d.getInt32(o);
  if (n2 < 0 || n2 > e - o) reject('length', o);
  o += 4;
  for (let i3 = n2; i3 > 0; i3--) {
    const n4 = d.getInt32(o);
    if (n4 < 0 || n4 > e - o) reject('length', o);
    o += 4;
    for (let i5 = n4; i5 > 0; i5--) {
      const n6 = d.getInt32(o);
      if (n6 < 0 || n6 > e - o) reject('length', o);
      at[16]! += n6;
      o += 4;
      for (let i7 = n6; i7 > 0; i7--) {
        o = walkTransactionEnvelope(d, o, e, depth + 4);
      }
    }
  }
  return o;
}

function walkLedgerCloseMetaV2(d: DataView, o: number, e: number, depth: number): number {
  o = walkLedgerCloseMetaExt(d, o, e);
  o = walkLedgerHeaderHistoryEntry(d, o, e);
  at[13] = o;
  o = walkGeneralizedTransactionSet(d, o, e, depth + 1);
  at[14] = o;
  const n1 = d.getInt32(o);
  if (n1 < 0 || n1 > e - o) reject('length', o);
  o += 4;
  for (let i2 = n1; i2 > 0; i2--) {
    o = walkTransactionResultMetaV1(d, o, e, depth + 2);
  }
  const n3 = d.getInt32(o);
  if (n3 < 0 || n3 > e - o) reject('length', o);
  o += 4;
  for (let i4 = n3; i4 > 0; i4--) {
    o = walkUpgradeEntryMeta(d, o, e, depth + 2);
  }
  const n5 = d.getInt32(o);
  if (n5 < 0 || n5 > e - o) reject('length', o);
  o += 4;
  for (let i6 = n5; i6 > 0; i6--) {
    o = walkScpHistoryEntry(d, o, e, depth + 2);
  }
  const n7 = d.getInt32(o + 8);
  if (n7 < 0 || n7 > e - o) reject('length', o + 8);
  o += 12;
  for (let i8 = n7; i8 > 0; i8--) {
    o = walkLedgerKey(d, o, e, depth + 2);
  }
  return o;
}

function walkTransactionResultMetaV1(d: DataView, o: number, e: number, depth: number): number {
  if (d.getInt32(o) !== 0) reject('ExtensionPoint', o);
  const p1 = o + 4;
  o = walkTransactionResultPair(d, o + 4, e, depth + 1);
  record.addPair(p1, o);
  const n2 = d.getInt32(o);
  if (n2 < 0 || n2 > e - o) reject('length', o);
  o += 4;
  for (let i3 = n2; i3 > 0; i3--) {
    o = walkLedgerEntryChange(d, o, e, depth + 2);
  }
  o = walkTransactionMeta(d, o, e, depth + 1);
  const n4 = d.getInt32(o);
  if (n4 < 0 || n4 > e - o) reject('length', o);
  o += 4;
  for (let i5 = n4; i5 > 0; i5--) {
    o = walkLedgerEntryChange(d, o, e, depth + 2);
  }
  return o;
}
