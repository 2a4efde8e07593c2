/** `machines [name]`: prints the state machines as they are compiled in. Touches nothing. */
import { BronzeError } from '../../machines/errors.ts';
import { chartJson, chartMermaid, MACHINES } from '../charts.ts';
import { type Answer, textOption } from './answer.ts';

export async function execute(answer: Answer): Promise<number> {
  const [name] = answer.args;
  const names = Object.keys(MACHINES);
  if (name !== undefined && !names.includes(name)) {
    throw new BronzeError('USAGE', `there is no machine ${name}`, {
      details: { expected: names.join(', '), found: name },
    });
  }
  const format = textOption(answer, 'format') ?? 'mermaid';
  const chosen = name === undefined ? names : [name];
  if (format === 'json') {
    const one =
      name === undefined ? Object.fromEntries(chosen.map((each) => [each, chartJson(each)])) : chartJson(name);
    process.stdout.write(`${JSON.stringify(one, null, 2)}\n`);
    return 0;
  }
  if (format !== 'mermaid') {
    throw new BronzeError('USAGE', `--format is json or mermaid, not ${format}`);
  }
  for (const each of chosen) {
    process.stdout.write(`${chosen.length > 1 ? `%% ${each}\n` : ''}${chartMermaid(each)}\n`);
  }
  return 0;
}
