/** A request as the AWS SDK makes it, for what sends it in the SDK's place. */

export interface SdkRequest {
  readonly method: string;
  /** With its colon. */
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** As the SDK writes queries into a path. */
export function searchOf(query: NonNullable<SdkRequest['query']>): string {
  const encoded = (text: string): string =>
    encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  const parts = Object.keys(query)
    .sort()
    .flatMap((name) =>
      [query[name] ?? null]
        .flat()
        .map((value) => (value === null ? encoded(name) : `${encoded(name)}=${encoded(value)}`)),
    );
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}
