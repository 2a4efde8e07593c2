// Events are cut out of exports exactly as they stand there.
import { describe, expect, it } from 'vitest';
import { cutEvents } from '../../actors/verify/cut-events.ts';
import { makeRng, type Rng, seedOf } from '../support/xdr-random.ts';

const texts = (export_: string): string[] | undefined => cutEvents(export_)?.cuts.map(({ text }) => text);
const ODD = ['{ "a" : 1.0 }', '{"b":"]},{\\"\\\\"}', '[ ]', '1e2', '"x,y"', 'null', '{\n  "c": [ {"d": "{"} ]\n}'];

describe('an export', () => {
  it('as an array gives the text of every element', () => {
    expect(texts(`\n[ ${ODD.join(' ,\n ')}\t]\n`)).toEqual(ODD);
    expect(texts('[]')).toEqual([]);
    expect(cutEvents('[1,2]')?.cuts.map(({ at }) => at)).toEqual(['element 1', 'element 2']);
  });

  it('as an object gives what stands under its events', () => {
    const before = '"count": 3, "note": "\\"events\\": [", "inner": {"events": [0]}';
    expect(texts(`{ ${before}, "events" : [${ODD.join(',')}], "next": null }`)).toEqual(ODD);
    expect(texts('{"\\u0065vents":[7]}')).toEqual(['7']);
  });

  it('with two lists of events gives those of both', () => {
    expect(cutEvents('{"events":[1],"events":[2,3]}')?.cuts.map(({ at, text }) => `${at}: ${text}`)).toEqual([
      'element 1: 1',
      'list 2, element 1: 2',
      'list 2, element 2: 3',
    ]);
  });

  it('as lines gives each line, of whatever kind, and says which are no JSON', () => {
    const lines = cutEvents('{"a":1}\r\n\n{"events":[2,3]}\n{"cut": \n[4]\n {"b":5} ');
    expect(lines?.cuts).toEqual([
      { at: 'line 1', text: '{"a":1}' },
      { at: 'line 3, element 1', text: '2' },
      { at: 'line 3, element 2', text: '3' },
      { at: 'line 5, element 1', text: '4' },
      { at: 'line 6', text: '{"b":5}' },
    ]);
    expect(lines?.broken).toEqual([{ at: 'line 4', reason: expect.stringMatching(/\S/) }]);
  });

  it('of one event is that event, also with fields of later releases', () => {
    expect(texts(' {"event_type":"bronze_partition","events":[1]}\n')).toEqual([
      '{"event_type":"bronze_partition","events":[1]}',
    ]);
  });

  it('that is neither JSON nor lines of it is none', () => {
    for (const text of ['', '\n', '<html>', '{"a":1', '[{"a":1},\n{"b":']) expect(cutEvents(text)).toBeNull();
  });
});

it('cuts any JSON where JSON.parse does', () => {
  const seed = seedOf(7);
  const rng = makeRng(seed);
  const blank = (): string => ['', ' ', '\n', '\t '][rng.below(4)] as string;
  const word = (): string => JSON.stringify(['', 'events', '\\', '"', '},{', '[', 'é\u2028', '\n'][rng.below(8)]);
  const value = (of: Rng, depth: number): string => {
    const kind = of.below(depth > 3 ? 4 : 6);
    const list = (one: () => string): string =>
      Array.from({ length: of.below(4) }, () => `${blank()}${one()}${blank()}`).join(',');
    if (kind === 4) return `[${list(() => value(of, depth + 1))}]`;
    if (kind === 5) return `{${list(() => `${word()}${blank()}:${blank()}${value(of, depth + 1)}`)}}`;
    return [word(), '-1.50e+3', 'true', 'null'][kind] as string;
  };
  for (let n = 0; n < 500; n++) {
    const elements = Array.from({ length: rng.below(5) }, () => value(rng, 0));
    const array = `[${elements.map((each) => `${blank()}${each}${blank()}`).join(',')}]`;
    expect(texts(array), `seed ${seed}: ${array}`).toEqual(elements);
    expect(texts(`{"not events":${value(rng, 0)},"events":${blank()}${array}}`), `seed ${seed}`).toEqual(elements);
  }
});
