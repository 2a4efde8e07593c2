/**
 * Printing a configuration without its secrets. No password gets through, also not one that stands in a connection
 * string that is itself wrong; masking too much is fine.
 */
import { stringify } from 'yaml';
import type { Config } from './schema.ts';

/** What stands in the place of a secret. */
export const MASK = '***';

/** Before `@` without a `:`, over HTTP: a token. In a connection string it is the user's name. */
const TOKEN = /(https?:\/\/)[^:@\s]+@/gi;
/** Longest text that is searched for secrets; of a longer one, what follows is left out. No value is longer. */
const SEARCHED = 8192;
const PARAMETER =
  /([?&;](?:[a-z_-]*(?:password|passwd|pwd|secret|token|signature|api[_-]?key|access[_-]?key|credential)|code|key|sig|auth|pass)=)[^&#;\s]*/gi;
const PAIR = /((?:^|\s)(?:ssl)?password\s*=\s*)(?:'(?:[^'\\]|\\.)*(?:'|$)|(?:\\.|[^\s\\])+)/gi;

/** A connection string or URL with its password (and secrets among its parameters) replaced by `***`. */
export function redactSecrets(text: string): string {
  // The end of a password that is cut off would not be seen: up to the cut, all after `scheme://name:` is taken for one.
  if (text.length > SEARCHED) return `${redactSecrets(`${text.slice(0, SEARCHED - 1)}@`).slice(0, -1)}…`;
  return maskUserInfo(text.replace(TOKEN, `$1${MASK}@`))
    .replace(PARAMETER, `$1${MASK}`)
    .replace(PAIR, `$1${MASK}`);
}

/**
 * After `scheme://`, from the first `:` to the last `@`: passwords with `/`, `:` or `@` that nobody escaped are masked
 * whole.
 */
function maskUserInfo(text: string): string {
  const end = text.lastIndexOf('@');
  for (let at = text.indexOf('://'); at >= 0 && at < end; at = text.indexOf('://', at + 3)) {
    const colon = text.indexOf(':', at + 3);
    if (colon >= 0 && colon < end) return `${text.slice(0, colon)}:${MASK}${text.slice(end)}`;
  }
  return text;
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
