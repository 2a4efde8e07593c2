/**
 * A real browser for tests of what people look at: Debian's Chromium, headless, without a call to anybody. Suites that
 * need it are skipped by name where it is absent; with CI=true its absence is a failure, so that nothing is skipped unseen.
 */
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { describe, it } from 'vitest';

const CHROMIUM = '/usr/bin/chromium';

/** `describe` for suites that need a browser; where it is absent `body` is not even run. */
export function describeBrowser(name: string, body: () => void): void {
  const absent = (): never => {
    throw new Error(`there is no ${CHROMIUM}: apt-get install chromium`);
  };
  if (existsSync(CHROMIUM)) describe(name, body);
  else if (process.env.CI === 'true') describe(name, () => it('has a browser', absent));
  else describe.skip(name, () => it('needs a browser', absent));
}

/** Whoever opens it closes it. */
export const openBrowser = (): Promise<Browser> =>
  chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
