// The store suite on every adapter: one line each.
import { truncateSync, utimesSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type FileOps, OPEN, realFiles } from '../../actors/files.ts';
import type { BronzeStore } from '../../actors/ports/store.ts';
import { openStore } from '../../actors/store/index.ts';
import { openStagingWriter } from '../../actors/store/staging-writer.ts';
import { tempFolder } from '../support/bronze.ts';
import { failing } from '../support/faulty-files.ts';
import { gcsDouble } from '../support/gcs-store.ts';
import { type StoreUnderTest, storeConformance } from './store.ts';

const local = (prefix: string) => (): StoreUnderTest => {
  const root = tempFolder();
  const open = (files?: FileOps): BronzeStore => openStore({ backend: 'local', root, prefix }, files);
  return {
    open,
    backdate: (handle, ms) => {
      const then = (Date.now() - ms) / 1000;
      utimesSync(handle, then, then);
    },
    unreadable: () => open(failing(['open', 'readdir', 'lstat', 'link'], 'EIO')),
  };
};

storeConformance('local', local('bronze/'));
storeConformance('local, without a prefix', local(''));

storeConformance('GCS, a double', gcsDouble('bronze/'));

describe('local: durable before acknowledged', () => {
  /** Writes down what is made durable, and in what order names appear. */
  function observed(): { files: FileOps; steps: string[] } {
    const steps: string[] = [];
    const names = new Map<number, string>();
    const files: FileOps = {
      ...realFiles,
      open: async (path, flags) => {
        const fd = await realFiles.open(path, flags);
        names.set(fd, flags === OPEN.folder ? `folder ${path}` : `file ${path}`);
        return fd;
      },
      fsync: async (fd) => {
        await realFiles.fsync(fd);
        steps.push(`fsync ${names.get(fd)}`);
      },
      link: async (from, to) => {
        await realFiles.link(from, to);
        steps.push(`link ${from} ${to}`);
      },
      mkdir: async (path) => {
        await realFiles.mkdir(path);
        steps.push(`mkdir ${path}`);
      },
    };
    return { files, steps };
  }

  /** The content before its name, the name before the answer, new folders in their parents before that. */
  function expectDurable(steps: readonly string[], target: string): void {
    const link = steps.findIndex((step) => step.endsWith(` ${target}`) && step.startsWith('link '));
    const temp = steps[link]?.split(' ')[1];
    expect(link).toBeGreaterThan(0);
    expect(steps.slice(0, link)).toContain(`fsync file ${temp}`);
    expect(steps.slice(link)).toContain(`fsync folder ${dirname(target)}`);
    for (const [n, step] of steps.entries()) {
      if (!step.startsWith('mkdir ')) continue;
      expect(steps.slice(n, link)).toContain(`fsync folder ${dirname(step.slice('mkdir '.length))}`);
    }
  }

  const KEY = 'net/era/v1/t/range=2-9/x';

  it('create', async () => {
    const root = tempFolder();
    const { files, steps } = observed();
    await openStore({ backend: 'local', root, prefix: 'bronze/' }, files).create(KEY, Buffer.from('x'));
    expectDurable(steps, `${root}/bronze/${KEY}`);
  });

  it('a file system that says "done" and does nothing is not believed', async () => {
    const root = tempFolder();
    const liar: FileOps = { ...realFiles, link: async () => {} };
    const honest = openStore({ backend: 'local', root, prefix: 'bronze/' });
    const lying = openStore({ backend: 'local', root, prefix: 'bronze/' }, liar);
    const untrue = { code: 'ANSWER_UNTRUE', retryable: true };
    await expect(lying.create(KEY, Buffer.from('x'))).rejects.toMatchObject(untrue);
    const writer = openStagingWriter(honest.stagingSpec('net/era/v1/', 'holder000001'), { name: 'a', key: KEY });
    await writer.write(Buffer.from('x'));
    const handle = await writer.finish();
    await expect(lying.publish(handle, KEY)).rejects.toMatchObject(untrue);
    expect(await honest.list('')).toEqual([]);
    expect(await honest.create(KEY, Buffer.from('x'))).toBe('created');
  });

  it('a name that gets other bytes than were linked is not believed', async () => {
    const root = tempFolder();
    const cutting: FileOps = {
      ...realFiles,
      link: async (from, to) => {
        await realFiles.link(from, to);
        truncateSync(to, 1);
      },
    };
    const store = openStore({ backend: 'local', root, prefix: 'bronze/' }, cutting);
    await expect(store.create(KEY, Buffer.from('content'))).rejects.toMatchObject({ code: 'ANSWER_UNTRUE' });
  });

  it('publish, and "exists" by somebody who may have died before he made it durable', async () => {
    const root = tempFolder();
    const { files, steps } = observed();
    const store = openStore({ backend: 'local', root, prefix: 'bronze/' }, files);
    const writer = openStagingWriter(store.stagingSpec('net/era/v1/', 'holder000001'), { name: 'a', key: KEY }, files);
    writer.write(Buffer.from('x'));
    const handle = await writer.finish();
    await store.stage(handle, 1);
    expect(steps).toContain(`fsync folder ${dirname(handle)}`);
    await store.publish(handle, KEY);
    expectDurable(steps, `${root}/bronze/${KEY}`);
    steps.length = 0;
    expect(await store.publish(handle, KEY)).toBe('exists');
    expect(await store.create(KEY, Buffer.from('y'))).toBe('exists');
    const folder = `fsync folder ${dirname(`${root}/bronze/${KEY}`)}`;
    expect(steps.filter((step) => step === folder)).toHaveLength(2);
  });
});
