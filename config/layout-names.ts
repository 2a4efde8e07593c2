/**
 * Names that the layout of Bronze uses for itself, where a label or a part of the prefix would have them as well: a
 * chain below them would be passed over by who looks for chains, or swept with what is staged.
 */
import type { Draft } from './draft.ts';
import { quote } from './problems.ts';

/** Folder by which a chain is told from other folders, also where bronze.primary_table is another. */
const TABLE = 'ledgers_lcm_raw';
/** Some file systems ignore case. */
const OWN = /^(?:_staging|_audit|_bronze\.json|range=.*|ledgers_lcm_raw)$/i;

/** Checks network, era_id and version_label of the eras at `eraPaths`, and the prefix. What begins with "_" is refused by the schema. */
export function checkLayoutNames(draft: Draft, eraPaths: readonly string[]): void {
  const tables = [TABLE, draft.text('bronze.primary_table') ?? TABLE].map((name) => name.toLowerCase());
  for (const path of eraPaths) {
    for (const key of ['network', 'era_id', 'version_label']) {
      const name = draft.text(`${path}.${key}`);
      if (name === undefined || !tables.includes(name.toLowerCase())) continue;
      draft.complain(`${path}.${key}`, {
        message: 'the name of the folder of the table inside a chain',
        expected: 'another name',
        found: quote(name),
      });
    }
  }
  const own = (draft.text('storage.prefix') ?? '').split('/').find((part) => OWN.test(part));
  if (own === undefined) return;
  draft.complain('storage.prefix', {
    message: 'a name that the layout of Bronze uses inside a chain',
    expected: 'a path without a part that is called _staging, _audit, _bronze.json, range=… or ledgers_lcm_raw',
    found: quote(own),
  });
}
