/**
 * From the arguments to a command. Parsing and help are cac's; around it stands what cac leaves open: single-dash long
 * options of the old program, `007` staying what was written, options given twice, unknown commands.
 * It throws USAGE errors and executes nothing.
 */
import { cac } from 'cac';
import { closest, distance } from 'fastest-levenshtein';
import { type CommandLine, usage } from './command-line.ts';
import { COMMANDS, type CommandFacts, GLOBAL_OPTIONS, type OptionFacts } from './commands.ts';

/** Keeps cac from turning what looks like a number into one. */
const MARK = '\u0001';

const commandName = (command: CommandFacts): string => command.usage.split(' ')[0] as string;
const optionName = (option: OptionFacts): string => (option.flag.split(' ')[0] as string).slice(2);
const takesValue = (option: OptionFacts): boolean => option.flag.includes('<');
const mayTakeValue = (option: OptionFacts): boolean => option.flag.includes('[');

/** `-config x` of the old program, `-validate`, `-version`. */
function normalise(argv: readonly string[]): string[] {
  const words = argv.map((word) => (/^-[a-z][a-z-]+(=.*)?$/s.test(word) ? `-${word}` : word));
  if (words[0] === 'help') {
    if (words.length > 2) throw usage(`${words[2]} is one argument too many for help`);
    return [...words.slice(1), '--help'];
  }
  const at = words.indexOf('--validate');
  if (at >= 0) words.splice(at, 1, ...(words.some((word) => commandNames.includes(word)) ? [] : ['validate']));
  if (words.length > 0 && !words.some((word) => commandNames.includes(word)) && isOldForm(words)) words.unshift('run');
  return words;
}

const commandNames = COMMANDS.map(commandName);

/** The old program had no commands: `bronze-copier -config x` ran. */
const isOldForm = (words: readonly string[]): boolean =>
  words.every((word, i) => word.startsWith('--config') || (words[i - 1] === '--config' && !word.startsWith('-')));

/** `dashes`: what a reader has to write before it. */
function nearest(word: string, words: readonly string[], dashes = ''): string {
  if (words.length === 0) return '';
  const best = closest(word, words as string[]);
  return distance(word, best) <= Math.max(2, word.length / 3) ? `; did you mean ${dashes}${best}?` : '';
}

/** Marks values, so that they come back as written, and finds what is unknown, doubled or without a value. */
function mark(words: readonly string[], options: readonly OptionFacts[]): string[] {
  const byName = new Map(options.map((option) => [optionName(option), option]));
  const seen = new Set<string>();
  const out: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (word === '--') return [...out, ...words.slice(i)];
    if (!word.startsWith('-') || word === '-') {
      out.push(word);
      continue;
    }
    if (word === '-h' || word === '-v' || word === '--help' || word === '--version') {
      out.push(word);
      continue;
    }
    const [flag, ...rest] = word.split('=');
    const name = (flag as string).replace(/^--?/, '');
    const option = byName.get(name);
    if (!option) throw usage(`unknown option ${flag}${nearest(name, [...byName.keys()], '--')}`);
    if (seen.has(name) && option.isList !== true) throw usage(`option --${name} is given twice`);
    seen.add(name);
    if (mayTakeValue(option)) {
      const next = words[i + 1];
      const follows = rest.length === 0 && next !== undefined && !next.startsWith('-') && !commandNames.includes(next);
      if (follows) i += 1;
      else if (rest.length > 0 && rest.join('') === '') throw usage(`option --${name}= has no value: ${option.flag}`);
      // Always with `=`: cac would take the next word, whatever it is.
      out.push(`--${name}=${MARK}${follows ? next : rest.join('=')}`);
      continue;
    }
    if (!takesValue(option)) {
      if (rest.length > 0) throw usage(`option --${name} takes no value`);
      out.push(`--${name}`);
      continue;
    }
    const value = rest.length > 0 ? rest.join('=') : words[++i];
    if (value === undefined || value === '' || (rest.length === 0 && value.startsWith('--'))) {
      throw usage(`option --${name} needs a value: ${option.flag}`);
    }
    out.push(`--${name}=${MARK}${value}`);
  }
  return out;
}

export interface Parsed {
  readonly command: CommandFacts;
  readonly commandLine: CommandLine;
}

/** Null where help or the version was asked for and has been printed. */
export function parse(argv: readonly string[], version: string): Parsed | null {
  const words = normalise(argv);
  const named = words.find((word) => commandNames.includes(word));
  const command = COMMANDS.find((entry) => commandName(entry) === named);
  const stray = words.find((word) => !word.startsWith('-'));
  if (!command && stray !== undefined && words.includes('--help')) {
    throw usage(`unknown command ${stray}${nearest(stray, commandNames)}`);
  }
  const wantsHelp = words.some((word) => word === '--help' || word === '-h' || word === '--version' || word === '-v');
  if (!command && !wantsHelp) {
    const first = words.find((word) => !word.startsWith('-'));
    throw first === undefined
      ? usage('no command given')
      : usage(`unknown command ${first}${nearest(first, commandNames)}`);
  }

  const cli = cac('bronze-copier');
  for (const option of GLOBAL_OPTIONS) cli.option(option.flag, option.help);
  for (const entry of COMMANDS) {
    const added = cli.command(entry.usage, entry.help);
    for (const option of entry.options) added.option(option.flag, option.help);
    for (const example of entry.examples) added.example(`  $ ${example}`);
  }
  // cac calls what `--no-x` switches off the flag's default.
  cli.help((sections) =>
    sections.map((section) => ({
      ...section,
      body: section.body.replace(/^(\s*--no-.*?) \(default: true\)$/gm, '$1'),
    })),
  );
  cli.version(version);

  const marked = mark(words, [...GLOBAL_OPTIONS, ...(command?.options ?? COMMANDS.flatMap((entry) => entry.options))]);
  const { options, args } = cli.parse(['node', 'bronze-copier', ...marked], { run: false });
  if (wantsHelp || !command) return null;

  const [, ...wanted] = command.usage.split(' ');
  if (args.length > wanted.length)
    throw usage(`${args[wanted.length]} is one argument too many for ${commandName(command)}`);
  const missing = wanted.slice(args.length).find((word) => word.startsWith('<'));
  if (missing) throw usage(`${commandName(command)} needs ${missing}`);

  const given: Record<string, string | boolean> = {};
  for (const option of [...GLOBAL_OPTIONS, ...command.options]) {
    const name = optionName(option).replace(/^no-/, '');
    // As cac does it: a digit before the dash (`s3-region`) keeps it.
    const key = name.replace(/([a-z])-([a-z])/g, (_, before: string, after: string) => before + after.toUpperCase());
    const value: unknown = options[key];
    if (!marked.some((word) => word === `--${optionName(option)}` || word.startsWith(`--${optionName(option)}=`)))
      continue;
    const texts = (Array.isArray(value) ? value : [value]).filter((each) => typeof each === 'string');
    const text = texts.map((each) => each.slice(MARK.length)).join('\n');
    given[name] = text !== '' ? text : !optionName(option).startsWith('no-');
  }
  return { command, commandLine: { args, options: given } };
}
