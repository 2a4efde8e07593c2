// The documents say what is there: codes, packages, headings, links, scripts, commands and options.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { KINDS } from '../../actors/reconcile/kinds.ts';
import { CODES } from '../../machines/errors.ts';
import { COMMANDS, GLOBAL_OPTIONS } from '../../runtime/cli/commands.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

const DOCS = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

const FENCE = /^ *```([a-z]*)\n([\s\S]*?)^ *```$/gm;

/** The text without its code blocks, in which `#` begins comments. */
const prose = (file: string): string => read(file).replace(FENCE, '');

const headings = (file: string, level = /#{1,6}/): string[] =>
  [...prose(file).matchAll(new RegExp(`^(?:${level.source}) (.+)$`, 'gm'))].map((match) => match[1] as string);

/** The anchor that GitHub gives a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{Pc}\s-]/gu, '')
    .replaceAll(' ', '-');

const shellLines = (file: string): string[] =>
  [...read(file).matchAll(FENCE)]
    .filter((match) => match[1] === 'sh')
    .flatMap((match) => (match[2] as string).split('\n'))
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));

const sources = ['machines', 'actors', 'config', 'runtime'].flatMap((room) =>
  readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(room, name)),
);

const testFiles = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => join('test', name));

describe('docs/errors.md', () => {
  it('has a heading per code, in the order of the codes', () => {
    expect(headings('docs/errors.md', /##/)).toEqual(Object.keys(CODES));
  });

  it('gives each code its exit code, and says whether it is retried', () => {
    const sections = read('docs/errors.md').split(/^## /m).slice(1);
    const told = sections.map((section) => {
      const [code = ''] = section.split('\n');
      const facts = /^- Exit code (\d); (retried|not retried)\.$/m.exec(section);
      return [code, { exit: Number(facts?.[1]), retry: facts?.[2] === 'retried' }];
    });
    const wanted = Object.entries(CODES).map(([code, { exit, retry }]) => [code, { exit, retry }]);
    expect(told).toEqual(wanted);
  });

  it('tells what to do about every code', () => {
    const sections = read('docs/errors.md').split(/^## /m).slice(1);
    expect(sections.filter((section) => !/^- What to do: \S/m.test(section))).toEqual([]);
  });
});

describe('docs/runbook.md', () => {
  it('has every kind of difference that reconcile tells, with its meaning', () => {
    const section = read('docs/runbook.md').split('\n## Reconcile\n')[1]?.split('\n## ')[0] ?? '';
    const rows = [...section.matchAll(/^\| `([a-z_]+\.[a-z_]+)` \| (.+?) \| \S.* \|$/gm)];
    expect(rows.map(([, kind, meaning]) => [kind, meaning])).toEqual(
      Object.entries(KINDS).map(([kind, { meaning }]) => [kind, meaning]),
    );
  });
});

describe('docs/glossary.md', () => {
  it('defines each word once, in one line, in the order of the alphabet', () => {
    const lines = read('docs/glossary.md').split('\n').slice(4);
    const words = lines
      .filter((line) => line !== '')
      .map((line) => /^- \*\*([^*]+)\*\*: \S.*\.$/.exec(line)?.[1] ?? line);
    expect(words.length).toBeGreaterThan(40);
    const inOrder = [...new Set(words)].sort((one, other) => one.localeCompare(other, 'en'));
    expect(words).toEqual(inOrder);
  });
});

describe('what the code says about the documents', () => {
  it('names documents that exist', () => {
    const named = sources.flatMap((file) => [...read(file).matchAll(/docs\/[\w-]+\.md/g)].map((match) => match[0]));
    expect(named.length).toBeGreaterThan(10);
    expect([...new Set(named)].filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it('quotes headings that exist', () => {
    const quoted = sources.flatMap((file) =>
      [...read(file).matchAll(/(docs\/[\w-]+\.md), \\?"([^"\\]+)\\?"/g)].map((match) => ({
        document: match[1] as string,
        heading: match[2] as string,
      })),
    );
    expect(quoted.length).toBeGreaterThan(5);
    expect(quoted.filter(({ document, heading }) => !headings(document).includes(heading))).toEqual([]);
  });
});

describe('links', () => {
  it.each(DOCS)('all resolve in %s', (file) => {
    const links = [...prose(file).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] as string);
    const broken = links.filter((link) => {
      if (/^https?:/.test(link)) return false;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? file : relative(ROOT, resolve(ROOT, dirname(file), path));
      if (!existsSync(join(ROOT, target))) return true;
      if (anchor === undefined) return false;
      return statSync(join(ROOT, target)).isDirectory() || !headings(target).map(anchorOf).includes(anchor);
    });
    expect(broken).toEqual([]);
  });

  it('lead from the README to every document', () => {
    const readme = read('README.md');
    expect(DOCS.filter((file) => file !== 'README.md' && !readme.includes(`(${file})`))).toEqual([]);
  });
});

describe('shell commands in the documents', () => {
  const manifest = JSON.parse(read('package.json')) as { scripts: Record<string, string>; name: string };
  const lines = DOCS.flatMap((file) => shellLines(file).map((line) => ({ file, line })));

  it('are found', () => {
    expect(lines.length).toBeGreaterThan(40);
  });

  it('name npm scripts that exist', () => {
    const text = DOCS.map(read).join('\n');
    const named = [
      ...[...text.matchAll(/npm run (?:--silent )?([a-z][a-z:]*)/g)].map((match) => match[1] as string),
      ...[...text.matchAll(/npm (start|test)\b/g)].map((match) => match[1] as string),
    ];
    expect(named).toEqual(expect.arrayContaining(['build', 'start', 'test', 'generate']));
    expect([...new Set(named)].filter((name) => !(name in manifest.scripts))).toEqual([]);
  });

  it('name commands and options that exist', () => {
    const wrong: string[] = [];
    // In code blocks, and in `code` within prose.
    const inline = DOCS.flatMap((file) => [...prose(file).matchAll(/`([^`]+)`/g)].map((match) => match[1] as string));
    const calls = [...lines.map(({ line }) => line), ...inline].flatMap((text) =>
      [...text.matchAll(/(?:^|&& )(?:bronze-copier|node dist\/runtime\/main\.js) ([^|&]+)/g)].map((match) =>
        (match[1] as string).trim().split(/\s+/),
      ),
    );
    expect(calls.length).toBeGreaterThan(30);
    const nameOf = (flag: string): string => flag.split(' ')[0] as string;
    for (const words of calls) {
      const [name = '', ...rest] = words;
      const command = COMMANDS.find((entry) => entry.usage.split(' ')[0] === name);
      if (!command && !['help', '--help', '--version'].includes(name))
        wrong.push(`${words.join(' ')}: no command ${name}`);
      const known = [...GLOBAL_OPTIONS, ...(command?.options ?? [])].map((option) => nameOf(option.flag));
      for (const word of rest) {
        if (!word.startsWith('--') || word === '--help') continue;
        const flag = word.split('=')[0] as string;
        if (!known.includes(flag)) wrong.push(`${words.join(' ')}: no option ${flag}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('name every command in the README', () => {
    const table = read('README.md');
    const missing = COMMANDS.map((entry) => entry.usage.split(' ')[0] as string).filter(
      (name) => !new RegExp(`^\\| \`${name}\\b`, 'm').test(table),
    );
    expect(missing).toEqual([]);
  });

  it('name options of each command in the README that it has', () => {
    const rows = [...read('README.md').matchAll(/^\| `([a-z-]+)[^`]*` \| (.*) \|$/gm)];
    const wrong = rows.flatMap(([row, name]) => {
      const command = COMMANDS.find((entry) => entry.usage.split(' ')[0] === name);
      const flags = [...row.matchAll(/--[a-z-]+/g)].map((match) => match[0]);
      return command
        ? flags.filter((flag) => !command.options.some((option) => option.flag.split(' ')[0] === flag))
        : [`no command ${name}`];
    });
    expect(rows.length).toBe(COMMANDS.length);
    expect(wrong).toEqual([]);
  });
});

describe('docs/dependencies.md', () => {
  it.each(['dependencies', 'devDependencies'] as const)('lists %s as package.json has them', (kind) => {
    const manifest = JSON.parse(read('package.json')) as Record<typeof kind, Record<string, string>>;
    const section = read('docs/dependencies.md').split(`\n## ${kind}\n`)[1]?.split('\n## ')[0] ?? '';
    const rows = [...section.matchAll(/^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|/gm)];
    expect(rows.map(([, name, version]) => [name, version])).toEqual(Object.entries(manifest[kind]));
  });

  it('lists only exact versions', () => {
    const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<
      string,
      Record<string, string>
    >;
    const versions = Object.values({ ...dependencies, ...devDependencies });
    expect(versions.filter((version) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
  });

  it('names every package that may run a script when it is installed', () => {
    const { allowScripts } = JSON.parse(read('package.json')) as { allowScripts: Record<string, boolean> };
    const scripts = read('docs/dependencies.md').split('**Install scripts.**')[1]?.split('\n\n')[0] ?? '';
    expect(Object.keys(allowScripts).filter((name) => !scripts.includes(`\`${name}\``))).toEqual([]);
  });
});

describe('what code and tests refer to', () => {
  const words = [...sources, ...testFiles].map((file) => ({ file, text: read(file) }));
  const scenarios = headings('docs/scenarios.md', /###/);
  const sections = headings('docs/contract.md', /##/).map((heading) => /^\d+/.exec(heading)?.[0]);

  it('are scenarios and sections of the contract that are there', () => {
    const lost = words.flatMap(({ file, text }) => [
      ...[...text.matchAll(/\bS(\d{1,2})\b(?=[:, )])/g)]
        .filter(([, n]) => !scenarios.includes(`S${n}`))
        .map(([found]) => `${file}: ${found}`),
      ...[...text.matchAll(/[Cc]ontract,? sections? (\d+)/g)]
        .filter(([, n]) => !sections.includes(n))
        .map(([found]) => `${file}: ${found}`),
    ]);
    expect(lost).toEqual([]);
  });

  it('has a test that names each scenario which is built', () => {
    const named = new Set(
      words.flatMap(({ file, text }) => (file.endsWith('.test.ts') ? (text.match(/\bS\d{1,2}\b/g) ?? []) : [])),
    );
    const unbuilt = read('docs/scenarios.md')
      .split(/^### /m)
      .filter((section) => section.includes('not built yet'));
    const expected = scenarios.filter((name) => !unbuilt.some((section) => section.startsWith(`${name}\n`)));
    expect(expected.filter((name) => !named.has(name))).toEqual([]);
    expect(scenarios.map((name) => Number(name.slice(1))).sort((a, b) => a - b)).toEqual(
      Array.from({ length: scenarios.length }, (_, n) => n + 1),
    );
  });
});
