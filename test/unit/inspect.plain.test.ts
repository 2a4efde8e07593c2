// What leaves the process for an inspector: bounded, without secrets, and never by way of foreign code.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createActor, setup } from 'xstate';
import { BronzeError } from '../../machines/errors.ts';
import { plain } from '../../runtime/inspect/plain.ts';

const text = (value: unknown, size = 10_000): string => JSON.stringify(plain(value, size));

describe('secrets', () => {
  it.each([
    ['a password in an endpoint', 'POST https://user:hunter2@pas.example/events failed'],
    ['a password with what nobody escaped', 'connect postgres://copier:hunter2@:/@db.example:5432/catalog refused'],
    ['a token before the @', 'https://hunter2@pas.example/'],
    ['a parameter', 'GET https://lake.example/x?X-Amz-Signature=hunter2&part=1: 403'],
    ['a connection string', 'host=db password=hunter2 user=copier'],
    ['a header', 'authorization: Bearer hunter2hunter2'],
    ['a session of an upload', 'PUT https://storage.example/upload?upload_id=hunter2: 503'],
  ])('%s is masked', (_, message) => {
    expect(text({ failure: { message } })).not.toContain('hunter2');
    expect(text(new BronzeError('DELIVERY_FAILED', message, { details: { found: message } }))).not.toContain('hunter2');
    expect(text({ [message]: 1 })).not.toContain('hunter2');
  });

  it('a field by its name', () => {
    expect(plain({ password: 'hunter2', apiKey: 'hunter2', token: '', ticket: 3, tokens: null }, 1_000)).toEqual({
      password: '***',
      apiKey: '***',
      token: '',
      ticket: 3,
      tokens: null,
    });
  });

  it('also one that begins in what is shown and ends beyond it', () => {
    expect(text(`${'x'.repeat(980)} https://u:hunter2${'y'.repeat(2_500)}@pas.example/`)).not.toContain('hunter2');
  });
});

describe('size', () => {
  it('is bounded for anything that JSON can hold', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 12 }), fc.integer({ min: 100, max: 5_000 }), (value, size) => {
        const copied = text(value, size);
        JSON.parse(copied);
        // One text of a thousand characters may go beyond, each of them escaped.
        expect(copied.length).toBeLessThan(6 * size + 6_500);
      }),
    );
  });

  it('cuts long texts, lists and objects, and marks it', () => {
    const list = Array.from({ length: 6_000 }, (_, i) => i);
    const cut = plain({ list, long: 'a'.repeat(5_000) }, 50_000) as { list: unknown[]; long: string };
    expect(cut.list).toHaveLength(51);
    expect(cut.list.at(-1)).toBe('… 5950 more');
    expect(cut.long).toBe(`${'a'.repeat(1_000)}… (5000 characters)`);
    const wide = plain(Object.fromEntries(list.map((i) => [`k${i}`, i])), 50_000) as Record<string, unknown>;
    expect(wide['…']).toBe('5900 more');
    expect(
      text({ partitions: Array.from({ length: 40 }, () => ({ hash: 'b'.repeat(900) })) }, 5_000).length,
    ).toBeLessThan(7_000);
  });

  it('ends in what holds itself', () => {
    const round: Record<string, unknown> = { name: 'round' };
    round.self = round;
    expect(text(round).length).toBeLessThan(1_000);
  });
});

describe('form', () => {
  it('small plain data stays what it is', () => {
    const value = { a: [1, 'two', null, true], b: { c: { d: -1.5 } } };
    expect(plain(value, 1_000)).toEqual(value);
    expect(plain(undefined, 1_000)).toBeNull();
    expect(plain({ big: 2n ** 63n, none: undefined, call: () => 1 }, 1_000)).toEqual({ big: '9223372036854775808' });
  });

  it('an error is its name, message and data, without stack and cause', () => {
    const error = new BronzeError('STORE_FULL', 'no space left', {
      details: { object: 'x' },
      cause: new Error('inner'),
    });
    expect(plain({ error }, 1_000)).toMatchObject({
      error: { name: 'BronzeError', message: 'no space left', code: 'STORE_FULL', details: { object: 'x' } },
    });
    expect(text(error)).not.toContain('inner');
    expect(text(error)).not.toContain('test.ts');
  });

  it('an actor is its id, as XState writes it', () => {
    const actor = createActor(setup({}).createMachine({ id: 'm' }), { id: 'worker:one:1' });
    expect(plain({ ref: actor }, 1_000)).toEqual(JSON.parse(JSON.stringify({ ref: actor })));
  });

  it('calls no toJSON', () => {
    const spy = { toJSON: () => expect.unreachable() as never, a: 1 };
    expect(plain(spy, 1_000)).toEqual({ a: 1 });
  });
});
