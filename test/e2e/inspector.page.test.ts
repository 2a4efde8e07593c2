// The inspector's page in a real browser, before the real program: what somebody sees who follows a run of two eras.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AuditServer, startAuditServer } from '../support/audit-endpoint.ts';
import { describeBrowser, openBrowser } from '../support/browser.ts';
import { copyOf, rewrite, SAMPLE_SOURCE, sampleEra, sampleLake } from '../support/lakes.ts';
import { type Running, Scene } from '../support/program.ts';

/** The second era begins here; a ledger further on is broken. */
const BOUNDARY = 62;
const BROKEN = 100;
/** More events than an era has. */
const ALL = 1_000;
/** Commits that a change may take until it is seen, and ms that each is given. */
const STEPS = 6;
const STEP_MS = 4_000;

/** A page that does what Stately's does: says that it is there, and takes frames. */
const STAND_IN = `<!doctype html><meta charset="utf-8"><title>stand-in</title><script>
  window.got = [];
  addEventListener('message', ({ data, origin }) => got.push({ data, origin }));
  parent.postMessage({ type: '@statelyai.connected' }, '*');
</script>`;

interface Watched {
  readonly page: Page;
  /** Origins of everything that the page asked for, its WebSockets included. */
  readonly asked: Set<string>;
  /** What the browser complained of, but for connections that it could not have. */
  readonly complaints: string[];
}

