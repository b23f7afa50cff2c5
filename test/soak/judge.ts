import { clusterIsBack, operatorIsBack } from './faults/recovery.ts';
import type { Rule } from './journal.ts';
import type { Sample } from './samples.ts';
import type { Seen } from './seen.ts';
import { systemNamespace } from './soak-setting.ts';
import { sleep } from '../../src/kube/deadline.ts';
import { admissionFaults } from './verdicts/admission.ts';
import { cacheDifferences, replicaDifferences } from './verdicts/caches.ts';
import { leftovers, removePods } from './verdicts/leftovers.ts';
import { memoryFaults } from './verdicts/memory.ts';
import { lookAtPlannedPods } from './verdicts/planned-pods.ts';
import { statusDifferences } from './verdicts/statuses.ts';

/** After the last fault: what must be right within the settling time, and what must be right then. */

const settlingMs = 60_000;

export const judge = async (seen: Seen, before: readonly Sample[]): Promise<ReadonlyMap<string, number>> => {
  const { soak, samples } = seen;
  await settled(seen);
  const { byReason } = await lookAtPlannedPods(soak);
  await verdict(seen, 'restart that nobody made', () => restartFaults(seen));
  await verdict(seen, 'status differs from that of a new operator', () => statusDifferences(soak, samples));
  await verdict(seen, 'left behind', async () => {
    await removePods(soak);
    return [...(await leftovers(soak)), ...(await descriptorFaults(seen, before))];
  });
  await verdict(seen, 'memory', () => Promise.resolve(memoryFaults(samples.all)));
  return byReason;
};

type Check = () => Promise<readonly string[]>;

const verdict = async ({ soak }: Seen, rule: Rule, check: Check): Promise<void> => {
  const faults = await faultsOf(check);
  if (!soak.signal.aborted) for (const fault of faults) soak.journal.violation(rule, fault);
};

const faultsOf = async (check: Check): Promise<readonly string[]> => {
  try {
    return await check();
  } catch (error) {
    return [String(error)];
  }
};

const checksOf = (seen: Seen): readonly (readonly [Rule, Check])[] => {
  const { soak, caches, samples } = seen;
  return [
    ['cache differs from the server', () => cacheDifferences(soak, caches)],
    ['cache differs from the server', () => replicaDifferences(soak, caches, samples)],
    ['pod without its limits', async () => (await lookAtPlannedPods(soak)).faults],
    ['part did not recover', () => admissionFaults(soak)],
    ['pod start blocked', () => Promise.resolve(notRunning(seen))],
  ];
};

const notRunning = ({ starts }: Seen): readonly string[] =>
  starts
    .alive()
    .filter(({ startMs }) => startMs === undefined)
    .map(({ namespace, name }) => `${namespace}/${name} does not run`);

interface Found {
  readonly rule: Rule;
  readonly fault: string;
}

/** All in one look, so that what is right again may not be wrong for another reason. */
const lookOnce = async (checks: readonly (readonly [Rule, Check])[]): Promise<readonly Found[]> => {
  const found = await Promise.all(
    checks.map(async ([rule, check]) => (await faultsOf(check)).map((fault) => ({ rule, fault }))),
  );
  return found.flat();
};

const settled = async (seen: Seen): Promise<void> => {
  const { journal, signal, nowMs } = seen.soak;
  await clusterIsBack(seen.soak);
  await operatorIsBack(seen.soak);
  const [startMs, checks] = [nowMs(), checksOf(seen)];
  let found = await lookOnce(checks);
  while (found.length > 0 && nowMs() - startMs < settlingMs && !signal.aborted) {
    await sleep(1000, signal);
    found = await lookOnce(checks);
  }
  if (signal.aborted) return;
  journal.say(`settled in ${Math.round((nowMs() - startMs) / 1000)} s`);
  for (const { rule, fault } of found) journal.violation(rule, fault);
};

const restartFaults = ({ soak, starts }: Seen): Promise<readonly string[]> => {
  const restarts = starts.restartsIn(systemNamespace);
  const made = soak.journal.counts.get('containers of ours killed') ?? 0;
  return Promise.resolve(
    restarts <= made ? [] : [`containers of ours restarted ${restarts} times, ${made} were killed`],
  );
};

/** Of a process at rest: what it had when nothing was planned yet, and some. */
const furtherDescriptors = 16;

const mostDescriptors = (samples: readonly Sample[], part: Sample['part']): number =>
  Math.max(
    0,
    ...samples.filter((sample) => sample.part === part).map(({ values }) => values.get('process_open_fds') ?? 0),
  );

const descriptorFaults = async ({ samples }: Seen, before: readonly Sample[]): Promise<readonly string[]> => {
  const after = await samples.now();
  return (['operator', 'agent'] as const).flatMap((part) => {
    const [had, has] = [mostDescriptors(before, part), mostDescriptors(after, part)];
    return has <= had + furtherDescriptors ? [] : [`descriptors of the ${part}: ${has}, before the load ${had}`];
  });
};
