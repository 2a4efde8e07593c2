/**
 * Printing a configuration without its secrets. It must never let a password through, also not one that stands in a
 * connection string that is itself wrong; masking too much is fine.
 */
import { stringify } from 'yaml';
import type { Config } from './schema.ts';

/** What stands in the place of a secret. */
export const MASK = '***';

/** Before `@` without a `:`, over HTTP: a token. In a connection string it is the user's name. */
const TOKEN = /(https?:\/\/)[^:@\s]+@/gi;
/** From the first `:` to the last `@`: passwords with `/`, `:` or `@` that nobody escaped are masked whole. */
const USERINFO = /([A-Za-z][A-Za-z0-9+.-]*:\/\/[^:]*):.*@/gs;
const PARAMETER =
  /([?&;](?:[a-z_-]*(?:password|passwd|pwd|secret|token|signature|api[_-]?key|access[_-]?key|credential)|code|key|sig|auth|pass)=)[^&#;\s]*/gi;
const PAIR = /((?:^|\s)(?:ssl)?password\s*=\s*)(?:'(?:[^'\\]|\\.)*(?:'|$)|(?:\\.|[^\s\\])+)/gi;

/** A connection string or URL with its password (and secrets among its parameters) replaced by `***`. */
export function redactSecrets(text: string): string {
  return text
    .replace(TOKEN, `$1${MASK}@`)
    .replace(USERINFO, `$1:${MASK}@`)
    .replace(PARAMETER, `$1${MASK}`)
    .replace(PAIR, `$1${MASK}`);
}

/** The same configuration, fit for printing and logging. */
export function printableConfig(config: Config): Config {
  return {
    ...config,
    source: { ...config.source, s3_endpoint: redactSecrets(config.source.s3_endpoint) },
    storage: { ...config.storage, s3_endpoint: redactSecrets(config.storage.s3_endpoint) },
    catalog: { ...config.catalog, postgres_dsn: redactSecrets(config.catalog.postgres_dsn) },
    pas: { ...config.pas, endpoint: redactSecrets(config.pas.endpoint) },
  };
}

/** The effective configuration as YAML that loads again to the same (but for masked secrets). */
export function formatConfig(config: Config): string {
  const printable = printableConfig(config);
  // In a file an empty prefix would mean "not set"; a slash says that there is none.
  const prefix = config.storage.prefix === '' ? '/' : config.storage.prefix;
  return stringify({ ...printable, storage: { ...printable.storage, prefix } }, { lineWidth: 0 });
}
