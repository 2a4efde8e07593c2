/**
 * Signs an S3 request a second time, after a test's proxy has taken a signed header from it. It knows AWS Signature
 * Version 4 in the Authorization header, as the client used it; it does not sign for the program itself.
 */
import { createHash, createHmac } from 'node:crypto';

const ALGORITHM = 'AWS4-HMAC-SHA256';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/**
 * `raw` (name, value, name, value …) with a new Authorization: over those of the signed headers that are still there.
 * Without an Authorization of this version it stays as it is.
 */
export function signAgain(message: {
  readonly method: string;
  /** Path and query as on the wire. */
  readonly url: string;
  readonly raw: readonly string[];
  readonly secretKey: string;
}): string[] {
  const { method, url, secretKey } = message;
  const raw = [...message.raw];
  const values = new Map<string, string>();
  for (let n = 0; n + 1 < raw.length; n += 2)
    values.set(raw[n]!.toLowerCase(), raw[n + 1]!.trim().replace(/\s+/g, ' '));
  const authorization = values.get('authorization') ?? '';
  const [, accessKey, scope, names] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), ?SignedHeaders=([^,]+), ?Signature=/.exec(authorization) ?? [];
  if (accessKey === undefined || scope === undefined || names === undefined) return raw;

  const signed = names.split(';').filter((name) => values.has(name));
  const [path = '', search = ''] = url.split(/\?(.*)/s);
  const query = search
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
    .sort();
  const canonical = [
    method,
    path,
    query.join('&'),
    ...signed.map((name) => `${name}:${values.get(name)}`),
    '',
    signed.join(';'),
    values.get('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD',
  ].join('\n');
  const toSign = [ALGORITHM, values.get('x-amz-date') ?? '', scope, sha256(canonical)].join('\n');
  const key = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${secretKey}`);
  const signature = hmac(key, toSign).toString('hex');
  const at = raw.findIndex((name, n) => n % 2 === 0 && name.toLowerCase() === 'authorization');
  raw[at + 1] =
    `${ALGORITHM} Credential=${accessKey}/${scope}, SignedHeaders=${signed.join(';')}, Signature=${signature}`;
  return raw;
}
