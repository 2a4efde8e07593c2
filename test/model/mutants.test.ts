// Every seeded bug is caught, by the rule that it breaks, with a trace that is kept in traces/.
import { describe, expect, it } from 'vitest';
import { explore } from './explore.ts';
import { mutants } from './mutants.ts';
import { mermaid, readable } from './trace.ts';

const fileOf = (name: string): string => `./traces/${name.replaceAll(/[^a-z0-9]+/gi, '-')}.md`;

describe('mutants', () => {
  it.each(mutants.map((mutant) => [mutant.name, mutant] as const))('%s', async (name, { config, breaks }) => {
    const { violation } = explore(config, { limit: 2_000_000 });
    expect(violation?.rule).toMatch(breaks);
    const { rule, trace } = violation ?? { rule: '', trace: [] };
    const text = `# ${name}\n\n${rule}\n\n${readable(trace)}\n\n\`\`\`mermaid\n${mermaid(trace, rule)}\n\`\`\`\n`;
    await expect(text).toMatchFileSnapshot(fileOf(name));
  });
});
