/**
 * What `checks` in manifests and answers says: the checks of contract section 7 that were made for every ledger. It must
 * never claim one that was not made: a name here is the name of the check in the errors of `actors/check`.
 */
import type { ChecksDone } from '../../machines/protocol.ts';
import type { CheckSpec } from './spec.ts';

export function checksDone(spec: CheckSpec): ChecksDone {
  return {
    xdr: true,
    sequence: true,
    ledger_hash: true,
    link: true,
    tx_set_hash: true,
    result_hash: spec.results,
    protocol: spec.protocolMin !== null || spec.protocolMax !== null,
    signatures: spec.networkPassphrase !== null,
  };
}
