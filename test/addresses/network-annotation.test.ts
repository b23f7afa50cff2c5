import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attachedAddresses, mergeNetworks } from '../../src/addresses/network-annotation.ts';

const ours = { name: 'net-a', namespace: 'edge' };

const merged = (present: string | undefined, count: number, before: readonly string[] = []) =>
  mergeNetworks(
    present,
    before,
    Array.from({ length: count }, () => ours),
  );
const listOf = (value: string | undefined): unknown => JSON.parse(value ?? 'null');

describe('ours come behind what the user wrote', () => {
  it.each([
    { present: undefined, kept: [] },
    { present: '', kept: [] },
    { present: 'a', kept: [{ name: 'a' }] },
    {
      present: 'b@eth1, x/a',
      kept: [
        { name: 'b', interface: 'eth1' },
        { name: 'a', namespace: 'x' },
      ],
    },
    {
      present: '[{"name":"a","mac":"c2:b0:57:49:47:f1","ips":["10.1.1.1/24"]}]',
      kept: [{ name: 'a', mac: 'c2:b0:57:49:47:f1', ips: ['10.1.1.1/24'] }],
    },
  ])('$present', ({ present, kept }) => {
    const result = merged(present, 2);
    expect(listOf(result?.value)).toEqual([...kept, { ...ours, interface: 'cb0' }, { ...ours, interface: 'cb1' }]);
    expect(result?.interfaces).toEqual(['cb0', 'cb1']);
  });
});

it('an interface that the user named cb0 stays the user’s', () => {
  const result = merged('[{"name":"a","interface":"cb0"}]', 1);
  expect(listOf(result?.value)).toEqual([
    { name: 'a', interface: 'cb0' },
    { ...ours, interface: 'cb1' },
  ]);
});

it('what cannot be read is left alone', () => {
  expect(merged('[{"name":', 1)).toBeUndefined();
  expect(merged('[{"interface":"eth1"}]', 1)).toBeUndefined();
  expect(merged('a,,b', 1)).toBeUndefined();
});

it('what is asked for no more is taken away, and nothing else is written anew', () => {
  const once = merged('a, b', 2);
  expect(listOf(merged(once?.value, 0, once?.interfaces)?.value)).toEqual([{ name: 'a' }, { name: 'b' }]);
  const alone = merged(undefined, 2);
  expect(merged(alone?.value, 0, alone?.interfaces)?.value).toBeUndefined();
  expect(merged('a, b', 0)?.value).toBe('a, b');
});

it('a merge done twice is done once, and loses nobody, whatever the user wrote', () => {
  const entry = fc.record(
    {
      name: fc.constantFrom('a', 'b', 'net-a'),
      namespace: fc.constantFrom('edge', 'x'),
      interface: fc.constantFrom('eth1', 'cb0', 'cb3'),
      'default-route': fc.constant(['10.0.0.1']),
    },
    { requiredKeys: ['name'] },
  );
  fc.assert(
    fc.property(fc.array(entry), fc.nat(6), fc.nat(6), (user, first, second) => {
      const once = merged(JSON.stringify(user), first);
      const twice = merged(once?.value, second, once?.interfaces);
      const direct = merged(JSON.stringify(user), second);
      expect(listOf(twice?.value) ?? []).toEqual(listOf(direct?.value) ?? []);
      expect((listOf(twice?.value) as object[] | null)?.slice(0, user.length) ?? []).toEqual(user);
    }),
  );
});

it.each([
  { report: undefined, count: 0 },
  { report: 'none', count: 0 },
  { report: [{ interface: 'eth0', ips: ['10.0.0.5'], default: true }], count: 0 },
  {
    report: [
      { interface: 'eth0', ips: ['10.0.0.5'] },
      { interface: 'cb0', ips: ['192.0.2.5', '192.0.2.6'] },
      { interface: 'cb1', ips: ['192.0.2.7'] },
    ],
    count: 3,
  },
  { report: [{ interface: 'cb0', ips: ['192.0.2.5', '192.0.2.6', '2001:db8::5'] }], count: 1 },
])('Multus reports $count addresses on our interfaces in $report', ({ report, count }) => {
  const text = typeof report === 'object' ? JSON.stringify(report) : report;
  expect(attachedAddresses(text, ['cb0', 'cb1'])).toBe(count);
});
