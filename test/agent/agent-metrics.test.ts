import { expect, test } from 'vitest';
import { brokenParts } from '../../src/agent/broken-parts.ts';
import { agentMetrics, observeAgent } from '../../src/agent/agent-metrics.ts';
import { PlannedPods, unchecked } from '../../src/agent/planned-pods.ts';
import { timedHandlers, type AnsweredEvents } from '../../src/agent/timed-handlers.ts';
import { createMetrics } from '../../src/observability/metrics.ts';

const calm = { threadFailuresInARow: 0, sinceLastLookMs: 15_000, lookEveryMs: 15_000 };

test.each([
  [calm, []],
  [{ ...calm, threadFailuresInARow: 4, sinceLastLookMs: 299_000 }, []],
  [{ ...calm, threadFailuresInARow: 5 }, ['namespaces: 5 threads in a row did not answer']],
  [{ ...calm, sinceLastLookMs: 300_000 }, ['pods: the last look at them ended 300 s ago']],
])('of %j only a restart mends %j', (pulse, broken) => {
  expect(brokenParts(pulse)).toEqual(broken);
});

const pod = {
  sandboxId: 's1',
  uid: 'u1',
  namespace: 'messaging',
  name: 'gateway',
  annotation: '',
  plan: { state: 'Rejected', fault: 'UnknownKey', message: '' } as const,
  netnsPath: undefined,
  netnsOwner: undefined,
  cgroupParent: '',
  sandboxNofile: undefined,
  sysctls: unchecked,
  addresses: unchecked,
  spread: unchecked,
  containers: new Map(),
  usage: {},
};

test('what came late is counted once for each part', () => {
  const late: string[] = [];
  const pods = new PlannedPods(
    () => undefined,
    (part) => late.push(part),
  );
  pods.put(pod);
  pods.put({ ...pod, sysctls: { ...unchecked, isLate: true } });
  pods.put({ ...pod, sysctls: { ...unchecked, isLate: true }, addresses: { ...unchecked, isLate: true } });
  expect(late).toEqual(['Sysctls', 'Addresses']);
});

const nothing = (): void => undefined;

test('what answers at once goes on doing so, and both kinds of answer are timed', async () => {
  const seen: string[] = [];
  const gate = Promise.withResolvers<void>();
  const handlers: AnsweredEvents = {
    synchronize: nothing,
    runPodSandbox: () => gate.promise,
    createContainer: () => ({ rlimits: [] }),
    postStartContainer: nothing,
    stopContainer: nothing,
    stopPodSandbox: nothing,
    removePodSandbox: nothing,
  };
  const timed = timedHandlers(handlers, (event) => void seen.push(event));
  const never = new AbortController().signal;

  const slow = timed.runPodSandbox({} as never, never);
  expect(timed.createContainer({} as never, {} as never, never)).toEqual({ rlimits: [] });
  expect(seen).toEqual(['createContainer']);
  gate.resolve();
  await slow;
  expect(seen).toEqual(['createContainer', 'runPodSandbox']);
});

test('a write that failed is counted by its kind, and the time of the last good one stands', async () => {
  const metrics = createMetrics();
  const agent = agentMetrics(metrics);
  observeAgent(metrics, () => ({ pods: [], isSynchronized: true, leasedAddresses: 4, acceptedKeys: 2 }));
  agent.countWrite(Object.assign(new Error('no'), { kind: 'Forbidden' }));
  agent.countWrite(new Error('odd'));
  const text = await metrics.text();
  expect(text).toContain('connectionbudget_status_write_failures_total{kind="Forbidden"} 1');
  expect(text).toContain('connectionbudget_status_write_failures_total{kind="Internal"} 1');
  expect(text).toContain('connectionbudget_status_written_timestamp_seconds 0');
  expect(text).toContain('connectionbudget_leased_addresses 4');
  expect(text).toContain('connectionbudget_accepted_keys 2');
});
