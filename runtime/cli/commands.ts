/**
 * The commands as data: what there is, which options each takes, where its code lies. Help, parsing and checking all
 * follow from this table. Code of a command is imported only when it is called, so that `--help` is quick.
 */

import type { CommandLine } from './command-line.ts';

export interface OptionFacts {
  /** May be given several times; the values are lines of one text. */
  readonly isList?: true;
  /** cac's notation: `--to <ledger>` takes a value, `--inspect [port]` may take one, `--json` none, `--no-x` switches off. */
  readonly flag: string;
  readonly help: string;
}

export interface CommandFacts {
  readonly usage: string;
  readonly help: string;
  readonly options: readonly OptionFacts[];
  readonly examples: readonly string[];
  readonly load: () => Promise<{ execute(commandLine: CommandLine): Promise<number> }>;
}

const json: OptionFacts = { flag: '--json', help: 'Print JSON on standard output; logs go to standard error' };
const eras: OptionFacts = { flag: '--eras <names>', help: 'Only these eras, separated by commas' };

export const GLOBAL_OPTIONS: readonly OptionFacts[] = [
  { flag: '--config <file>', help: 'Configuration file (YAML); CONFIG_FILE names it as well' },
];

export const COMMANDS: readonly CommandFacts[] = [
  {
    usage: 'run',
    help: 'Copy the active eras, from where the last run stopped',
    options: [
      eras,
      { flag: '--to <ledger>', help: 'Stop after the partition that holds this ledger' },
      { flag: '--once', help: 'Unbounded eras: copy to the present head, then exit' },
      { flag: '--dry-run', help: 'The same as plan' },
      { flag: '--progress', help: 'Show progress on standard error, also without a terminal' },
      { flag: '--no-progress', help: 'Show no progress, also on a terminal' },
      { flag: '--summary <file>', help: 'Write the summary as JSON to this file' },
      {
        flag: '--inspect [port]',
        help: 'Show the machines in a browser, on 127.0.0.1 only (default: 5150, or any that is free)',
      },
      { flag: '--inspect-log <file>', help: 'Write what the inspector shows to this file, as JSON lines' },
      { flag: '--inspect-hosted <url>', help: 'Page for its tab "Stately" (default: https://stately.ai/inspect)' },
      json,
    ],
    examples: ['bronze-copier run --config two-era-backfill.yaml', 'bronze-copier run --config x.yaml --eras pre_p23'],
    load: () => import('./run.ts'),
  },
  {
    usage: 'plan',
    help: 'Say what run would do, touching nothing',
    options: [eras, { flag: '--to <ledger>', help: 'As for run' }, { flag: '--once', help: 'As for run' }, json],
    examples: ['bronze-copier plan --config two-era-backfill.yaml'],
    load: () => import('./plan.ts'),
  },
  {
    usage: 'validate',
    help: 'Check the configuration and print every problem',
    options: [
      {
        flag: '--online',
        help: 'Also whether lake, store, folders, catalog and endpoint can be reached with the rights needed',
      },
      json,
    ],
    examples: ['bronze-copier validate --config x.yaml --online'],
    load: () => import('./validate.ts'),
  },
  {
    usage: 'status',
    help: 'Per era: what is committed, where the lake ends, who holds the lock',
    options: [eras, json],
    examples: ['bronze-copier status --config x.yaml'],
    load: () => import('./status.ts'),
  },
  {
    usage: 'verify [path]',
    help: 'Read Bronze back and prove it, from a path, s3:// or gs://, or the configuration; needs no state',
    options: [
      eras,
      { flag: '--sample <fraction>', help: 'Read only a part of the partitions, e.g. 1/10' },
      { flag: '--from <ledger>', help: 'Begin with the partition that holds this ledger' },
      { flag: '--to <ledger>', help: 'End with the partition that holds this ledger' },
      { flag: '--signatures <which>', help: 'all or off: verify signatures of validators [all, or as configured]' },
      { flag: '--events <dir>', help: 'Compare the chain with copies of its events in this folder as well' },
      { flag: '--anchor', help: 'Also say up to which ledger a quorum of organisations vouches for it; 4 = none does' },
      {
        flag: '--validators <file>',
        help: 'With --anchor: whose word counts, JSON {"organisation": ["G…"]} [built in for pubnet, testnet]',
      },
      {
        flag: '--trusted-hashes <file>',
        help: 'With --anchor: hashes that stellar-core verify-checkpoints has written',
      },
      {
        flag: '--archive <places>',
        help: 'With --anchor: history archives to compare with, ORGANISATION=URL, separated by commas',
      },
      { flag: '--quorum <n>', help: 'With --anchor: organisations that have to agree [more than two thirds]' },
      { flag: '--threads <n>', help: 'Worker threads (default: the cores)' },
      { flag: '--s3-endpoint <url>', help: 'For s3://: a store other than AWS' },
      { flag: '--s3-region <name>', help: 'For s3://: the region of the bucket' },
      { flag: '--anonymous', help: 'For s3:// and gs://: a public bucket, no credentials' },
      { flag: '--no-progress', help: 'Show no progress, also on a terminal' },
      json,
    ],
    examples: [
      'bronze-copier verify ./data',
      'bronze-copier verify s3://my-bucket/bronze/ --s3-region eu-central-1',
      'bronze-copier verify --config x.yaml --sample 1/10',
      'bronze-copier verify ./data --anchor --quorum 5',
    ],
    load: () => import('./verify.ts'),
  },
  {
    usage: 'prove <ledger> [path]',
    help: 'Write a file that proves one ledger to whoever has the public key of the signed log; from a path, s3:// or gs://, or the configuration',
    options: [
      { flag: '--out <file>', help: 'Where to write the proof' },
      { flag: '--eras <names>', help: 'Only these eras, where the ledger lies in several chains' },
      { flag: '--network', help: 'Also prove whose network it is, by signatures in the ledgers after it' },
      {
        flag: '--validators <file>',
        help: 'With --network: whose word counts, JSON {"organisation": ["G…"]} [built in for pubnet, testnet]',
      },
      { flag: '--quorum <n>', help: 'With --network: organisations that have to agree [more than two thirds]' },
      { flag: '--s3-endpoint <url>', help: 'For s3://: a store other than AWS' },
      { flag: '--s3-region <name>', help: 'For s3://: the region of the bucket' },
      { flag: '--anonymous', help: 'For s3:// and gs://: a public bucket, no credentials' },
      json,
    ],
    examples: [
      'bronze-copier prove 63092982 --config x.yaml --out ledger.proof',
      'bronze-copier prove 63092982 ./data/pubnet/p23/v1 --network --out ledger.proof',
    ],
    load: () => import('./prove.ts'),
  },
  {
    usage: 'check-proof <file>',
    help: 'Check a proof of one ledger: needs the public key of the log, and neither configuration, store nor network',
    options: [
      {
        flag: '--key <key>',
        help: 'Verifier key of whoever keeps the log, or a file of some; may be given several times',
        isList: true,
      },
      {
        flag: '--validators <file>',
        help: 'Whose word counts, JSON {"organisation": ["G…"]} [built in for pubnet, testnet]; 4 = no quorum vouches',
      },
      { flag: '--quorum <n>', help: 'Organisations that have to agree [more than two thirds]' },
      json,
    ],
    examples: [
      'bronze-copier check-proof ledger.proof --key bronze.pub',
      'bronze-copier check-proof ledger.proof --key bronze.pub --validators validators.json --quorum 5',
    ],
    load: () => import('./check-proof.ts'),
  },
  {
    usage: 'reconcile',
    help: 'Compare storage, manifests, events, copies, catalog and checkpoint; --repair mends what follows from the rest',
    options: [
      eras,
      { flag: '--repair', help: 'Derive again what is missing or behind; takes the lock, touches no data object' },
      { flag: '--quick', help: 'Do not read the data objects: only their sizes are compared' },
      { flag: '--no-progress', help: 'Show no progress, also on a terminal' },
      json,
    ],
    examples: ['bronze-copier reconcile --config x.yaml', 'bronze-copier reconcile --config x.yaml --repair'],
    load: () => import('./reconcile.ts'),
  },
  {
    usage: 'worker',
    help: 'Build partitions for a coordinator (run with perf.queue) on another machine; commits nothing, keeps nothing',
    options: [
      { flag: '--concurrency <n>', help: 'Partitions at once, one thread each [cores]' },
      { flag: '--once', help: 'End when there has been nothing to do for 15 seconds' },
    ],
    examples: ['bronze-copier worker --config x.yaml', 'bronze-copier worker --config x.yaml --concurrency 8'],
    load: () => import('./worker.ts'),
  },
  {
    usage: 'machines [name]',
    help: 'Print the state machines: supervisor, era, worker, sequencer, courier',
    options: [
      { flag: '--format <format>', help: 'json (for Stately Studio) or mermaid' },
      { flag: '--snapshot <file>', help: 'Mark the states of a diagnostic dump' },
    ],
    examples: ['bronze-copier machines era --format mermaid'],
    load: () => import('./machines.ts'),
  },
  {
    usage: 'pas <action> [path]',
    help: 'pas verify [path]: check audit chains from files or an export; pas deliver: deliver what is undelivered; pas keygen: make a key that signs heads',
    options: [
      eras,
      {
        flag: '--key <key>',
        help: 'pas verify: also check signed heads, with this verifier key or a file of some; may be given several times',
        isList: true,
      },
      { flag: '--heads <dir>', help: 'pas verify: copies of heads kept elsewhere, which show what was removed' },
      { flag: '--out <file>', help: 'pas keygen: file for the private key; nothing may stand there' },
      { flag: '--origin <name>', help: 'pas keygen: name of the signed logs [pas.origin]' },
      json,
    ],
    examples: [
      'bronze-copier pas verify ./pas-backup',
      'bronze-copier pas verify export.jsonl',
      'bronze-copier pas keygen --out signing.key --origin example.com/bronze',
      'bronze-copier pas verify ./data --key bronze.pub --heads ./heads-kept-elsewhere',
      'bronze-copier pas deliver --config x.yaml --eras pre_p23',
    ],
    load: () => import('./pas.ts'),
  },
  {
    usage: 'bigquery <action>',
    help: 'bigquery ddl: print the statement for an external table of BigQuery over Bronze in GCS, one per era',
    options: [
      eras,
      { flag: '--dataset <name>', help: 'Data set of BigQuery, [project.]dataset [catalog.bigquery]' },
      { flag: '--load-table', help: 'Also the table that catalog.bigquery.load fills' },
    ],
    examples: ['bronze-copier bigquery ddl --config x.yaml --eras pre_p23 --dataset my-project.stellar'],
    load: () => import('./bigquery.ts'),
  },
  {
    usage: 'unlock',
    help: 'Remove a lock whose holder cannot be checked, naming what it removes',
    options: [{ flag: '--era <name>', help: 'The era; may be left out where there is only one' }, json],
    examples: ['bronze-copier unlock --config x.yaml --era pre_p23'],
    load: () => import('./unlock.ts'),
  },
  {
    usage: 'give-up',
    help: 'Where Bronze lost something that copies, checkpoint, delivery or catalog remember: say what, or go on without it',
    options: [
      { flag: '--era <name>', help: 'The era; may be left out where there is only one' },
      {
        flag: '--exactly <code>',
        help: 'Give up what this code names, and nothing else; without it nothing is changed',
      },
      { flag: '--reason <text>', help: 'Why, for the record that is written beside the chain' },
      json,
    ],
    examples: [
      'bronze-copier give-up --config x.yaml --era pre_p23',
      'bronze-copier give-up --config x.yaml --era pre_p23 --exactly 3f2a9c41d07e --reason "disk lost, last backup is of Monday"',
    ],
    load: () => import('./give-up.ts'),
  },
  {
    usage: 'sample',
    help: 'Write a small valid made-up lake, hash-chained, crossing an era boundary',
    options: [
      { flag: '--out <dir>', help: 'Where to write it' },
      { flag: '--ledgers <n>', help: 'How many ledgers, from 2 on [126]' },
    ],
    examples: ['bronze-copier sample --out ./lake'],
    load: () => import('./sample.ts'),
  },
];
