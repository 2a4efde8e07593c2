// The delivery pointer: written durably, read without ever failing, and used for one chain and one endpoint only.
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { deliveryFile } from '../../actors/bronze/names.ts';
import { openDeliveryPointer } from '../../actors/state/delivery.ts';
import { CHAIN, failureOf, hex, tempFolder } from '../support/bronze.ts';
import { dyingAfter, failing } from '../support/faulty-files.ts';

const ENDPOINT = 'http://audit.example/events';
const pointerIn = (dir: string, files?: Parameters<typeof openDeliveryPointer>[0]['files']) =>
  openDeliveryPointer({ dir, chain: CHAIN, endpoint: ENDPOINT, ...(files ? { files } : {}) });

describe('the delivery pointer', () => {
  const delivered = { sequence: 4, eventHash: `sha256:${hex('e')}` };

  it('is read back by the next process', async () => {
    const dir = join(tempFolder(), 'state');
    expect(await pointerIn(dir).read()).toEqual({ delivered: null, problem: null });
    for (const sequence of [4, 5, 0]) {
      await pointerIn(dir).write({ ...delivered, sequence });
      expect(await pointerIn(dir).read()).toEqual({ delivered: { ...delivered, sequence }, problem: null });
    }
  });

  it('S14: counts as none where it cannot be used, and says why', async () => {
    const dir = tempFolder();
    const good = {
      format: 1,
      chain: 'pubnet/pre_p23/v1',
      endpoint: ENDPOINT,
      sequence: 4,
      event_hash: delivered.eventHash,
    };
    const bad: [string | object, RegExp][] = [
      ['', /empty/],
      ['{"format"', /not JSON/],
      ['null', /expected object/],
      [{ ...good, format: 2, sequence: undefined }, /later release \(format 2\)/],
      [{ ...good, format: 0 }, /format is 0/],
      [{ ...good, chain: 'pubnet/p23/v1' }, /belongs to pubnet\/p23\/v1/],
      [{ ...good, endpoint: 'http://else/' }, /of the endpoint http:\/\/else\//],
      [{ ...good, sequence: -1 }, /sequence/],
      [{ ...good, event_hash: 'sha256:x' }, /event_hash/],
    ];
    for (const [content, reason] of bad) {
      writeFileSync(join(dir, deliveryFile(CHAIN)), typeof content === 'string' ? content : JSON.stringify(content));
      const { delivered: found, problem } = await pointerIn(dir).read();
      expect(found).toBeNull();
      expect(problem).toMatch(reason);
    }
    writeFileSync(join(dir, deliveryFile(CHAIN)), JSON.stringify({ ...good, added_later: 1 }));
    expect((await pointerIn(dir).read()).delivered).toEqual(delivered);
    const denied = pointerIn(dir, failing(['open'], 'EACCES'));
    expect((await denied.read()).problem).toContain('EACCES');
  });

  it('S21: that cannot be written is STATE_IO, and the last one stays', async () => {
    const dir = tempFolder();
    await pointerIn(dir).write(delivered);
    for (const step of ['open', 'write', 'fsync', 'rename'] as const) {
      const pointer = pointerIn(dir, failing([step], 'ENOSPC'));
      expect((await failureOf(pointer.write({ ...delivered, sequence: 9 }))).code).toBe('STATE_IO');
    }
    expect((await pointerIn(dir).read()).delivered).toEqual(delivered);
  });

  it('S5: killed at any operation, the old or the new one stands there, and the next leaves no temporary file', async () => {
    for (let n = 0; ; n++) {
      const dir = tempFolder();
      await pointerIn(dir).write(delivered);
      const { files, state } = dyingAfter(n);
      await pointerIn(dir, files)
        .write({ ...delivered, sequence: 9 })
        .catch(() => undefined);
      expect([4, 9]).toContain((await pointerIn(dir).read()).delivered?.sequence);
      await pointerIn(dir).write({ ...delivered, sequence: 9 });
      expect(readdirSync(dir)).toEqual([deliveryFile(CHAIN)]);
      if (!state.died) break;
    }
  });
});
