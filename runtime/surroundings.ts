/**
 * What libraries find in the environment, put right before any of them looks. A value that could be meant is not
 * changed, and none is made up that leads to somebody's files.
 */
import { homedir } from 'node:os';

/**
 * Credentials, what names them, and where they are good: read by libraries, and by this program. Secrets that come out of
 * a file (`$(cat …)` keeps none, but Kubernetes, `--env-file` and editors do) often end in a line break. No such value
 * holds one; taken as it is, a server refuses it, and the message speaks of the server.
 */
const CREDENTIALS = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_PROFILE',
  'AWS_REGION',
  'AWS_DEFAULT_REGION',
  'AWS_ROLE_ARN',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_CONFIG_FILE',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN',
  'GOOGLE_APPLICATION_CREDENTIALS',
  'GOOGLE_CLOUD_PROJECT',
  'PGUSER',
  'PGPASSWORD',
  'QUEUE_PASSWORD',
  'CATALOG_DSN',
  'PAS_ENDPOINT',
] as const;

/** Where a user has no home: a folder that is there and holds no configuration of anybody. */
const NOWHERE = '/';

/** Changes `env`: line breaks at the end of credentials are taken off, and HOME is set for a user who has none. */
export function settleSurroundings(env: NodeJS.ProcessEnv, home: () => string = homedir): void {
  for (const name of CREDENTIALS) {
    const value = env[name];
    if (value !== undefined && /[\r\n]$/.test(value)) env[name] = value.replace(/[\r\n]+$/, '');
  }
  // A container's user without an entry in /etc/passwd: libraries look for their files in the home folder, and throw.
  if (env.HOME !== undefined) return;
  try {
    home();
  } catch {
    env.HOME = NOWHERE;
  }
}
