// What a lake, a store or a name says reaches a terminal as text: it cannot move the cursor, nor pass for a line of the
// program's own.
import { expect, it } from 'vitest';
import { fromFailure } from '../../machines/errors.ts';
import { printable } from '../../runtime/human.ts';
import { logText } from '../../runtime/log-text.ts';
import { errorText } from '../../runtime/print-error.ts';

const HOSTILE = 'evil\u001b[2J\u001b]0;owned\u0007\nFAKE 12:00:00 info  all is done\r\u009b31m';
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;

it('shows control characters and joins lines', () => {
  expect(printable('a\tb\u001b[2Jc')).toBe('a\\u0009b\\u001b[2Jc');
  expect(printable('one\n  two\r\nthree')).toBe('one two three');
  expect(printable('Größe 日本 🙂 "quoted" \\n')).toBe('Größe 日本 🙂 "quoted" \\n');
});

it('shows directions of writing, separators and halves of characters', () => {
  const text = 'a\u202egpj.exe\u2066b\u200fc\u2028d\u2029e\ud800f\ufeffg\u{e0041}h';
  expect(printable(text)).toBe('a\\u202egpj.exe\\u2066b\\u200fc\\u2028d\\u2029e\\ud800f\\ufeffg\\udb40\\udc41h');
  expect(printable('👩\u200d🚀')).toBe('👩\u200d🚀');
});

it('shows the beginning of what is long, in time that does not grow with the square of it', () => {
  expect(printable('x'.repeat(100_000))).toBe(`${'x'.repeat(4_000)}… (96,000 characters more)`);
  for (const text of [' ', '\t ', ' \n', '\n', '\u001b']) {
    expect(printable(text.repeat(2_000_000 / text.length))).toMatch(/characters more\)$/);
  }
});

it('an error of a lake with a hostile passphrase has only lines of ours', () => {
  const failure = {
    code: 'LAKE_WRONG_NETWORK' as const,
    message: `another network: ${HOSTILE}`,
    retryable: false,
    object: HOSTILE,
    found: HOSTILE,
    hint: `look ${HOSTILE}`,
  };
  const text = errorText(failure);
  expect(text).not.toMatch(CONTROLS);
  expect(
    text
      .trimEnd()
      .split('\n')
      .map((line) => line.slice(0, 8)),
  ).toEqual(['LAKE_WRO', '  object', '  found:', '  what t', '  see do']);
  expect(fromFailure(failure).message).toContain('\u001b');
});

it('problems of a configuration keep their lines', () => {
  const message = 'the configuration has 2 problems:\na.yaml:1:1: one\na.yaml:2:1: \u001btwo';
  expect(errorText({ code: 'CONFIG_INVALID', message, retryable: false }).split('\n').slice(0, 3)).toEqual([
    'CONFIG_INVALID: the configuration has 2 problems:',
    'a.yaml:1:1: one',
    'a.yaml:2:1: \\u001btwo',
  ]);
});

it('so has a line of the log, in every field', () => {
  const line = {
    level: 'error',
    time: '2026-11-25T00:00:00.000Z',
    component: 'era',
    era_id: `e${HOSTILE}`,
    msg: 'era failed',
    code: 'LAKE_WRONG_NETWORK',
    error: HOSTILE,
    object: HOSTILE,
    hint: HOSTILE,
    trace: `Error: ${HOSTILE}\n    at somewhere`,
    unknown: HOSTILE,
    list: [HOSTILE],
  };
  for (const level of ['error', 'warn']) {
    const text = logText(JSON.stringify({ ...line, level }), false);
    expect(text).not.toMatch(CONTROLS);
    expect(text).not.toMatch(/^FAKE/m);
    expect(text).toContain('evil\\u001b[2J');
  }
});
