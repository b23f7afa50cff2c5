/** What happened, for the summary and for whoever has to reproduce it. */

export interface FaultRecord {
  readonly kind: string;
  readonly detail: string;
  readonly atMs: number;
  /** undefined: it goes on. */
  readonly endedAtMs: number | undefined;
}

export interface Violation {
  readonly atMs: number;
  readonly rule: Rule;
  readonly message: string;
  /** What was done to the cluster last. */
  readonly faultBefore: string;
}

export const rules = [
  'pod start blocked',
  'pod refused because of us',
  'budget refused without a fault',
  'bad budget admitted',
  'part did not recover',
  'cache differs from the server',
  'status differs from that of a new operator',
  'pod without its limits',
  'left behind',
  'memory',
  'restart that nobody made',
  'the soak itself',
] as const;
export type Rule = (typeof rules)[number];

export interface Journal {
  readonly startedAtMs: number;
  readonly faults: readonly FaultRecord[];
  readonly violations: readonly Violation[];
  /** How often each was counted: refusals by cause, what the load did. */
  readonly counts: ReadonlyMap<string, number>;
  readonly fault: (kind: string) => (detail: string) => void;
  readonly count: (what: string) => void;
  readonly violation: (rule: Rule, message: string) => void;
  readonly say: (line: string) => void;
  /** "3:07": minutes and seconds since the start. */
  readonly at: (ms: number) => string;
}

export const createJournal = (nowMs: () => number, print: (line: string) => void): Journal => {
  const startedAtMs = nowMs();
  const faults: FaultRecord[] = [];
  const violations: Violation[] = [];
  const counts = new Map<string, number>();
  const at = (ms: number): string => timeFor(ms - startedAtMs);
  const say = (line: string): void => print(`${at(nowMs())} ${line}`);
  return {
    startedAtMs,
    faults,
    violations,
    counts,
    at,
    say,
    count: (what) => counts.set(what, (counts.get(what) ?? 0) + 1),
    fault: (kind) => {
      const index = faults.push({ kind, detail: '', atMs: nowMs(), endedAtMs: undefined }) - 1;
      return (detail) => {
        const begun = faults[index];
        if (begun !== undefined) faults[index] = { ...begun, detail, endedAtMs: nowMs() };
        say(`${kind}${detail === '' ? '' : ` (${detail})`}`);
      };
    },
    violation: (rule, message) => {
      const last = faults.at(-1);
      const faultBefore = last === undefined ? 'none' : `${last.kind} at ${at(last.atMs)}`;
      violations.push({ atMs: nowMs(), rule, message, faultBefore });
      say(`VIOLATION: ${rule}: ${message}; fault before: ${faultBefore}`);
    },
  };
};

const timeFor = (ms: number): string => {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
};
