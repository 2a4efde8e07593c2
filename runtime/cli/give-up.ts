/**
 * `give-up`: the deliberate way on where Bronze lost something for good and something outside of it remembers. Without
 * `--exactly` it says what that is and changes nothing. It must never give up anything but what was named.
 */
import { hostname, userInfo } from 'node:os';
import { chainKey } from '../../actors/bronze/names.ts';
import { codeOf, covers, type LossFound, moveAside, readLosses, recordLoss } from '../../actors/chain/losses.ts';
import type { EraConfig } from '../../config/schema.ts';
import { BronzeError, fromFailure } from '../../machines/errors.ts';
import { type Contradiction, contradictionText, ledgersOf, WAY_OUT } from '../../machines/evidence.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import { contradictionsIn } from '../../machines/recovery.ts';
import { type Context, eraSetup, memoriesOf, openContext } from '../context.ts';
import { print } from '../streams.ts';
import { type EraSurvey, surveyEra } from '../survey-era.ts';
import { type CommandLine, switchOption, textOption, usage } from './command-line.ts';
import { locked } from './locked.ts';

/** Contradictions that are printed one by one; `--json` has them all. */
const PRINTED = 20;

function chosenEra({ config }: Context, name: string | undefined): EraConfig {
  const names = config.eras.map((era) => era.era_id);
  if (name === undefined && names.length > 1) throw usage(`give-up needs --era, one of ${names.join(', ')}`);
  const era = config.eras.find((each) => name === undefined || each.era_id === name);
  if (!era) throw usage(`there is no era ${name}; there are ${names.join(', ')}`);
  return era;
}

/** Who gives up, as far as the system tells. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}

interface Done {
  readonly chain: string;
  /** Names what contradicts now; null where nothing does. */
  readonly code: string | null;
  readonly contradictions: readonly Contradiction[];
  /** Key of the record, where something was given up. */
  readonly record: string | null;
  /** What was given up now. */
  readonly given_up: number;
}

function about(
  { chain, facts }: EraSurvey,
  { store }: Context,
): { uri: string; partitions: number; events: number; last_event_hash: string | null } {
  return {
    uri: `${store.uri}${chainKey(chain)}/`,
    partitions: facts?.partitions.filter(({ dataBytes, hasManifest }) => dataBytes !== null && hasManifest).length ?? 0,
    events: facts?.events.length ?? 0,
    last_event_hash: facts?.events.at(-1)?.eventHash ?? null,
  };
}

/** Holds the chain's lock. Throws EVIDENCE_CONTRADICTS where something else is found than what was named. */
async function giveUp(
  context: Context,
  survey: EraSurvey,
  found: readonly Contradiction[],
  exactly: string,
  reason: string,
): Promise<Done> {
  const { config, store, catalog } = context;
  const { chain } = survey;
  const place = { store, chain };
  const losses = await readLosses(place);
  const last: LossFound | undefined = losses.at(-1);
  const isBegun = last?.record?.code === exactly && covers(last.record, found);
  const code = codeOf(found);
  const done = { chain: chainKey(chain), code: found.length === 0 ? null : code, contradictions: found };
  if (found.length === 0) {
    if (isBegun) return { ...done, record: last.key, given_up: 0 };
    throw usage(`nothing that is remembered of ${chainKey(chain)} contradicts Bronze: there is nothing to give up`);
  }
  if (!isBegun && code !== exactly) {
    throw new BronzeError(
      'EVIDENCE_CONTRADICTS',
      `${exactly} is not what contradicts Bronze now, which is ${code}: ${contradictionText(found)}; nothing was given up`,
      {
        details: {
          ...ledgersOf(found),
          expected: exactly,
          found: code,
          hint: 'look at what it is now: bronze-copier give-up, without --exactly',
        },
      },
    );
  }
  await store.prepare();
  const { number } = isBegun
    ? last
    : await recordLoss(
        place,
        {
          contradictions: found,
          ledgers: ledgersOf(found),
          reason,
          by: { copier_id: config.copier_id, user: userName(), host: hostname() },
          at: new Date().toISOString(),
          bronze: about(survey, context),
        },
        (last?.number ?? -1) + 1,
      );
  const { copies, catalog: rows } = memoriesOf(config, chain, catalog);
  await moveAside({ copies, catalog: rows }, found, number);
  const record = (await readLosses(place)).find((each) => each.number === number)?.key ?? null;
  return { ...done, record, given_up: found.length };
}

function text({ chain, code, contradictions, record, given_up }: Done, era: string): string {
  if (record !== null) {
    const what = given_up === 0 ? 'was given up before' : `${given_up} of what is remembered given up`;
    return `${chain}: ${what}; the record is ${record}\n`;
  }
  const ledgers = ledgersOf(contradictions);
  const lines = [
    `${chain}: ${contradictions.length} of what is remembered contradicts Bronze${ledgers === null ? '' : ` (ledgers ${rangeLabel(ledgers)})`}:`,
    ...contradictions.slice(0, PRINTED).map(({ why }) => `  ${why}`),
  ];
  if (contradictions.length > PRINTED) lines.push(`  and ${contradictions.length - PRINTED} more; --json has them all`);
  lines.push(
    'Nothing was changed. First try to bring Bronze back: is it mounted, is there a newer backup?',
    'If it is lost for good, this gives up all of the above, and nothing else; a record of it is written beside the chain:',
    `  bronze-copier give-up --era ${era} --exactly ${code} --reason "what happened"`,
  );
  return `${lines.join('\n')}\n`;
}

export async function execute(commandLine: CommandLine): Promise<number> {
  const exactly = textOption(commandLine, 'exactly');
  const reason = textOption(commandLine, 'reason');
  if ((exactly === undefined) !== (reason === undefined)) {
    throw usage('--exactly and --reason belong together: what is given up, and why');
  }
  const context = openContext(commandLine);
  try {
    const era = chosenEra(context, textOption(commandLine, 'era'));
    const surveyed = async (): Promise<{ survey: EraSurvey; found: readonly Contradiction[] }> => {
      const survey = await surveyEra(context, era);
      const { facts, failure, grid } = survey;
      // Whatever else is wrong comes first: only what is known to be there can be held against what is remembered.
      if (failure !== null && failure.code !== 'EVIDENCE_CONTRADICTS') throw fromFailure(failure);
      return { survey, found: facts === null ? [] : contradictionsIn(facts, grid) };
    };
    let done: Done;
    if (exactly === undefined || reason === undefined) {
      const { survey, found } = await surveyed();
      if (found.length === 0) {
        throw usage(
          `nothing that is remembered of ${chainKey(survey.chain)} contradicts Bronze: there is nothing to give up`,
        );
      }
      done = { chain: chainKey(survey.chain), code: codeOf(found), contradictions: found, record: null, given_up: 0 };
    } else {
      const pool = { run: () => Promise.reject(new BronzeError('INTERNAL', 'nothing is built here')) };
      done = await locked(eraSetup(context, era, pool), async () => {
        const { survey, found } = await surveyed();
        return giveUp(context, survey, found, exactly, reason);
      });
    }
    if (switchOption(commandLine, 'json')) {
      const { contradictions, ...rest } = done;
      const told = contradictions.map(({ memory, why }) => ({ ...memory, why }));
      const whole = { ...rest, ledgers: ledgersOf(contradictions), way_out: WAY_OUT, contradictions: told };
      await print(`${JSON.stringify(whole, null, 2)}\n`);
    } else await print(text(done, era.era_id));
    return done.record === null ? 1 : 0;
  } finally {
    await context.catalog?.close();
  }
}
