// The command line: what was written stays what was written, and what is wrong is said.
import { describe, expect, it, vi } from 'vitest';
import { ledgerOption } from '../../runtime/cli/command-line.ts';
import { parse } from '../../runtime/cli/parse.ts';
import { execute } from '../../runtime/cli/run.ts';

const parsed = (...argv: string[]) => {
  const result = parse(argv, '0.0.0');
  if (!result) throw new Error('help was printed');
  return { command: result.command.usage.split(' ')[0], ...result.commandLine };
};
const message = (...argv: string[]): string => {
  try {
    parse(argv, '0.0.0');
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('understood');
};

describe('the command line', () => {
  it('understands commands, options and arguments', () => {
    expect(parsed('run', '--config', 'a.yaml', '--eras=a,b', '--once', '--no-progress')).toEqual({
      command: 'run',
      args: [],
      options: { config: 'a.yaml', eras: 'a,b', once: true, progress: false },
    });
    expect(parsed('verify', './data', '--sample', '1/10')).toMatchObject({
      args: ['./data'],
      options: { sample: '1/10' },
    });
    expect(parsed('pas', 'verify', 'dir')).toMatchObject({ command: 'pas', args: ['verify', 'dir'] });
  });

  it.each(['007', '1e3', '0x10', '10.0', '-5', '4294967296', '1_000'])('does not take %s for a ledger', (text) => {
    const answer = parsed('run', `--to=${text}`);
    expect(answer.options.to).toBe(text);
    expect(() => ledgerOption(answer, 'to')).toThrow(/ledger sequence/);
  });

  it('S24: takes 0 and 4294967295', () => {
    expect(ledgerOption(parsed('run', '--to', '0'), 'to')).toBe(0);
    expect(ledgerOption(parsed('run', '--to', '4294967295'), 'to')).toBe(4294967295);
    expect(ledgerOption(parsed('run'), 'to')).toBeNull();
  });

  it("S28: understands the old program's flags", () => {
    expect(parsed('-config', 'old.yaml')).toMatchObject({ command: 'run', options: { config: 'old.yaml' } });
    expect(parsed('-config=old.yaml', '-validate')).toMatchObject({
      command: 'validate',
      options: { config: 'old.yaml' },
    });
    const print = vi.spyOn(console, 'info').mockImplementation(() => {});
    expect(parse(['-version'], '0.0.0')).toBeNull();
    expect(print).toHaveBeenCalledWith(expect.stringContaining('0.0.0'));
    print.mockRestore();
  });

  it.each([
    [['run', '--inspect'], true],
    [['run', '--inspect', '--once'], true],
    [['--inspect', 'run'], true],
    [['run', '--inspect', '0'], '0'],
    [['run', '--inspect=0'], '0'],
    [['run', '--inspect', '5151', '--once'], '5151'],
    [['run', '--inspect=007'], '007'],
  ])('an option that may have a value: %j', (argv, value) => {
    expect(parsed(...argv).options.inspect).toBe(value);
    expect(parsed(...argv, '--config', 'x.yaml')).toMatchObject({ command: 'run', options: { config: 'x.yaml' } });
  });

  it.each([
    ...['70000', 'http', '1e3', '-1', '08', '5150.0'].map(
      (inspect) => [{ inspect }, /--inspect takes a port/] as const,
    ),
    ...['stately.ai/inspect', 'javascript:alert(1)', 'https://user:hunter2@stately.ai/'].map(
      (address) => [{ inspect: true, 'inspect-hosted': address }, /^(?!.*hunter2)--inspect-hosted takes/] as const,
    ),
  ])('run with %j is refused before anything is read', async (options, message) => {
    await expect(execute({ args: [], options })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(message),
    });
  });

  it.each([
    [['rnu'], /unknown command rnu; did you mean run\?/],
    [[], /no command/],
    [['run', '--eraz', 'a'], /unknown option --eraz; did you mean --eras\?/],
    [['run', '--to'], /--to needs a value/],
    [['run', '--to', '--once'], /--to needs a value/],
    [['run', '--to', '1', '--to', '2'], /given twice/],
    [['run', '--once=yes'], /takes no value/],
    [['run', 'now'], /one argument too many/],
    [['run', '--inspect='], /--inspect= has no value/],
    [['run', '--inspect', '1', '2'], /one argument too many/],
    [['run', '--inspect', '--inspect=1'], /given twice/],
    [['plan', '--inspect'], /unknown option --inspect/],
    [['pas'], /needs <action>/],
  ])('%j is refused', (argv, expected) => {
    expect(message(...(argv as string[]))).toMatch(expected as RegExp);
  });

  it.each([[['--help']], [['run', '--help']], [['--version']]])('%j prints and does nothing', (argv) => {
    const print = vi.spyOn(console, 'info').mockImplementation(() => {});
    expect(parse(argv, '0.0.0')).toBeNull();
    expect(print).toHaveBeenCalled();
    print.mockRestore();
  });
});

describe('help', () => {
  it('tells no default that is none', () => {
    const said = vi.spyOn(console, 'info').mockImplementation(() => {});
    parse(['run', '--help'], '1.0.0');
    const text = said.mock.calls.flat().join('\n');
    said.mockRestore();
    expect(text).toContain('--no-progress');
    expect(text).not.toMatch(/--no-.*default/);
    expect(text).toMatch(/--inspect .*default: 5150/);
  });

  it.each([['help'], ['help', 'run'], ['run', '--help']])('%s %s is told, and nothing is run', (...argv) => {
    expect(parse(argv, '1.0.0')).toBeNull();
  });

  it('of what is no command names the nearest', () => {
    expect(() => parse(['help', 'rnu'], '1.0.0')).toThrow('unknown command rnu; did you mean run?');
    expect(() => parse(['help', 'run', 'plan'], '1.0.0')).toThrow('one argument too many');
  });

  it('hints carry their dashes', () => {
    expect(() => parse(['run', '--confg', 'x'], '1.0.0')).toThrow('did you mean --config?');
  });
});
