import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { steppedConnections, usedPercentFor } from '../../src/agent/observe.ts';
import { publishDelayMs, Publisher, retryDelayMs, usualTiming } from '../../src/agent/publish.ts';
import type { ConnectionNodeStatus, PodReport } from '../../src/api/connection-node.ts';

const pod: PodReport = {
  namespace: 'messaging',
  name: 'gateway-0',
  uid: 'uid',
  budget: 'gateway',
  sectionHash: 'hash',
  verified: true,
  reason: 'Applied',
  message: 'as planned',
  sourceAddresses: [],
  usedPercent: 50,
  connections: 4000,
};
const status = (change: Partial<PodReport> = {}): ConnectionNodeStatus => ({
  facts: {},
  pods: [{ ...pod, ...change }],
});

const writtenAtMs = 1000;
const context = (elapsedMs: number) => ({ nowMs: writtenAtMs + elapsedMs, timing: usualTiming });

const flowsNow: PodReport['flows'] = [{ name: 'mqtt', connections: 9, timeWait: 0 }];

describe('a status is written', () => {
  const last = { status: status(), atMs: writtenAtMs };
  test.each([
    // what                                     status now                       elapsed   to wait
    ['at once when a reason has changed', { reason: 'AppliedLate' }, [1000, 0]],
    ['at once when a reason and the usage have', { reason: 'AppliedLate', usedPercent: 55 }, [1000, 0]],
    ['a second after the last when the next has changed', { reason: 'AppliedLate' }, [5, 995]],
    ['30 s after the last when the usage has', { usedPercent: 55 }, [10_000, 20_000]],
    ['no sooner for more connections', { connections: 4400 }, [29_999, 1]],
    ['no sooner for what a flow has', { flows: flowsNow }, [29_999, 1]],
    ['then at once', { usedPercent: 55 }, [31_000, 0]],
    ['again after ten minutes when nothing has', {}, [60_000, 540_000]],
  ] as const)('%s', (_, change, [elapsedMs, delayMs]) => {
    expect(publishDelayMs(status(change), last, context(elapsedMs))).toBe(delayMs);
  });

  test('at once the first time', () => {
    expect(publishDelayMs(status(), undefined, context(0))).toBe(0);
  });
});

test('a clock that is set back by an hour delays nothing', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const stop = new AbortController();
  onTestFinished(() => {
    stop.abort();
    vi.useRealTimers();
  });
  const written: ConnectionNodeStatus[] = [];
  let now = status();
  const publisher = new Publisher({
    prepare: () => Promise.resolve(),
    read: () => now,
    write: (read) => Promise.resolve(void written.push(read)),
    onWrite: () => undefined,
    timing: { ...usualTiming, debounceMs: 1, usageEveryMs: 100 },
  });
  void publisher.run(stop.signal);
  await vi.waitFor(() => expect(written).toHaveLength(1));

  vi.setSystemTime(Date.now() - 3_600_000);
  now = status({ connections: 8000 });
  publisher.notify();

  await vi.waitFor(() => expect(written).toEqual([status(), now]), { timeout: 5000 });
});

test.each([
  [1, [500, 1000]],
  [3, [2000, 4000]],
  [50, [30_000, 60_000]],
])('after %i failures in a row it is tried again within %o ms', (failures, [least, most]) => {
  expect([0, 1].map((random) => retryDelayMs(failures, random, usualTiming))).toEqual([least, most]);
});

test.each([
  [0, 1024, 0],
  [51, 1024, 0],
  [52, 1024, 5],
  [900, 1024, 85],
  [1024, 1024, 100],
  [2000, 1024, 100],
  [1, 0, 100],
])('%i descriptors of %i are %i %%', (descriptors, soft, percent) => {
  expect(usedPercentFor(descriptors, soft)).toBe(percent);
});

test.each([
  [12_345, 20_000, 12_000],
  [999, 20_000, 0],
  [7, 10, 7],
])('%i sockets beside %i planned descriptors are told as %i', (sockets, planned, stepped) => {
  expect(steppedConnections(sockets, planned)).toBe(stepped);
});
