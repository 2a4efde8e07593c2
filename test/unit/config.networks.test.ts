// Labels of networks: nearly a known one is refused, and a lake of a known network says whose it is.
import { describe, expect, it } from 'vitest';
import { checkConfig } from '../../config/load.ts';
import { KNOWN_PASSPHRASES, lakeConflict } from '../../config/networks.ts';
import { only, problemsOf, withFile } from '../support/config.ts';

const withNetwork = (network: string, more = ''): string =>
  `era: { era_id: e, version_label: v1, network: ${network} }\nsource: { local_path: ./lake${more} }\n`;
const PUBNET = KNOWN_PASSPHRASES.get('pubnet') as string;

it.each([
  ['Pubnet', 'pubnet'],
  ['PUBNET', 'pubnet'],
  ['mainnet', 'pubnet'],
  ['Mainnet', 'pubnet'],
  ['public', 'pubnet'],
  ['pubnett', 'pubnet'],
  ['pub-net', 'pubnet'],
  ['test', 'testnet'],
  ['tesnet', 'testnet'],
  ['test_net', 'testnet'],
  ['futurnet', 'futurenet'],
])('%s is refused: %s is meant', (written, meant) => {
  const problem = only(withNetwork(written));
  expect([problem.key, problem.nearest]).toEqual(['era.network', meant]);
  const variable = only(withNetwork('pubnet'), { NETWORK: written });
  expect([variable.key, variable.origin]).toEqual(['era.network', { kind: 'variable', name: 'NETWORK' }]);
});

it.each(['pubnet', 'testnet', 'futurenet', 'sample', 'standalone', 'local', 'mynet'])('%s is taken', (label) => {
  expect(problemsOf(withNetwork(label))).toEqual([]);
});

it('a network of its own may be called as it likes, with its passphrase', () => {
  expect(problemsOf(withNetwork('mainnet', ', network_passphrase: My Own Network'))).toEqual([]);
});

describe('a lake', () => {
  it('of a known network is not that of another label', () => {
    expect(lakeConflict('mynet', null, PUBNET)).toMatchObject({
      message: 'the lake is that of pubnet, and the network of the era is mynet',
      hint: expect.stringContaining('write network: pubnet'),
    });
    expect(lakeConflict('testnet', KNOWN_PASSPHRASES.get('testnet') as string, PUBNET)?.message).toContain('pubnet');
  });

  it('of a network that nobody knows is that of a label that nobody knows', () => {
    expect(lakeConflict('mynet', null, 'My Own Network')).toBeNull();
    expect(lakeConflict('mynet', PUBNET, PUBNET)).toBeNull();
  });
});

it('every setting tells where it comes from, without secrets', () => {
  const text = `${withNetwork('pubnet')}pas: { endpoint: "https://user:geheim@example.org/" }\n`;
  withFile(text, (file) => {
    const { settings } = checkConfig({ file, env: { NETWORK: 'testnet', METRICS_PORT: '9999' }, cores: 3 });
    const of = (key: string) => settings.find((setting) => setting.key === key);
    expect(of('eras[0].network')).toEqual({
      key: 'eras[0].network',
      value: 'testnet',
      from: { kind: 'variable', name: 'NETWORK' },
    });
    expect(of('eras[0].era_id')).toMatchObject({ value: 'e', from: { kind: 'file', line: 1 } });
    expect(of('perf.workers')).toMatchObject({ value: 3, from: { kind: 'default' } });
    expect(of('metrics.address')).toMatchObject({ from: { kind: 'variable', name: 'METRICS_PORT' } });
    expect(of('pas.endpoint')?.from).toMatchObject({ kind: 'file', line: 3 });
    expect(JSON.stringify(settings)).not.toContain('geheim');
  });
});
