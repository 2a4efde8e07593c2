/**
 * A real browser: Debian's Chromium, without a window. Tests that need it are skipped by name where it is absent; with
 * CI=true its absence is a failure, so that nothing is skipped unseen. By itself it reaches nothing but this machine,
 * hence the switches that keep Chromium's own services quiet.
 */
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { describe, it } from 'vitest';

const CHROMIUM = process.env.BRONZE_TEST_CHROMIUM || '/usr/bin/chromium';

const absent = (): never => {
  throw new Error(`there is no browser at ${CHROMIUM} (Debian's package chromium; BRONZE_TEST_CHROMIUM names another)`);
};

/** `describe` for suites that need a browser; where it is absent `body` is not even run. */
export function describeBrowser(name: string, body: () => void): void {
  if (existsSync(CHROMIUM)) describe(name, body);
  else if (process.env.CI === 'true') describe(name, () => it('has a browser', absent));
  else describe.skip(name, () => it('needs a browser', absent));
}

export const openBrowser = (): Promise<Browser> =>
  chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
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
