/**
 * A GET to somebody who is not trusted: bounded in time, size and redirects. What went wrong is an answer of its own kind.
 * It must never hold more than `limit` bytes, nor go where only a redirect to another protocol leads.
 */
import type { Dispatcher } from 'undici';
import { BronzeError } from '../../machines/errors.ts';
import { isProxied, proxyAgent } from '../remote/proxy.ts';

/** Why there is no answer. */
export type Silence =
  /** 404 or 410. */
  | 'not_found'
  /** 401 or 403. */
  | 'denied'
  /** Another status. */
  | 'status'
  /** A web page instead of the file. */
  | 'html'
  /** Too many, or to nowhere. */
  | 'redirects'
  | 'too_large'
  /** The file ends before it is whole. */
  | 'cut'
  /** It is not what it should be. */
  | 'damaged'
  | 'timeout'
  | 'unreachable'
  /** It ends before the ledger that was asked for. */
  | 'behind'
  | 'other_network'
  /** It had failed to answer too often. */
  | 'not_asked';

export interface Silent {
  readonly silence: Silence;
  /** In a few words. */
  readonly why: string;
}

export interface Bounds {
  /** For everything, redirects included, ms. */
  readonly timeoutMs: number;
  /** Bytes of a body. */
  readonly limit: number;
  readonly redirects: number;
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export const silent = (silence: Silence, why: string): Silent => ({ silence, why });

let agent: Promise<Dispatcher> | null = null;

/** The same for all: it keeps connections open. */
async function dispatcher(): Promise<Dispatcher> {
  agent ??= isProxied() ? proxyAgent() : import('undici').then(({ Agent }) => new Agent({ connectTimeout: 10_000 }));
  return agent;
}

function ofStatus(status: number): Silent {
  if (status === 404 || status === 410) return silent('not_found', `it answered ${status}`);
  if (status === 401 || status === 403) return silent('denied', `it answered ${status}`);
  return silent('status', `it answered ${status}`);
}

const isHtml = (type: unknown, body: Buffer): boolean =>
  /^text\/html/i.test(String(type ?? '')) || /^\s*<(?:!doctype|html|\?xml)/i.test(body.toString('latin1', 0, 200));

/** The body of the answer, or why there is none. Throws CANCELLED where `signal` fires. */
export async function boundedGet(url: string, bounds: Bounds, signal: AbortSignal): Promise<Buffer | Silent> {
  const late = AbortSignal.timeout(bounds.timeoutMs);
  try {
    return await follow(url, bounds, AbortSignal.any([signal, late]));
  } catch (error) {
    if (signal.aborted) throw new BronzeError('CANCELLED', 'the work was cancelled', { cause: error });
    if (error instanceof BronzeError) throw error;
    const { code = '', name = '' } = error as { code?: string; name?: string };
    if (late.aborted || name === 'TimeoutError' || /TIMEOUT/.test(code)) {
      return silent('timeout', `no whole answer within ${bounds.timeoutMs / 1000} s`);
    }
    if (code === 'UND_ERR_SOCKET' || code === 'UND_ERR_ABORTED') return silent('cut', 'the connection ended early');
    return silent('unreachable', code || (error instanceof Error ? error.message : String(error)));
  }
}

async function follow(first: string, { limit, redirects }: Bounds, signal: AbortSignal): Promise<Buffer | Silent> {
  const { request } = await import('undici');
  let url = first;
  for (let hops = 0; hops <= redirects; hops += 1) {
    const { statusCode, headers, body } = await request(url, { dispatcher: await dispatcher(), signal });
    const isRedirect = REDIRECTS.has(statusCode);
    if (isRedirect || statusCode !== 200) {
      // Nothing of it is read; the connection is given up.
      body.on('error', () => undefined).destroy();
      if (!isRedirect) return ofStatus(statusCode);
      const to = String(headers.location ?? '');
      if (!URL.canParse(to, url)) return silent('redirects', 'a redirect to nowhere');
      const next = new URL(to, url);
      if (!/^https?:$/.test(next.protocol)) return silent('redirects', `a redirect to ${next.protocol}`);
      url = next.href;
      continue;
    }
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      // Leaving the loop ends the connection.
      if (size > limit) return silent('too_large', `more than ${limit} bytes`);
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    return isHtml(headers['content-type'], bytes) ? silent('html', 'a web page instead of the file') : bytes;
  }
  return silent('redirects', `more than ${redirects} redirects`);
}
