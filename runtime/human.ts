/** Figures as people read them. Pure; plain ASCII. */

/** `850 ms`, `1.2 s`, `45 s`, `12 min`, `3.4 h`, `5.1 days` */
export function durationText(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1_000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${(seconds / 3_600).toFixed(1)} h`;
  return `${(seconds / 86_400).toFixed(1)} days`;
}

/** Of 10^6 bytes. */
export const megabytes = (bytes: number): string =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(2)} MB`;

/** `1,234,567` */
export const grouped = (n: number): string => n.toLocaleString('en-US', { maximumFractionDigits: 0 });

/** `1 partition`, `2 partitions` */
export const counted = (n: number, one: string, many = `${one}s`): string => `${grouped(n)} ${n === 1 ? one : many}`;

/**
 * What came from outside (a lake, a store, a configuration), fit for a terminal: control characters are shown and not
 * sent, and lines are joined, so that it can neither move the cursor nor pass for a line of its own.
 */
export const printable = (text: string): string =>
  text
    .replace(/\s*\n\s*/g, ' ')
    .replace(/\p{Cc}/gu, (char) => `\\u${(char.codePointAt(0) as number).toString(16).padStart(4, '0')}`);
