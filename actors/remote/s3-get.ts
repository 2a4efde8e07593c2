/**
 * The short way to an object of a lake in S3. What a GET looks like (host, path, headers, region) is learnt from the
 * SDK, which makes one that is not sent; from then on only key, date and signature change. Credentials come from the
 * SDK's own provider, which refreshes them before they expire. It has no credential of its own, and signs as the SDK
 * would.
 */
import type { S3Client } from '@aws-sdk/client-s3';
import type { RequestSigner } from 'aws4';
import type { S3Address } from './bucket.ts';
import { s3Check } from './checksums.ts';
import { type PlainGetter, plainGetter } from './plain-get.ts';
import { s3Client, s3Sdk } from './s3-client.ts';
import { type SdkRequest, searchOf } from './sdk-request.ts';
import { ShortWay, type Wanting } from './short-way.ts';

/** SHA-256 of an empty body. */
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** What every GET of an address has in common. */
interface Form {
  readonly getter: PlainGetter;
  readonly client: S3Client;
  /** Path before the key. */
  readonly path: string;
  /** From `?` on. */
  readonly query: string;
  /** That do not change. */
  readonly headers: Readonly<Record<string, string>>;
  /** Null = nothing is signed. */
  readonly sign: Signing | null;
}

interface Signing {
  readonly Signer: typeof RequestSigner;
  readonly service: string;
  readonly region: string;
}

interface Credentials {
  readonly form: Form;
  /** Null = nothing is signed. */
  readonly identity: Awaited<ReturnType<S3Client['config']['credentials']>> | null;
}

/** Ends the SDK's making of a request, before it is sent. */
class Made extends Error {
  readonly request: SdkRequest;
  constructor(request: SdkRequest) {
    super('made');
    this.request = request;
  }
}

/** Headers of one attempt, or of one signature. */
const PASSING = /^(amz-sdk-.*|x-amz-user-agent|x-amz-date|x-amz-content-sha256|x-amz-security-token|authorization)$/;

/** The GET that the SDK would send for a key. Sends nothing. @throws what the SDK does, where it has no credentials */
async function requestOf(address: S3Address, client: S3Client, key: string): Promise<SdkRequest> {
  const { GetObjectCommand } = await s3Sdk();
  const payer = address.requesterPays ? { RequestPayer: 'requester' as const } : {};
  const command = new GetObjectCommand({ Bucket: address.bucket, Key: key, ...payer });
  const requestHandler = {
    ...client.config.requestHandler,
    handle: (request: SdkRequest): never => {
      throw new Made(request);
    },
  };
  const send = command.resolveMiddleware(client.middlewareStack, { ...client.config, requestHandler } as never, {});
  return send({ input: command.input }).then(
    () => Promise.reject(new Error('the SDK sent nothing')),
    (error: unknown) => (error instanceof Made ? error.request : Promise.reject(error)),
  );
}

/** Null where the SDK asks in a way that is not known here: another kind of signature, or one for a session. */
async function formOf(address: S3Address): Promise<Form | null> {
  const client = await s3Client(address);
  const request = await requestOf(address, client, 'k');
  const { protocol, hostname, port, path, query = {}, headers } = request;
  const [, scope] = /^AWS4-HMAC-SHA256 Credential=[^,]*?((?:\/[^/,]+){4}),/.exec(headers.authorization ?? '') ?? [];
  const [, , region, service] = scope?.split('/') ?? [];
  const isSigned = headers.authorization !== undefined;
  if (request.method !== 'GET' || !path.endsWith('/k') || 'x-amz-s3session-token' in headers) return null;
  if (isSigned && (region === undefined || service === undefined)) return null;
  const { RequestSigner } = await import('aws4').then((module) => module.default ?? module);
  return {
    getter: await plainGetter(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}`),
    client,
    path: path.slice(0, -1),
    query: searchOf(query),
    headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !PASSING.test(name))),
    sign: isSigned ? { Signer: RequestSigner, service: service as string, region: region as string } : null,
  };
}

const getters = new Map<string, S3Get>();

/** The short way to an address; the same one for the same address, so that it is learnt once. */
export function s3Get(address: S3Address): S3Get {
  const key = JSON.stringify(address);
  const known = getters.get(key);
  if (known) return known;
  const getter = new S3Get(address);
  getters.set(key, getter);
  return getter;
}

class S3Get {
  readonly #address: S3Address;
  readonly #way = new ShortWay(() => this.#credentials());
  #form: Promise<Form | null> | null = null;

  constructor(address: S3Address) {
    this.#address = address;
  }

  /** The object, or null: ask the long way. Throws what `admit` throws. */
  get(key: string, wanting: Wanting): Promise<Uint8Array | null> {
    return this.#way.get(wanting, async (credentials) => {
      const { getter, path: before, query } = credentials.form;
      const path = `${before}${encoded(key)}${query}`;
      return getter.get({ path, headers: headersOf(credentials, path), judge: s3Check }, wanting);
    });
  }

  async #credentials(): Promise<Credentials> {
    this.#form ??= formOf(this.#address).catch((error: unknown) => {
      this.#form = null;
      throw error;
    });
    const form = await this.#form;
    if (form === null) throw new Error('the SDK asks otherwise');
    return { form, identity: form.sign === null ? null : await form.client.config.credentials() };
  }
}

function headersOf({ form, identity }: Credentials, path: string): string[] {
  const { sign, client } = form;
  if (sign === null || identity === null) return flat(form.headers);
  const request = {
    method: 'GET',
    path,
    service: sign.service,
    region: sign.region,
    headers: {
      ...form.headers,
      'x-amz-content-sha256': EMPTY,
      'x-amz-date': dateAt(Date.now() + client.config.systemClockOffset),
    },
  };
  return flat(new sign.Signer(request, identity).sign().headers as Record<string, string>);
}

function flat(headers: Readonly<Record<string, string>>): string[] {
  const all: string[] = [];
  for (const name in headers) all.push(name, headers[name] as string);
  return all;
}

let second = Number.NaN;
let date = '';

/** As signatures want it: `20261129T153705Z`. Made once a second. */
function dateAt(ms: number): string {
  const now = Math.floor(ms / 1000);
  if (now !== second) {
    date = `${new Date(now * 1000).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
    second = now;
  }
  return date;
}

/** A key in a path, as the SDK writes it. */
const encoded = (key: string): string =>
  /^[\w./~-]*$/.test(key)
    ? key
    : encodeURIComponent(key)
        .replaceAll('%2F', '/')
        .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
