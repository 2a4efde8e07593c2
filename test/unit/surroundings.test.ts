/** What is put right in the environment before a library looks, and what is left alone. */
import { expect, it } from 'vitest';
import { settleSurroundings } from '../../runtime/surroundings.ts';

const settled = (env: NodeJS.ProcessEnv, home?: () => string): NodeJS.ProcessEnv => {
  settleSurroundings(env, home);
  return env;
};
const noHome = (): never => {
  throw new Error('uv_os_homedir returned ENOENT');
};

it('takes line breaks off the end of credentials, and nothing else', () => {
  const env = { HOME: '/h', AWS_ACCESS_KEY_ID: 'a\n', AWS_SECRET_ACCESS_KEY: ' b c \r\n\n', QUEUE_PASSWORD: 'p\r\n' };
  expect(settled({ ...env, PGPASSWORD: 'a\nb', OTHER: 'x\n' })).toEqual({
    HOME: '/h',
    AWS_ACCESS_KEY_ID: 'a',
    AWS_SECRET_ACCESS_KEY: ' b c ',
    QUEUE_PASSWORD: 'p',
    PGPASSWORD: 'a\nb',
    OTHER: 'x\n',
  });
});

it('gives a home to a user who has none, and leaves every other one alone', () => {
  expect(settled({}, noHome)).toEqual({ HOME: '/' });
  expect(settled({ HOME: '' }, noHome)).toEqual({ HOME: '' });
  expect(settled({}, () => '/home/anna')).toEqual({});
});
