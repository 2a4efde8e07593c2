// Every single bit of a proof counts: changed on its way, it is refused, and the step that fails is told.
import { describe, expect, it } from 'vitest';
import { checkProof } from '../../actors/proof/check.ts';
import { SigningKey } from '../../actors/tlog/keys.ts';
import { BronzeError } from '../../machines/errors.ts';
import { madeNetwork, madeProof, NAME, written } from '../support/made-proof.ts';

const { key } = SigningKey.generate(NAME);
const keys = [key.verifier];

/** Steps at which a bit may be found wrong, by the member that it is in; what is no longer JSON fails at `format`. */
const STEPS: Readonly<Record<string, readonly string[]>> = {
  format: ['format'],
  sequence: ['format', 'content_root'],
  xdr_gzip: ['format', 'xdr'],
  xdr_gzip_sha256: ['format', 'xdr'],
  event: ['format', 'event'],
  proof: ['format', 'head', 'event'],
  manifest: ['format', 'manifest'],
  path: ['format', 'content_root'],
  headers: ['format', 'headers', 'signatures'],
  passphrase: ['format', 'signatures'],
  close_time: ['format', 'signatures'],
  set: ['format', 'signatures'],
  set_form: ['format', 'signatures'],
  signature: ['format', 'signatures'],
  signer: ['format', 'signatures'],
};
const MEMBER = new RegExp(`(?<!\\\\)"(${Object.keys(STEPS).join('|')})":`, 'g');

/** Of each byte the member that it is in; null for what stands around the first. */
function membersOf(text: string): (string | null)[] {
  // One byte a character, so that places in the text are places in the file.
  const latin = Buffer.from(text).toString('latin1');
  const starts = [...latin.matchAll(MEMBER)].map((match) => ({ at: match.index, name: match[1] as string }));
  let next = 0;
  let name: string | null = null;
  return Array.from(latin, (_, i) => {
    if (starts[next]?.at === i) name = (starts[next++] as { name: string }).name;
    return name;
  });
}

describe('every bit of a proof', () => {
  it('that is changed is refused, and the step that fails is that of what it stands in', () => {
    const proof = madeProof({ key, ledger: 5, start: 2, end: 12, events: 3, index: 1 });
    const bytes = written({ ...proof, network: madeNetwork(5, 2) });
    const members = membersOf(bytes.toString());
    expect(new Set(members)).toEqual(new Set([null, ...Object.keys(STEPS)]));
    checkProof(bytes, keys);
    const seen = new Set<string>();
    const wrong: string[] = [];
    for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
      const at = bit >> 3;
      bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7));
      try {
        checkProof(bytes, keys);
        wrong.push(`bit ${bit} of ${members[at]} is taken`);
      } catch (error) {
        const { code, details } = error as BronzeError;
        const step = String(details?.check);
        seen.add(step);
        // Punctuation after a value still counts as the member's.
        const fits = (STEPS[members[at] ?? 'format'] as readonly string[]).includes(step);
        if (!(error instanceof BronzeError) || code !== 'PROOF_INVALID' || !fits) {
          wrong.push(`bit ${bit} of ${members[at]} fails at ${step}: ${String(error)}`);
        }
      }
      bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7));
    }
    expect(wrong).toEqual([]);
    // What the ledger itself says is covered by the content root already.
    expect([...seen].sort()).toEqual(
      ['content_root', 'event', 'format', 'head', 'headers', 'manifest', 'signatures', 'xdr'].sort(),
    );
    checkProof(bytes, keys);
  });
});
