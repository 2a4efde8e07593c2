/** Reads what `/metrics` answers, as a scraper would: every series with its value. It knows nothing of what is right. */
import { PREFIX } from '../../runtime/metrics/definitions.ts';

/** Series in the text form of Prometheus. */
export class Scrape {
  /** By name and labels as written, without the prefix: `machine_state{network="testnet",…}`. */
  readonly series: ReadonlyMap<string, number>;
  readonly text: string;

  constructor(text: string) {
    this.text = text;
    const lines = text.split('\n').filter((line) => line.startsWith(PREFIX));
    this.series = new Map(
      lines.map((line) => {
        const at = line.lastIndexOf(' ');
        return [line.slice(PREFIX.length, at), Number(line.slice(at + 1))];
      }),
    );
  }

  /** The only series of a name that has all of these labels; null where there is none. Throws where there are several. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number | null {
    const found = this.all(name, labels);
    if (found.length > 1) throw new Error(`${name} has ${found.length} such series`);
    return found[0]?.[1] ?? null;
  }

  /** The series of a name that have all of these labels. */
  all(name: string, labels: Readonly<Record<string, string>> = {}): [string, number][] {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    return [...this.series].filter(
      ([key]) =>
        (key === name || key.startsWith(`${name}{`)) && wanted.every((pair) => key.slice(name.length).includes(pair)),
    );
  }

  /** Names of the states with how many actors of a kind are in each. */
  states(actor: string, era?: string): Record<string, number> {
    const found = this.all('machine_state', { actor, ...(era === undefined ? {} : { era_id: era }) });
    return Object.fromEntries(found.map(([key, value]) => [/state="([^"]*)"/.exec(key)?.[1] ?? '', value]));
  }
}
