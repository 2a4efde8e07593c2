/**
 * Rules that take more than one key: what a mode needs, what excludes what. What the schema says about a single key is
 * not repeated here, and what is reported as broken is not reported twice.
 */
import type { Draft } from './draft.ts';
import { KNOWN_PASSPHRASES, networkMeant } from './networks.ts';
import { quote } from './problems.ts';
import { leafAt } from './tree.ts';

/** For each mode or backend the keys that it cannot do without. */
const NEEDS: readonly {
  readonly chooser: string;
  readonly needs: Readonly<Record<string, readonly string[]>>;
}[] = [
  {
    chooser: 'source.mode',
    needs: {
      local: ['source.local_path'],
      gcs: ['source.gcs_bucket'],
      s3: ['source.s3_bucket'],
      datastore: ['source.datastore_path'],
    },
  },
  {
    chooser: 'storage.backend',
    needs: { local: ['storage.local_dir'], gcs: ['storage.gcs_bucket'], s3: ['storage.s3_bucket'] },
  },
  {
    chooser: 'catalog.backend',
    needs: {
      embedded: ['catalog.dir'],
      postgres: ['catalog.postgres_dsn'],
      bigquery: ['catalog.bigquery.project', 'catalog.bigquery.dataset'],
    },
  },
];

/** Checks everything but eras. `eraPaths` says which networks there are. */
export function checkSemantics(draft: Draft, eraPaths: readonly string[]): void {
  for (const { chooser, needs } of NEEDS) {
    const chosen = draft.text(chooser);
    for (const key of chosen === undefined ? [] : (needs[chosen] ?? [])) checkNeeded(draft, key, chooser, chosen ?? '');
  }
  checkBigQueryLoad(draft);
  checkSigning(draft);
  checkQueue(draft);
  checkCompressionLevel(draft);
  checkPassphrase(draft, eraPaths);
  checkNetworks(draft, eraPaths);
  checkAnchors(draft, eraPaths);
}

/** Files of hashes and archives do not say which network they are of. */
function checkAnchors(draft: Draft, eraPaths: readonly string[]): void {
  const networks = new Set(eraPaths.flatMap((path) => draft.text(`${path}.network`) ?? []));
  if (networks.size < 2) return;
  for (const key of ['anchors.validators', 'anchors.trusted_hashes', 'anchors.archives']) {
    const given = draft.given(key);
    if (given === undefined || given === '' || (Array.isArray(given) && given.length === 0)) continue;
    draft.complain(key, {
      message: 'of one network, and there are eras of several',
      expected: 'a configuration with the eras of one network',
      found: [...networks].join(', '),
    });
  }
}

/** A label that only looks like a known network is compared with no passphrase, and its Bronze is nobody else's. */
function checkNetworks(draft: Draft, eraPaths: readonly string[]): void {
  // Who names the passphrase means it.
  if (draft.isBroken('source.network_passphrase') || draft.text('source.network_passphrase') !== '') return;
  for (const path of eraPaths) {
    const label = draft.text(`${path}.network`);
    const meant = label === undefined ? null : networkMeant(label);
    if (meant === null) continue;
    draft.complain(`${path}.network`, {
      message: 'nearly the name of a known network',
      expected: `one of ${[...KNOWN_PASSPHRASES.keys()].join(', ')}, or a label of your own with source.network_passphrase`,
      found: quote(label ?? ''),
      nearest: meant,
    });
  }
}

function checkNeeded(draft: Draft, key: string, chooser: string, chosen: string): void {
  if (draft.isBroken(key) || draft.text(key) !== '') return;
  const facts = leafAt(key)?.facts;
  const variable = facts?.variable === undefined ? '' : `, here or in ${facts.variable}`;
  draft.complain(key, {
    message: `required by ${chooser} ${chosen} and not given`,
    expected: `${facts?.expected ?? 'a value'}${variable}`,
    found: 'nothing',
  });
}

/** BigQuery loads from Google Cloud Storage alone. */
function checkBigQueryLoad(draft: Draft): void {
  const backend = draft.text('storage.backend');
  if (draft.text('catalog.backend') !== 'bigquery' || draft.given('catalog.bigquery.load') !== true) return;
  if (backend === undefined || backend === 'gcs') return;
  draft.complain('catalog.bigquery.load', {
    message: `BigQuery cannot load from storage.backend ${backend}`,
    expected: 'load: false, or storage.backend gcs',
    found: 'true',
  });
}

/** A head names its log, and there is none without events. */
function checkSigning(draft: Draft): void {
  const file = draft.text('pas.signing_key');
  if (file === '' && draft.given('pas.deliver_heads') === true) {
    draft.complain('pas.deliver_heads', {
      message: 'there are no heads to deliver where nothing is signed',
      expected: 'pas.signing_key and pas.origin, or no deliver_heads',
      found: 'pas.deliver_heads: true',
    });
  }
  if (file === undefined || file === '') return;
  if (draft.text('pas.origin') === '' && !draft.isBroken('pas.origin')) {
    draft.complain('pas.origin', {
      message: 'required by pas.signing_key and not given',
      expected: 'the name that the key was made for, here or in PAS_ORIGIN',
      found: 'nothing',
    });
  }
  if (draft.given('pas.enabled') !== false) return;
  draft.complain('pas.signing_key', {
    message: 'there is no audit log to sign where pas.enabled is false',
    expected: 'pas.enabled: true, or no signing_key',
    found: 'pas.enabled: false',
  });
}

/** Remote workers stage where the coordinator publishes: it has to be a place that all of them see. */
function checkQueue(draft: Draft): void {
  const queue = draft.text('perf.queue');
  if (queue === undefined || queue === '') return;
  if (draft.text('storage.backend') !== 'local' || draft.given('storage.shared') === true) return;
  draft.complain('perf.queue', {
    message: 'remote workers need Bronze in a bucket, or in a folder that all machines see',
    expected: 'storage.backend s3 or gcs, or storage.shared: true where local_dir is the same folder everywhere',
    found: 'storage.backend local',
  });
}

function checkCompressionLevel(draft: Draft): void {
  const codec = draft.text('bronze.compression');
  const level = draft.given('bronze.compression_level');
  if (codec === undefined || codec === 'zstd' || level === undefined) return;
  draft.complain('bronze.compression_level', {
    message: `${codec} has no levels`,
    expected: 'no compression_level, or compression zstd',
    found: String(level),
  });
}

/** A passphrase that contradicts the only networks there are would never be compared with anything: a silent no-op. */
function checkPassphrase(draft: Draft, eraPaths: readonly string[]): void {
  const passphrase = draft.text('source.network_passphrase');
  if (passphrase === undefined || passphrase === '') return;
  const known = eraPaths.map((path) => KNOWN_PASSPHRASES.get(draft.text(`${path}.network`) ?? ''));
  const first = known[0];
  if (first === undefined || known.some((each) => each === undefined || each === passphrase)) return;
  draft.complain('source.network_passphrase', {
    message: 'another passphrase than that of the network of the eras',
    expected: `${quote(first)}, or another network label`,
    found: quote(passphrase),
  });
}
