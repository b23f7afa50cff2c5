/** Each thread that is given up may still hang in the kernel; a process that starts anew has none. */
const mostThreadFailures = 5;
/** In looks at the pods: 5 minutes with the usual 15 s. */
const longestLook = 20;

export interface Pulse {
  /** Threads for network namespaces that were given up since one answered last. */
  readonly threadFailuresInARow: number;
  readonly sinceLastLookMs: number;
  readonly lookEveryMs: number;
}

/** What only a restart mends. A lost runtime or API server is none of it: both are waited for. */
export const brokenParts = ({ threadFailuresInARow, sinceLastLookMs, lookEveryMs }: Pulse): readonly string[] => [
  ...(threadFailuresInARow < mostThreadFailures
    ? []
    : [`namespaces: ${threadFailuresInARow} threads in a row did not answer`]),
  ...(sinceLastLookMs < longestLook * lookEveryMs
    ? []
    : [`pods: the last look at them ended ${Math.round(sinceLastLookMs / 1000)} s ago`]),
];
