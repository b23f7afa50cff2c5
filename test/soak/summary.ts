import { rules } from './journal.ts';
import type { PodStart } from './pod-starts.ts';
import type { Seen, SoakRun } from './seen.ts';
import { namespaceNames } from './soak-setting.ts';
import { windowsOf } from './verdicts/memory.ts';

/** What the soak has to say, as text. */
export const summaryOf = (run: SoakRun): string =>
  [
    `\nSoak: ${run.minutes} min, seed ${run.soak.seed}`,
    ...faultLines(run),
    ...startLines(run),
    ...slowestLines(run),
    ...countLines(run),
    ...streamLines(run),
    ...memoryLines(run),
    ...verdictLines(run),
  ].join('\n');

/** One line while it goes. */
export const progressOf = ({ starts, soak: { journal }, samples }: Seen): string => {
  const all = starts.starts();
  const times = all.flatMap(({ startMs }) => startMs ?? []).toSorted((a, b) => a - b);
  const memory = [...Map.groupBy(windowsOf(samples.all), ({ part }) => part)].map(
    ([part, windows]) => `${part} ${Math.max(...windows.map(({ largestMiB }) => largestMiB)).toFixed(0)} MiB`,
  );
  const seconds = [0.5, 0.99, 1].map((share) => secondsAt(times, share)).join(' / ');
  const done = `${journal.faults.length} faults, ${all.length} pods, started in ${seconds} s`;
  return `${done}; ${journal.violations.length} violations; at most ${memory.join(', ')}`;
};

const row = (name: string, ...values: readonly (string | number)[]): string =>
  `  ${name.padEnd(40)} ${values.map((value) => String(value).padStart(9)).join(' ')}`;

const faultLines = ({ soak: { journal } }: SoakRun): readonly string[] => {
  const kinds = [...Map.groupBy(journal.faults, ({ kind }) => kind)].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const notDone = (kind: string): number => journal.counts.get(`fault not done: ${kind}`) ?? 0;
  return [
    `\nfaults: ${journal.faults.length}`,
    row('', 'count', 'not done'),
    ...kinds.map(([kind, all]) => row(kind, all.length, notDone(kind))),
  ];
};

const secondsAt = (sortedMs: readonly number[], share: number): string => {
  const ms = sortedMs[Math.min(sortedMs.length - 1, Math.floor(sortedMs.length * share))];
  return ms === undefined ? '-' : (ms / 1000).toFixed(1);
};

const startLines = ({ starts }: SoakRun): readonly string[] => [
  '\npods, from create to Running, in seconds (the clock stands still while parts of the cluster are away)',
  row('namespace', 'created', 'running', 'late', 'p50', 'p99', 'max'),
  ...Object.values(namespaceNames).map((name) => {
    const all = starts.starts().filter(({ namespace }) => namespace === name);
    const times = all.flatMap(({ startMs }) => startMs ?? []).toSorted((a, b) => a - b);
    const late = all.filter(({ isLate }) => isLate).length;
    return row(
      name,
      all.length,
      times.length,
      late,
      secondsAt(times, 0.5),
      secondsAt(times, 0.99),
      secondsAt(times, 1),
    );
  }),
];

const mostSlow = 8;

/** Which faults were there between a slow pod's creation and its start, or had just been. */
const slowestLines = ({ starts, soak: { journal } }: SoakRun): readonly string[] => {
  const started = starts.starts().toSorted((a, b) => (b.startMs ?? 0) - (a.startMs ?? 0));
  const meanwhile = ({ createdAtMs, runningAtMs = 0 }: PodStart): string =>
    journal.faults
      .filter(({ kind }) => !kind.startsWith('streams'))
      .filter(({ atMs, endedAtMs = atMs }) => atMs < runningAtMs && endedAtMs + justBeforeMs > createdAtMs)
      .map(({ kind }) => kind)
      .join(', ');
  return [
    '\nthe slowest, and the faults of that time',
    ...started
      .slice(0, mostSlow)
      .map((pod) => row(`${pod.namespace}/${pod.name}`, ((pod.startMs ?? 0) / 1000).toFixed(1), meanwhile(pod))),
  ];
};
const justBeforeMs = 10_000;

const countLines = ({ soak: { journal }, reasons }: SoakRun): readonly string[] => [
  '\nwhat the load did, and what was refused by cause',
  ...[...journal.counts].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([what, count]) => row(what, count)),
  '\nplanned pods that ran at the end, by what their node says',
  ...[...reasons].map(([reason, count]) => row(reason, count)),
];

const streamLines = ({ caches, requests, soak }: SoakRun): readonly string[] => [
  '\nlist-and-watches of the soak behind the proxy',
  row('lists', caches.lists()),
  row('requests', soak.proxy.requests.length),
  ...[...caches.interruptions].map(([kind, count]) => row(`interrupted: ${kind}`, count)),
  '\nrequests to the API server by everybody, at least',
  ...[...requests.byVerb()].map(([verb, count]) => row(verb, count)),
];

const memoryLines = ({ samples, soak: { journal } }: SoakRun): readonly string[] => [
  '\nmemory and descriptors of our processes, by ten minutes',
  row('', 'from', 'MiB p50', 'MiB max', 'processes', 'fds max'),
  ...windowsOf(samples.all).map(({ part, fromMs, medianMiB, largestMiB, processes, mostDescriptors }) =>
    row(part, journal.at(fromMs), medianMiB.toFixed(0), largestMiB.toFixed(0), processes, mostDescriptors),
  ),
];

const verdictLines = ({ soak: { journal, seed }, minutes }: SoakRun): readonly string[] => {
  const ofRule = (rule: string): number => journal.violations.filter((violation) => violation.rule === rule).length;
  const lines = journal.violations.map(
    ({ rule, message, atMs, faultBefore }) => `  ${journal.at(atMs)} ${rule}: ${message}; fault before: ${faultBefore}`,
  );
  const again = `\nagain: npm run soak -- --minutes ${minutes} --seed ${seed}`;
  return [
    '\nverdicts: violations',
    ...rules.map((rule) => row(rule, ofRule(rule))),
    ...lines,
    ...(lines.length === 0 ? [] : [again]),
  ];
};