describeBrowser("the inspector's page", () => {
  let browser: Browser;
  const endpoints: AuditServer[] = [];
  let lake: string;
  let hosted: string;
  /** How many events of either era the endpoint takes yet: the commits of an era wait for it, so it goes step by step. */
  let room: Record<string, number> = {};
  let held: { readonly era: string; readonly release: () => void }[] = [];
  const allow = (era: string, events: number): void => {
    room[era] = (room[era] ?? 0) + events;
    for (const one of held.filter((each) => each.era === era).slice(0, events)) {
      room[era] -= 1;
      held = held.filter((each) => each !== one);
      one.release();
    }
  };
  const standIn = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end(STAND_IN);
  });

  beforeAll(async () => {
    browser = await openBrowser();
    lake = copyOf((await sampleLake()).path);
    rewrite(lake, BROKEN, (bytes) => {
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
      return bytes;
    });
    await new Promise<void>((listening) => standIn.listen(0, '127.0.0.1', listening));
    hosted = `http://127.0.0.1:${(standIn.address() as AddressInfo).port}/inspect`;
  });

  afterAll(async () => {
    await browser.close();
    standIn.close();
    await Promise.all(endpoints.map((endpoint) => endpoint.stop()));
  });

  async function twoEras(): Promise<Scene> {
    room = {};
    held = [];
    const endpoint = await startAuditServer();
    endpoints.push(endpoint);
    endpoint.behave = ({ body }) => {
      const era = (JSON.parse(body.toString()) as { partition: { era_id: string } }).partition.era_id;
      if ((room[era] ?? 0) > 0) {
        room[era] = (room[era] as number) - 1;
        return null;
      }
      return { kind: 'held', until: new Promise<void>((release) => held.push({ era, release })) };
    };
    return new Scene(
      lake,
      [
        sampleEra({ era_id: 'one', ledger_end: BOUNDARY - 1 }),
        sampleEra({ era_id: 'two', ledger_start: BOUNDARY, partition_size: 4 }),
      ],
      {
        source: SAMPLE_SOURCE,
        perf: { queue_size: 2 },
        pas: { endpoint: endpoint.url, strict: true },
      },
    );
  }

  async function start(scene: Scene, port = 0): Promise<{ running: Running; url: string }> {
    const running = scene.start('run', { args: [`--inspect=${port}`, '--inspect-hosted', hosted] });
    await running.untilLogged(({ component }) => component === 'inspector', 'the inspector was there');
    return { running, url: String(running.logs.find(({ component }) => component === 'inspector')?.url) };
  }

  async function open(url: string): Promise<Watched> {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    page.setDefaultTimeout(30_000);
    const asked = new Set<string>();
    const complaints: string[] = [];
    page.on('request', (request) => {
      if (!request.url().startsWith('data:')) asked.add(new URL(request.url()).origin);
    });
    page.on('websocket', (socket) => asked.add(new URL(socket.url()).origin.replace('ws:', 'http:')));
    page.on('pageerror', ({ message }) => complaints.push(message));
    page.on('console', (message) => {
      if (message.type() === 'error' && !/ERR_CONNECTION/.test(message.text())) complaints.push(message.text());
    });
    await page.goto(url);
    return { page, asked, complaints };
  }

  const actor = (name: string): string => `li[data-actor="${name}"]`;
  /** Waits for an element; what the page says instead is told where it does not come. */
  const has = async (page: Page, selector: string, words: RegExp = /(?:)/): Promise<void> => {
    const found = page.locator(selector).filter({ hasText: words }).first();
    await found.waitFor({ state: 'attached' }).catch(async (cause: unknown) => {
      const text = await page.locator('body').textContent();
      throw new Error(`${selector} does not come, or does not say ${words}; the page says:\n${text}`, { cause });
    });
  };
  /** Says so after some step. Where the machine is busy events are left out, by design: then after the next one. */
  const saysAfter = async (step: () => void, page: Page, selector: string, words: RegExp): Promise<void> => {
    const found = page.locator(selector).filter({ hasText: words }).first();
    for (let steps = 1; ; steps++) {
      step();
      const isThere = await found.waitFor({ state: 'attached', timeout: STEP_MS }).then(
        () => true,
        () => false,
      );
      if (isThere) return;
      if (steps < STEPS) continue;
      const said = await page.locator(selector).allInnerTexts();
      throw new Error(`${selector} does not say ${words} after ${steps} steps, but:\n${said.join('\n')}`);
    }
  };
  const count = (page: Page, selector: string): Promise<number> => page.locator(selector).count();

  it('shows a run: actors, states, charts, events, an era that is done and one that fails', async () => {
    const { running, url } = await start(await twoEras());
    const { page, asked, complaints } = await open(url);

    // Everybody is there, and what they do is told.
    for (const era of ['one', 'two']) {
      const below = `${actor('supervisor')} ${actor(`era:${era}`)}`;
      await has(page, `${below}.running`);
      for (const n of [1, 2]) await has(page, `${below} ${actor(`worker:${era}:${n}`)}`);
      for (const kind of ['sequencer', 'courier']) await has(page, `${below} ${actor(`${kind}:${era}`)}`);
    }
    await has(page, `${actor('sequencer:two')} .effects`, /^deliverPending$/);
    await has(page, '#eras [data-era=two]', /ledger \d+ of 127 · \d+ partitions?/);

    // A worker is chosen: its chart is lit where it is, and follows.
    await page.click(`${actor('worker:two:1')} > button`);
    await has(page, '#chart g.lit[data-state=idle]');
    expect(await count(page, '#chart g.lit')).toBe(1);
    await has(page, '#context', /workerIdworker:two:1/);
    await page.click('#only-chosen');
    // Room in the window of its era: it builds another partition.
    await saysAfter(
      () => allow('two', 1),
      page,
      '#events li',
      /partition\.assigned.*→ building.*era:two → worker:two:1/,
    );
    await has(page, '#last-transition', /^(?:idle|building|staging) → (?:idle|building|staging) on \S+$/);
    await page.fill('#filter', 'partition.assigned');
    await has(page, '#events li', /partition\.assigned.*era:two → worker:two:1/);
    const types = async (): Promise<string[]> => [...new Set(await page.locator('#events b').allTextContents())];
    await expect.poll(types).toEqual(['partition.assigned']);
    await page.fill('#filter', '');
    await page.click('#only-chosen');

    // Chosen by keys; a paused list stands still while the count behind the button grows.
    await page.focus(`${actor('worker:two:1')} > button`);
    await page.keyboard.press('ArrowDown');
    await has(page, `${actor('worker:two:2')} > button[aria-current=true]`);
    await has(page, '#chart-title', /^worker:two:2$/);
    await page.click('#pause');
    await saysAfter(() => allow('one', 1), page, '#pause', /go on \([1-9]\d* new\)/);
    await page.click('#pause');
    await has(page, '#pause', /^pause$/);
    if (process.env.BRONZE_SCREENSHOT) {
      await page.click(`${actor('sequencer:two')} > button`);
      await has(page, '#chart g.lit[data-state=delivering_working]');
      await page.screenshot({ path: join(import.meta.dirname, '../../docs/inspector.png') });
    }

    // One era comes to its end while the other goes on.
    allow('one', ALL);
    await has(page, `${actor('era:one')}.done`);
    await has(page, '#eras [data-era=one].done');
    await has(page, `${actor('era:two')}.running`);
    expect(await count(page, `${actor('era:one')} .effects:not(:empty)`)).toBe(0);
    await page.click('#eras [data-era=one]');
    await has(page, '#chart g.lit[data-state=done]');

    // The other one meets the broken ledger; the run ends, and its last state stays.
    allow('two', ALL);
    const { code } = await running.done;
    expect(code).toBe(1);
    await has(page, `${actor('supervisor')}.failed ${actor('era:two')}.failed`);
    await has(page, '#eras [data-era=two].failed');
    expect(await count(page, `${actor('era:one')}.done`)).toBe(1);
    await has(page, '#connection', /the copier is gone/);
    await has(page, '#stale', /The run is over \(failed\) and the copier is gone/);
    const colour = `getComputedStyle(document.querySelector('${actor('era:two')} > button > .name')).color`;
    expect(await page.evaluate(colour)).toBe('rgb(198, 47, 47)');

    expect([...asked]).toEqual([new URL(url).origin]);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('opened late, and on a telephone: what failed, where, and what to do; colours mean one thing; the chart fits', async () => {
    const scene = await twoEras();
    const { running, url } = await start(scene);
    allow('two', ALL);
    await running.untilLogged(({ msg, era_id }) => msg === 'era failed' && era_id === 'two', 'era two failed');
    const { page, complaints } = await open(url);
    await has(page, '#failures li', /^two failed at ledger 100: LEDGER_HASH: .*See docs\/errors\.md, LEDGER_HASH$/s);
    await has(page, `${actor('era:two')}.failed`);
    await has(page, '#eras [data-era=two].failed');
    expect(await page.locator('#failures li').count()).toBe(1);

    /** Of what is filled with a colour, or written in it. */
    const colourOf = (selector: string, property: string): Promise<string> =>
      page.evaluate(`getComputedStyle(document.querySelector(${JSON.stringify(selector)})).${property}`);
    for (const [name, kind] of [
      ['era:two', 'failed'],
      ['era:one', 'running'],
    ]) {
      await page.click(`${actor(name as string)} > button`);
      await has(page, `#chart.${kind} g.lit`);
      const dot = await colourOf(`${actor(name as string)} > button > .dot`, 'backgroundColor');
      expect(await colourOf('#chart g.lit > :is(rect, circle, path, .basic)', 'fill')).toBe(dot);
      expect(await colourOf(`.legend .${kind} .dot`, 'backgroundColor')).toBe(dot);
    }

    // The largest chart, whole, with names of nine pixels and more.
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.click('#fit');
    const fits = async (): Promise<boolean> =>
      page.evaluate("document.querySelector('#chart').scrollWidth <= document.querySelector('#chart').clientWidth + 1");
    await expect.poll(fits).toBe(true);
    const heights = await page.evaluate<number[]>(
      "[...document.querySelectorAll('#chart .nodeLabel')].map((label) => label.getBoundingClientRect().height)",
    );
    const height = Math.min(...heights.filter((tall) => tall > 0));
    expect(height).toBeGreaterThan(9);
    if (process.env.BRONZE_LOOK) await page.screenshot({ path: join(process.env.BRONZE_LOOK, 'fit.png') });
    await page.click('#fit');

    await page.setViewportSize({ width: 390, height: 844 });
    const isNarrow = (): Promise<boolean> =>
      page.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth');
    await expect.poll(isNarrow).toBe(true);
    for (const selector of ['#failures li', '#actors', '#chart svg', '#context', '#events li']) {
      await page.locator(selector).first().scrollIntoViewIfNeeded();
      const box = await page.locator(selector).first().boundingBox();
      expect(box?.height, selector).toBeGreaterThan(10);
    }
    if (process.env.BRONZE_LOOK)
      await page.screenshot({ path: join(process.env.BRONZE_LOOK, 'narrow.png'), fullPage: true });
    expect(complaints).toEqual([]);
    await page.close();
    running.kill('SIGKILL');
    await running.done;
  });

  it('comes back with the copier, and tells the hosted inspector what it knows once its tab is opened', async () => {
    const scene = await twoEras();
    allow('one', ALL);
    const first = await start(scene);
    const { page, asked, complaints } = await open(first.url);
    await has(page, `${actor('era:one')}.done`);
    await page.click(`${actor('era:two')} > button`);
    first.running.kill('SIGKILL');
    await has(page, '#connection', /reconnecting/);
    await has(page, '#stale', /does not answer/);
    expect(await count(page, actor('worker:two:2'))).toBe(1);

    const second = await start(scene, Number(new URL(first.url).port));
    expect(second.url).toBe(first.url);
    await has(page, '#connection', /^connected$/);
    await has(page, `${actor('era:two')}.running`);
    await has(page, `${actor('sequencer:two')}.running`);
    expect(await count(page, actor('supervisor'))).toBe(1);
    expect(await page.locator(`${actor('era:two')} > button`).getAttribute('aria-current')).toBe('true');
    expect(await page.locator('#stale').isHidden()).toBe(true);
    expect([...asked]).toEqual([new URL(first.url).origin]);
    expect(await count(page, 'iframe')).toBe(0);

    await page.click('#tab-hosted');
    await has(page, '#hosted', /this browser sends that page\s+what this run does/);
    await has(page, '#hosted-status', /connected/);
    const frame = page.frames().find((each) => each.url() === hosted);
    const got = async (): Promise<{ data: { type: string; name?: string; _version: string }; origin: string }[]> =>
      frame?.evaluate('window.got') ?? [];
    const named = async (): Promise<string[]> =>
      (await got()).flatMap(({ data }) => (data.type === '@xstate.actor' ? [data.name ?? ''] : []));
    await expect
      .poll(named, { timeout: 20_000 })
      .toEqual(
        expect.arrayContaining(['supervisor', 'era:one', 'era:two', 'worker:two:1', 'sequencer:two', 'courier:two']),
      );
    const [told, names] = [await got(), await named()];
    expect(names.indexOf('supervisor')).toBeLessThan(names.indexOf('era:two'));
    expect(new Set(told.map(({ data }) => data._version))).toEqual(new Set(['0.7.2']));
    expect(new Set(told.map(({ origin }) => origin))).toEqual(new Set([new URL(first.url).origin]));
    // What comes from now on is passed on as well.
    second.running.kill('SIGTERM');
    await expect
      .poll(async () => (await got()).map(({ data }) => JSON.stringify(data)).join(), { timeout: 20_000 })
      .toContain('drain.requested');
    second.running.kill('SIGKILL');
    await second.running.done;

    expect([...asked].sort()).toEqual([new URL(first.url).origin, new URL(hosted).origin].sort());
    expect(complaints).toEqual([]);
    await page.close();
  });
});
