/**
 * Metrics, health and readiness over HTTP, on the configured address and nowhere else. It answers from memory, reads
 * nothing that a request says but its path, and never lets many scrapes at once cost more than one.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { MetricsConfig } from '../../config/schema.ts';
import { type Listening, listen } from './listen.ts';

/** What a scraper gets. */
export interface Exposition {
  readonly contentType: string;
  readonly text: () => Promise<string>;
}

/** Ms for which an exposition is given again: who asks without a pause costs no more than a few scrapes a second. */
const FRESH_MS = 250;

/** `host:port`, `[::1]:port`, `:port`, as the configuration has it. */
export function hostAndPort(address: string): { host: string | null; port: number } {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return { host: host === '' ? null : host, port: Number(address.slice(colon + 1)) };
}

/** Who is asked on /health and /ready. */
export interface Probes {
  report(): { readonly ok: boolean; readonly body: unknown };
  readiness(): { readonly ready: boolean };
}

/** @throws BronzeError LISTEN_FAILED */
export function openWatchServer(config: MetricsConfig, health: Probes, exposition: Exposition): Promise<Listening> {
  let scrape: Promise<string> | null = null;
  const metrics = (): Promise<string> => {
    scrape ??= exposition.text().finally(() => {
      setTimeout(() => {
        scrape = null;
      }, FRESH_MS).unref();
    });
    return scrape;
  };
  const handler = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = (request.url ?? '').split('?')[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(response, 405, TEXT, 'only GET\n');
    switch (path) {
      case config.path:
        return answer(response, 200, exposition.contentType, await metrics());
      case '/health': {
        const { ok, body } = health.report();
        return answer(response, ok ? 200 : 503, JSON_TYPE, json(body));
      }
      case '/ready': {
        const body = health.readiness();
        return answer(response, body.ready ? 200 : 503, JSON_TYPE, json(body));
      }
      default:
        return answer(response, 404, TEXT, `there are ${config.path}, /health and /ready\n`);
    }
  };
  return listen({
    ...hostAndPort(config.address),
    what: 'metrics (metrics.address)',
    handler: (request, response) => {
      handler(request, response).catch((error: unknown) =>
        answer(response, 500, TEXT, `${error instanceof Error ? error.message : String(error)}\n`),
      );
    },
  });
}

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';

const json = (body: unknown): string => `${JSON.stringify(body, null, 2)}\n`;

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
