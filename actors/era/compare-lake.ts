/** What Bronze says of the edges of its partitions, held against the lake. */
import type { Failure } from '../../machines/errors.ts';
import type { LakeCompared } from '../../machines/protocol.ts';
import type { Effect } from '../effects/effect.ts';
import type { RunningEra } from '../effects/running-era.ts';
import { compareLake as compare } from '../source/compare-lake.ts';

export const compareLake: Effect<'compareLake'> = async (era, _, { signal }) => {
  const { source } = era.setup;
  const onUnreadable = ({ code, message }: Failure): void =>
    era.log.warn({ component: 'source', code, error: message }, 'a ledger of the lake could not be compared');
  const committed = [...era.ends.values()].sort((a, b) => a.range.start - b.range.start);
  const compared = await compare({ source, layout: era.layout, onUnreadable }, committed, signal);
  tellBehind(era, compared);
  return compared;
};

/** Once when it begins and once when it is over: the lake is compared whenever that changes. */
function tellBehind(era: RunningEra, { behind }: LakeCompared): void {
  const isBehind = behind !== null;
  if (isBehind === era.isBehind) return;
  era.isBehind = isBehind;
  const { uri } = era.setup.source;
  if (isBehind) {
    era.log.warn(
      { component: 'source', source: uri, lake_head: behind.head, committed_to: committedTo(era) },
      'the lake ends before what is committed: it was reset or cut, or is another one that is behind; nothing is copied until it has grown',
    );
  } else era.log.info({ component: 'source', source: uri }, 'the lake reaches as far as what is committed again');
}

function committedTo({ ends }: RunningEra): number {
  let last = 0;
  for (const { range } of ends.values()) last = Math.max(last, range.end);
  return last;
}
