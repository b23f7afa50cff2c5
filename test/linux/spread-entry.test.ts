import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  keptPortsFor,
  podEntry,
  portSet,
  type SpreadPod,
  statisticsFrom,
  walkFor,
} from '../../src/linux/spread/pod-entry.ts';

const pod = (changes: Partial<SpreadPod> = {}): SpreadPod => ({
  addresses: ['10.1.2.3'],
  range: { low: 32_768, high: 60_999 },
  reservedPorts: [],
  chooses: 'Tuples',
  timeWaitReuse: { of: 'Nothing', delayMs: 1000 },
  ...changes,
});

describe('the ports that the kernel keeps for its own choice', () => {
  it.each([
    { ports: 28_232, kept: 441 }, // ⌊28,232 ÷ 64⌋
    { ports: 64_512, kept: 512 }, // at most
    { ports: 1000, kept: 64 }, // at least
    { ports: 100, kept: 50 }, // never more than half
    { ports: 1, kept: 0 },
  ])('are $kept of $ports', ({ ports, kept }) => {
    expect(keptPortsFor(ports)).toBe(kept);
  });
});

describe('the walk', () => {
  it.each([
    { fact: 'ends below what the kernel keeps', changes: {}, walk: { low: 32_768, ports: 28_232 - 441 } },
    { fact: 'keeps as many as it is told', changes: { keptPorts: 32 }, walk: { low: 32_768, ports: 28_200 } },
    {
      fact: 'keeps ports that can be used, not reserved ones',
      changes: { keptPorts: 2, range: { low: 100, high: 109 }, reservedPorts: [108] },
      walk: { low: 100, ports: 7 }, // 100–106; 107 and 109 are kept
    },
    {
      fact: 'has no port where all are kept',
      changes: { keptPorts: 500, range: { low: 100, high: 109 } },
      walk: { low: 100, ports: 0 },
    },
  ])('$fact', ({ changes, walk }) => {
    expect(walkFor(pod(changes))).toEqual(walk);
  });

  it('and the kept ports are together what is not reserved, whatever is reserved', () => {
    const reserved = fc.uniqueArray(fc.integer({ min: 1000, max: 1199 }), { maxLength: 150 });
    fc.assert(
      fc.property(reserved, (reservedPorts) => {
        const range = { low: 1000, high: 1199 };
        const { low, ports } = walkFor(pod({ range, reservedPorts }));
        const free = (from: number, to: number): number =>
          to - from + 1 - reservedPorts.filter((port) => port >= from && port <= to).length;
        expect(free(low + ports, range.high)).toBe(keptPortsFor(200 - reservedPorts.length));
      }),
    );
  });
});

describe('the entry of a pod', () => {
  it('has its numbers where the program reads them', () => {
    const entry = podEntry(
      pod({
        addresses: ['10.1.2.3', 'fd00::5', '10.1.2.4'],
        reservedPorts: [40_000],
        timeWaitReuse: { of: 'Loopback', delayMs: 700 },
        keptPorts: 232,
      }),
    );
    const words = [0, 4, 8, 12, 16, 20, 552].map((offset) => entry.readUInt32LE(offset));
    expect(words).toEqual([3, 32_768, 28_000, 0, 700, 2, 1]);
    expect(entry.subarray(24, 56).toString('hex')).toBe(
      '00000000000000000000ffff0a01020300000000000000000000ffff0a010204',
    );
    expect(entry.subarray(556, 572).toString('hex')).toBe('fd000000000000000000000000000005');
  });

  it.each([
    { changes: { addresses: ['10.1.2'] }, said: 'addresses 10.1.2: must be an IP address without a zone' },
    { changes: { addresses: ['fe80::1%eth0'] }, said: 'addresses fe80::1%eth0: must be an IP address without a zone' },
    {
      changes: { addresses: Array.from({ length: 34 }, (_, at) => `10.0.0.${at}`) },
      said: 'addresses 34 of IPv4: at most 33',
    },
    { changes: { range: { low: 10, high: 9 } }, said: 'range 10 9: must be two ports, the lower one first' },
    { changes: { range: { low: 0, high: 9 } }, said: 'range 0 9: must be two ports, the lower one first' },
    { changes: { reservedPorts: [70_000] }, said: 'reservedPorts 70000: must be ports' },
    {
      changes: { timeWaitReuse: { of: 'All', delayMs: 0 } as const },
      said: 'timeWaitReuse.delayMs 0: must be 1 to 60000',
    },
  ])('is refused: $said', ({ changes, said }) => {
    expect(() => podEntry(pod(changes))).toThrow(said);
  });
});

it('a set of ports has a bit for each', () => {
  const bits = portSet([0, 9, 65_535]);
  expect([bits[0], bits[1], bits[8191], bits.length]).toEqual([1, 2, 128, 8192]);
});

it('statistics are the sum over all CPUs', () => {
  const values = Buffer.alloc(48);
  for (const [at, value] of [1n, 2n, 3n, 10n, 20n, 30n].entries()) values.writeBigUInt64LE(value, at * 8);
  expect(statisticsFrom(values)).toEqual({ picked: 11, fellBack: 22, tries: 33 });
});
