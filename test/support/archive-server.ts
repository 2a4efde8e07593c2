/** A history archive over HTTP, on the loopback interface: files of a folder or of a map, and what goes wrong on the way. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll } from 'vitest';

type Odd = (response: ServerResponse, path: string) => void;

export interface ArchiveServer {
  readonly url: string;
  /** Paths that were asked for, in order, without the slash before them. */
  readonly asked: readonly string[];
  /** What answers for a path instead of the file. */
  readonly odd: Map<string, Odd>;
}

const closing: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));

/** @param everything what answers for every path */
export async function archiveServer(folder: string, everything?: Odd): Promise<ArchiveServer> {
  const asked: string[] = [];
  const odd = new Map<string, Odd>();
  const server = createServer((request, response) => {
    const path = (request.url ?? '').slice(1);
    asked.push(path);
    const answer = everything ?? odd.get(path);
    const file = join(folder, path);
    if (answer !== undefined) answer(response, path);
    else if (existsSync(file) && statSync(file).isFile()) response.end(readFileSync(file));
    else response.writeHead(404).end('no such file');
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  closing.push(
    () =>
      new Promise((closed) => {
        server.closeAllConnections();
        server.close(() => closed());
      }),
  );
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, odd };
}

/** A file of headers whose last one has another fee pool, and the hash of that. */
export function forgedHeaders(file: Buffer): Buffer {
  const bytes = Buffer.from(gunzipSync(file));
  let last = 0;
  for (let at = 0; at < bytes.length; at += 4 + (bytes.readUInt32BE(at) & 0x7fff_ffff)) last = at + 4;
  const header = bytes.subarray(last + 32, bytes.length - 4);
  // feePool: before inflationSeq, idPool, baseFee, baseReserve, maxTxSetSize, skipList, the extension.
  const feePool = header.length - 4 - 128 - 12 - 8 - 4 - 8;
  header[feePool + 7] = (header[feePool + 7] as number) ^ 1;
  createHash('sha256').update(header).digest().copy(bytes, last);
  return gzipSync(bytes);
}
