/**
 * Writes docs/failure-model.md: what is proved, for which sizes, under which assumptions, and what is not. Its tables
 * come from test runs (build/results), so it is written after them:
 *
 *   npm run test:model && npx vitest run test/crash && npm run docs:failures
 */
import { writeFileSync } from 'node:fs';
import { KILL_POINTS } from '../actors/kill-points.ts';
import { mutants } from '../test/model/mutants.ts';
import { type KillResult, type ModelResult, readResults } from '../test/support/results.ts';

interface Deaths {
  readonly deaths: number;
  readonly recovering: number;
  readonly estates: number;
}

const kills = readResults<KillResult[]>('kill-points');
const models = readResults<ModelResult[]>('model');
const random = readResults<Deaths>('random-kills');
const outside = readResults<Deaths>('random-kills-outside');

const number = (value: number): string => value.toLocaleString('en');
const row = (...cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;

const modelRows = models.map(({ name, about, states, edges, depth }) =>
  row(name, about.replaceAll('|', '\\|'), number(states), number(edges), depth),
);
const total = (key: 'states' | 'edges'): string => number(models.reduce((sum, model) => sum + model[key], 0));
const kinds = [...new Set(models.flatMap((model) => Object.keys(model.moves)))].sort();
const taken = (kind: string): number => models.reduce((sum, model) => sum + (model.moves[kind] ?? 0), 0);

const killRows = kills.map(({ point, found, recovery }) =>
  row(
    `\`${point}\``,
    `${found.published} / ${found.manifests} / ${found.events}`,
    found.staged,
    found.locks,
    `${recovery.kept.built} built, ${recovery.kept.found} taken over`,
    `${recovery.lost.built} built, ${recovery.lost.found} taken over`,
  ),
);

const page = `# The failure model

What is proved, for which sizes, under which assumptions, and what is not. The tables are written from test runs by
\`npm run docs:failures\`; [how-it-works.md](how-it-works.md) explains the words.

## Every interleaving

\`npm run test:model\` steps the production machines themselves, by pure transitions, through every order in which
messages, effects and faults can come, breadth first and to exhaustion. A state of that world is the snapshot of every
actor, what is on its way between them, the requests under way, everything durable, and the faults still to come.

${row('configuration', 'what it is for', 'states', 'edges', 'depth')}
${row('---', '---', '--:', '--:', '--:')}
${modelRows.join('\n')}
${row('**all**', '', `**${total('states')}**`, `**${total('edges')}**`, '')}

In every state and across every move: something can still happen unless all is over, without help from a crash or a
restart; commits are in ledger order and once; what a reader can see never changes; there is no manifest without its
data, no event without its manifest, no checkpoint beyond the contiguous prefix; events and deliveries are prefixes of
one sequence; adjacent attested partitions link; nobody's staging is removed but one's own and that of the dead; the
buffer is within the window; no event comes in a state that has no handler for it; a run is done only if all that was
asked for is sealed and attested; a finished world can be reached from everywhere once the causes of failure are gone;
recovering twice changes nothing. Rows of the catalog are those of sealed and attested partitions, one each, and never
change. Where a mode is strict, neither a checkpoint nor the end of a run is ahead of the row (but for what a reader
holds) or of the delivery; where it is lenient, a run never leaves more than it says, and a finished world is one in
which nothing is left to any later run.

What is remembered outside of Bronze (copies of events, their head, the checkpoint, the delivery pointer, rows) never
contradicts it unless somebody rolled Bronze back behind the program's back: the last partition gone, \`_audit/\` gone,
everything gone, another consistent history in its place. While a contradiction stands, nothing in Bronze, no copy and no
checkpoint changes, whoever is started; a copy is never replaced by other content, a head only moves forward; and once
it was given up, one memory after another, a finished world can be reached.

### How often each kind of move was taken

${row('move', 'times')}
${row('---', '--:')}
${kinds.map((kind) => row(kind, number(taken(kind)))).join('\n')}

A kind that a configuration allows and that is never taken fails the run.

### Seeded bugs

The explorer has to find ${mutants.length} bugs that are seeded on purpose; the shortest trace of each stands in
\`test/model/traces/\`, as text and as a sequence diagram, and is what its test expects.

## Every kill point

The real program, copying two eras of three and two partitions with one thread, killed (SIGKILL) at each place between
two durable steps, then started again: once with everything as it was left, once without its state folder and the copies
of events. Each time the outcome has to be that of a run which nothing disturbed: the same bytes, the same objects, one
manifest and one event per partition, an unbroken chain, nothing staged where the state folder was kept. There are
${KILL_POINTS.length} kill points; \`#2\` is the second time that a run comes by. A point that is never reached fails its
test. (Three are reached by recovering runs only and have tests of their own, as have ${number(21)} pairs of deaths.)

${row('killed at', 'published / manifests / events', 'staged', 'locks', 'next run', 'next run, state lost')}
${row('---', '--:', '--:', '--:', '---', '---')}
${killRows.join('\n')}

Five partitions in all: what was not built by the next run was committed before, or taken over as it stood.

### With Bronze in a bucket

The same on a real Ceph gateway, whose uploads are fenced, and on the double of Google Cloud Storage, with two eras of one
partition (\`test/crash/kill-points.remote.ts\`): every kill point that a bucket has a part in, with the state folder kept and with
it lost, and six pairs of deaths. Where the state folder was kept, no upload and no staging object is left. Not there:
points that only Bronze on a disk has, and those while a lock is taken, within a journal, a copy or a checkpoint; they lie
on the local disk whatever the store, and are above.

## Kills at random

${number(random.deaths)} deaths at random moments over ${number(random.estates)} estates with partitions of five ledgers,
${number(random.recovering)} of them while an earlier death was being recovered from, one in three with the state folder
deleted: 0 lost, 0 duplicated, 0 changed, every chain unbroken.

Beside a real PostgreSQL and an HTTP endpoint that fails at random and loses answers, strict and lenient in turn
(\`test/crash/random-kills.outside.test.ts\`): ${number(outside.deaths)} deaths over ${number(outside.estates)} estates,
${number(outside.recovering)} of them while an earlier one was being recovered from. Afterwards rows, manifests, events and
delivered events are the same, in order, once each. \`reconcile --repair\` is killed as well
(\`test/crash/reconcile.test.ts\`), and so is the embedded catalog's writer (\`test/crash/catalog.embedded.test.ts\`).

## Disk faults

ENOSPC, EIO, EROFS and EACCES at each changing file operation of a run, once and from there on
(\`test/crash/faults.test.ts\`): a coded error or success by retry, nothing half-visible, and a second run completes.

## Networks

A proxy between the real client and the store (Ceph, moto, the double of Google Cloud Storage) refuses, delays, cuts,
shortens and loses answers, answers 403, 429, 500, 503 and pages of something else, and delivers requests after their
sender has died. Lakes (\`test/conformance/source-faults.test.ts\`): at every single object of a range, a partition is
whole or it is not there. Stores (\`test/conformance/store.faults.test.ts\`): an error is never "not there", what was lost
is found by reading back, a late request changes nothing that is sealed. Two copiers with state folders of their own race
on one chain (\`test/e2e/buckets.together.test.ts\`): one set of objects, one chain.

## Assumptions

- What is acknowledged is durable. \`fsync\` keeps what it promises, and \`link(2)\` creates only if absent; so does a
  conditional request, where the probe at the start found that it is kept, and a fence elsewhere: there, that an upload
  which was aborted cannot be completed. The
  conformance suites in \`test/conformance/\` state what is assumed of each port, and run on every adapter.
- A listing and a read see everything that was acknowledged before they started.
- SHA-256 does not collide.
- Two builds of one range from one lake by one writer have the same bytes; by another writer the same content root.
- One build of the machines: a version of XState that behaves otherwise is found by the tests generated from the models,
  which compare pure steps with real actors step by step.

### Of a catalog and of an endpoint

\`test/conformance/catalog.ts\` (embedded, PostgreSQL, the BigQuery double) and \`test/conformance/delivery.test.ts\` show
these of the adapters; \`test/e2e/outside.test.ts\` and \`test/crash/random-kills.outside.test.ts\` of the whole program, with
a real PostgreSQL and a real HTTP endpoint.

1. *Durable, then acknowledged.* A row is one transaction: a reader sees all of it or nothing. An answer means that it
   stays. An answer that is lost says nothing: the same is asked again.
2. *Idempotent.* A row follows from the stored manifest and the stored event of its range, and from nothing else, so
   whoever writes it again writes the same; nothing is added and no row changes.
3. *Late requests are harmless.* A request of a process that is gone may land at any time, also after its successor
   wrote the same row or posted the same event. That follows from 2, and from the endpoint's knowing an event again.
4. *In order of cause.* No row without its manifest; where there is an audit stream, none without its event.
5. *Overlap is refused.* A range that shares ledgers with another row, or other content of the same range, is
   \`CATALOG_CONFLICT\`, and no retry helps. A catalog that does not answer is \`CATALOG_UNAVAILABLE\`, and one does.
6. *Missing rows are found*, by comparing with the chain, whatever the state folder says, and written in ledger order.
7. *A reader that holds the catalog open* is an answer (\`pending\`, \`left\`), not an error, and nothing is written then.
8. *Deliveries in order*: no event is posted before the one before it was acknowledged, none beyond a hole in the chain.
   How far it came is noted after the acknowledgement, so an event may be posted twice, and all of them where the state
   folder is lost; the endpoint tells by \`event_id\` and keeps one.
9. *A fork is told*: another event under a sequence that the endpoint knows is \`AUDIT_FORK\`, and no retry helps.
   Whatever may pass is \`DELIVERY_FAILED\`.
10. *Every call ends*: one transaction, one post, each with a time-out of its own, shorter than \`stall_timeout_ms\`, and
    when its actor is stopped. A catch-up of thousands says after each of them that it is alive.
11. *What is left is counted* when the chain is closed, and never too little.

## What is not proved

- Larger sizes than those above, but for \`npm run test:model:deep\`. More workers and partitions repeat the same
  situations; that they bring no new one is an argument, not a proof.
- Crashes of the era and supervisor actors themselves are in the random schedules, not in the explorer.
- BigQuery is a double in these tests, with DuckDB behind it: what is assumed of GoogleSQL stands in its header
  (\`test/support/googlesql-double.ts\`).
- Late requests to a catalog or an endpoint that are equal in all but their sender count as one.
- Google Cloud Storage is a double in these tests, and AWS is not among them: what is assumed of both is what they
  document ([object-storage.md](object-storage.md#what-was-not-tried)).
- Power cuts are emulated by what is and is not fsynced (tests count the calls), not by cutting power.
`;

writeFileSync('docs/failure-model.md', page);
