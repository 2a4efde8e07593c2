// JSON that two programs may read as two things is refused.
import { describe, expect, it } from 'vitest';
import { parseJson } from '../../actors/json.ts';

const parsed = (text: string): unknown => parseJson(Buffer.from(text));

describe('an object that says a key twice', () => {
  it.each([
    ['at the top', '{"a":1,"a":1}', '"a"'],
    ['with an escape', '{"tables":{},"tab\\u006ces":{}}', '"tab\\u006ces"'],
    ['within', '{"a":{"b":[{"c":1,"d":{},"c":2}]}}', '"c"'],
    ['after objects and arrays', '{"a":{"x":[1,{"x":2}]},"b":"},{","a":3}', '"a"'],
    ['of an inherited name', '{"__proto__":1,"__proto__":2}', '"__proto__"'],
  ])('%s is refused, naming it', (_, text, key) => {
    expect(() => parsed(text)).toThrow(`it says the key ${key} twice in one object`);
  });

  it('is not what says it in two objects, or as a value, or in a text', () => {
    const text = '{"a":"a","b":["a","a"],"c":{"a":{"a":1}},"d":[{"a":1},{"a":2}],"e":"\\"a\\":1,\\"a\\":","\\"a":0}';
    expect(parsed(text)).toEqual(JSON.parse(text));
  });
});

it('is read as JSON.parse reads it where nothing is said twice', () => {
  for (const text of ['null', '[]', '{}', '"a"', ' [ { } , {"a" : [ ] } ] ', '[1,"a",{"b":{"a":1},"a":2}]'])
    expect(parsed(text)).toEqual(JSON.parse(text));
});
