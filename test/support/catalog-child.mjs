// The compiled embedded catalog in a process of its own: `node catalog-child.mjs DIR`, calls as JSON on its input, each
// `[method, ...arguments]`, asked again while it is held. Says `ready`, then one line of JSON per answer or error.
import { text } from 'node:stream/consumers';
import { openEmbedded } from '../../dist/actors/catalog/embedded.js';

const calls = JSON.parse(await text(process.stdin));
const catalog = openEmbedded({ backend: 'embedded', dir: process.argv[2] });
const say = (line) => process.stdout.write(`${line}\n`);
say('ready');
for (const [method, ...args] of calls) {
  try {
    let answer = 'held';
    while (answer === 'held') answer = await catalog[method](...args);
    say(JSON.stringify({ answer: answer ?? null }));
  } catch ({ code, message, retryable }) {
    say(JSON.stringify({ code, message, retryable }));
  }
}
await catalog.close();
