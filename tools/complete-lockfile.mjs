// Adds to package-lock.json the optional packages of other platforms that a registry mirror without them left out.
// npm refuses a lock file without them (`npm ci`: "Missing … from lock file"), and on those platforms they are needed.
//   node tools/complete-lockfile.mjs [--check]
import { readFileSync, writeFileSync } from 'node:fs';

const FILE = 'package-lock.json';
const lock = JSON.parse(readFileSync(FILE, 'utf8'));
const { packages } = lock;

const OS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const CPU = {
  arm64: 'arm64',
  x64: 'x64',
  ia32: 'ia32',
  arm: 'arm',
  'arm-eabi': 'arm',
  armv7: 'arm',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
  loong64: 'loong64',
  mips64el: 'mips64el',
  universal: null,
};

/** `@scope/cli-linux-x64-musl` → what npm wants to know to leave it out elsewhere. */
function platformOf(name) {
  const words = name.split('/').pop();
  const os = OS.find((each) => words.includes(each));
  const cpu = Object.entries(CPU)
    .sort((a, b) => b[0].length - a[0].length)
    .find(([word]) => words.includes(`-${word}`))?.[1];
  const libc = words.includes('musl') ? 'musl' : words.includes('-gnu') ? 'glibc' : undefined;
  if (words.includes('wasm')) return { cpu: ['wasm32'] };
  return { ...(cpu ? { cpu: [cpu] } : {}), ...(libc ? { libc: [libc] } : {}), ...(os ? { os: [os] } : {}) };
}

const missing = [];
for (const [path, entry] of Object.entries(packages)) {
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    if (packages[`node_modules/${name}`] || packages[`${path}/node_modules/${name}`]) continue;
    if (!/^\d+\.\d+\.\d+/.test(range)) continue;
    const platform = platformOf(name);
    if (!platform.os && !platform.cpu) continue;
    missing.push([
      `node_modules/${name}`,
      {
        version: range,
        ...(platform.cpu ? { cpu: platform.cpu } : {}),
        ...(entry.dev ? { dev: true } : {}),
        ...(platform.libc ? { libc: platform.libc } : {}),
        optional: true,
        ...(platform.os ? { os: platform.os } : {}),
      },
    ]);
  }
}
if (process.argv.includes('--check')) {
  for (const [path] of missing) console.error(`${path} is missing from ${FILE}`);
  if (missing.length > 0) console.error('node tools/complete-lockfile.mjs adds them');
  process.exit(missing.length > 0 ? 1 : 0);
}
for (const [path, entry] of missing) packages[path] = entry;
const sorted = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
writeFileSync(FILE, `${JSON.stringify({ ...lock, packages: sorted }, null, 2)}\n`);
console.log(`${missing.length} packages added`);
