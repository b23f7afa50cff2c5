import { describe, expect, test } from 'vitest';
import { flowsEveryMs, hasChanged } from '../../src/agent/looking-pace.ts';
import { toldFlows, toldNumber } from '../../src/agent/told-flows.ts';

describe('passes are so far apart that looking takes 0.7 % of a core', () => {
  test.each([
    // totals, every 15 s    passes     seconds between them
    [0, 560, 80], //         560 ms ÷ 0.7 %
    [15, 540, 90], //        540 ms ÷ (0.7 % − 0.1 %)
    [60, 540, 180], //       540 ms ÷ (0.7 % − 0.4 %)
    [100, 540, 270], //      540 ms ÷ 0.2 %, which flows have at least
    [400, 540, 270],
    [15, 10, 15], //         never sooner
  ])('totals of %i ms, passes of %i ms: every %i s', (totalsCpuMs, flowsCpuMs, seconds) => {
    expect(flowsEveryMs({ totalsCpuMs, totalsEveryMs: 15_000, flowsCpuMs }) / 1000).toBeCloseTo(seconds, 6);
  });
});

describe('a pod is passed over until 1 % of its sockets came or went', () => {
  const before = { tcpInUse: 900, tcp6InUse: 100, tcpTimeWait: 50, activeOpens: 5000, passiveOpens: 7000 };
  test.each([
    ['nothing moved', {}, false],
    ['fewer', { tcpInUse: 891 }, false],
    ['ten of a thousand ended', { tcpInUse: 890 }, true],
    ['ten came by IPv6', { tcp6InUse: 110 }, true],
    ['ten ended and ten others came', { activeOpens: 5004, passiveOpens: 7006 }, true],
    ['TIME_WAIT ended', { tcpTimeWait: 40 }, true],
  ])('%s', (_, change, expected) => {
    expect(hasChanged({ ...before, ...change }, before)).toBe(expected);
  });

  test('at first, and where totals are unknown, it is looked at', () => {
    expect(hasChanged(before, undefined)).toBe(true);
    expect(hasChanged({}, {})).toBe(true);
  });
});

const flow = (name: string, connections: number, timeWait = 0) => ({ name, connections, timeWait });

describe('a number is told anew', () => {
  test.each([
    // planned, before, now and told
    [20_000, undefined, [987, 987]],
    [20_000, 1000, [1049, 1000]],
    [20_000, 1000, [1050, 1050]],
    [20_000, 1000, [950, 950]],
    [20_000, 100, [119, 100]], // a thousandth of 20,000 is 20
    [20_000, 100, [120, 120]],
    [20_000, 100, [0, 0]],
    [20_000, 0, [1, 1]],
    [10, 3, [4, 4]],
  ] as const)('%i planned, told %s, now and then told %o', (planned, before, [now, told]) => {
    expect(toldNumber(now, before, planned)).toBe(told);
  });

  test('for its own flow, and the others stay', () => {
    const before = [flow('a', 1000, 10), flow('gone', 5)];
    expect(toldFlows([flow('b', 7), flow('a', 1001, 90)], before, 20_000)).toEqual([flow('b', 7), flow('a', 1000, 90)]);
  });
});
