/**
 * Proxies of the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY, in capitals or not), for what does not ask for them by
 * itself: Node's own HTTP and the AWS SDK. Google's libraries do. undici's agent decides, for each request by its host.
 * The address of a proxy is not repeated: it may hold a password.
 */
import type { Readable } from 'node:stream';
import type { EnvHttpProxyAgent } from 'undici';
import { BronzeError } from '../../machines/errors.ts';
import { type SdkRequest, searchOf } from './sdk-request.ts';

const VARIABLES = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'] as const;

export const isProxied = (env: NodeJS.ProcessEnv = process.env): boolean => VARIABLES.some((name) => env[name]);

type AgentOptions = NonNullable<ConstructorParameters<typeof EnvHttpProxyAgent>[0]>;

/** @throws CONFIG_INVALID: a variable holds no address of a proxy */
export async function proxyAgent(options: AgentOptions = {}): Promise<EnvHttpProxyAgent> {
  const wrong = VARIABLES.find((name) => {
    const value = process.env[name];
    return value && !(/^https?:\/\//i.test(value) && URL.canParse(value));
  });
  if (wrong !== undefined) {
    throw new BronzeError('CONFIG_INVALID', `${wrong} holds no address of an HTTP proxy; write http://host:port`, {
      details: { object: wrong, expected: 'http://host:port or https://host:port' },
    });
  }
  const { EnvHttpProxyAgent, Pool } = await import('undici');
  /** Where a proxy ends the connection instead of answering, undici takes that for a passing fault, and asks for ever. */
  class ProxyPool extends Pool {
    override connect(...args: unknown[]): never {
      const connecting = (super.connect as (...all: unknown[]) => Promise<unknown>)(...args);
      return connecting.catch((cause: unknown) => {
        if ((cause as { code?: unknown }).code !== 'UND_ERR_SOCKET') throw cause;
        throw Object.assign(new Error('the proxy ended the connection', { cause }), { code: 'ECONNRESET' });
      }) as never;
    }
  }
  return new EnvHttpProxyAgent({ ...options, clientFactory: (origin, all) => new ProxyPool(origin, all) });
}

interface SdkAnswer {
  readonly statusCode: number;
  readonly reason: string;
  readonly headers: Record<string, string>;
  readonly body: Readable;
}

interface Patience {
  /** Until a connection stands, ms. */
  readonly connectMs: number;
  /** Without a byte, ms; also the longest wait for the head of an answer. */
  readonly silenceMs: number;
  /** Connections to one host. */
  readonly connections: number;
}

/** What sends the requests of the AWS SDK: its own handler cannot choose by host whether a proxy is asked. */
export async function proxiedHandler({ connectMs, silenceMs, connections }: Patience) {
  const { request: send } = await import('undici');
  const dispatcher = await proxyAgent({
    connect: { timeout: connectMs },
    connections,
    headersTimeout: silenceMs,
    bodyTimeout: silenceMs,
  });
  return {
    metadata: { handlerProtocol: 'http/1.1' },
    async handle(
      { method, protocol, hostname, port, path, query = {}, headers, body }: SdkRequest,
      { abortSignal }: { readonly abortSignal?: AbortSignal } = {},
    ): Promise<{ response: SdkAnswer }> {
      const url = `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}${searchOf(query)}`;
      const answer = await send(url, {
        dispatcher,
        method: method as 'GET',
        // It counts from the first byte that is sent: an upload that moves slowly is not silent. Its caller has a bound.
        ...(body === undefined ? {} : { headersTimeout: 0 }),
        // undici sends no `Expect`; the store then refuses after the body, not before.
        headers: Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'expect')),
        ...(body === undefined ? {} : { body: body as Buffer }),
        ...(abortSignal === undefined ? {} : { signal: abortSignal }),
      });
      const told: Record<string, string> = {};
      for (const [name, value] of Object.entries(answer.headers)) {
        if (value !== undefined) told[name] = Array.isArray(value) ? value.join(', ') : value;
      }
      return { response: { statusCode: answer.statusCode, reason: '', headers: told, body: answer.body } };
    },
    destroy: (): void => void dispatcher.destroy(),
    updateHttpClientConfig: (): void => undefined,
    httpHandlerConfigs: () => ({}),
  };
}
