import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { holdsAddress, parseAttachmentConfig, parseSubnet } from '../../src/addresses/attachment-config.ts';

const setsOf = (ipam: object): readonly (readonly [string, number])[] | undefined => {
  const config = parseAttachmentConfig(JSON.stringify({ cniVersion: '1.0.0', type: 'macvlan', ipam }));
  return config?.ipam.kind === 'Ranges'
    ? config.ipam.sets.map(({ family, addresses }) => [family, addresses] as const)
    : undefined;
};

describe('what an IPAM hands out', () => {
  it.each([
    // 254 hosts of a /24 without the gateway, .1 by default
    { ipam: { type: 'host-local', subnet: '192.0.2.0/24' }, sets: [['IPv4', 253]] },
    { ipam: { type: 'host-local', subnet: '192.0.2.0/24', gateway: '192.0.2.254' }, sets: [['IPv4', 253]] },
    {
      ipam: {
        type: 'host-local',
        ranges: [
          [{ subnet: '192.0.2.0/24', rangeStart: '192.0.2.10', rangeEnd: '192.0.2.19' }, { subnet: '198.51.100.0/30' }],
          [{ subnet: '2001:db8::/126' }],
        ],
      },
      // 10 and .2 of the /30 behind its gateway; ::2 and ::3 behind ::1
      sets: [
        ['IPv4', 11],
        ['IPv6', 2],
      ],
    },
    { ipam: { type: 'whereabouts', range: '192.0.2.0/28' }, sets: [['IPv4', 14]] },
    { ipam: { type: 'whereabouts', range: '192.0.2.5-192.0.2.8/28' }, sets: [['IPv4', 4]] },
    {
      ipam: {
        type: 'whereabouts',
        ipRanges: [
          { range: '192.0.2.0/28', exclude: ['192.0.2.0/30'] },
          { range: '2001:db8::/124', range_end: '2001:db8::4' },
        ],
      },
      // 1 to 14 without 1, 2 and 3; 1 to 4
      sets: [
        ['IPv4', 11],
        ['IPv6', 4],
      ],
    },
  ])('$ipam gives $sets', ({ ipam, sets }) => {
    expect(setsOf(ipam)).toEqual(sets);
  });

  it('is told in a chain of plugins too, with sbr and its routes', () => {
    const ipam = { type: 'host-local', subnet: '192.0.2.0/24', routes: [{ dst: '198.51.100.0/24', gw: '192.0.2.1' }] };
    const chain = parseAttachmentConfig(JSON.stringify({ plugins: [{ type: 'bridge', ipam }, { type: 'sbr' }] }));

    expect(chain?.routesBySource).toBe(true);
    expect(chain?.routes.map((route) => holdsAddress(route, '198.51.100.9'))).toEqual([true]);
  });

  it.each(['', '{', '[]', '{"type":5}', '{"type":"macvlan","ipam":{"type":"host-local","subnet":"300.0.0.0/8"}}'])(
    'is not known of %j',
    (text) => {
      expect(parseAttachmentConfig(text)).toBeUndefined();
    },
  );
});

it.each([
  ['192.0.2.0/24', '192.0.2.255', true],
  ['192.0.2.0/24', '192.0.3.0', false],
  ['192.0.2.7/24', '192.0.2.1', true],
  ['0.0.0.0/0', '203.0.113.1', true],
  ['0.0.0.0/0', '2001:db8::1', false],
  ['2001:db8::/32', '2001:db8:ffff::1', true],
  ['2001:db8::/32', '2001:db9::', false],
])('%s holds %s: %s', (text, ip, expected) => {
  const subnet = parseSubnet(text);
  expect(subnet !== undefined && holdsAddress(subnet, ip)).toBe(expected);
});

it.each(['192.0.2.0/33', 'net', '192.0.2.0/x', '2001:db8::/129', '192.0.2.0/', '192.0.2.0/1e1', '192.0.2.0/24/7'])(
  '%s is no subnet',
  (text) => {
    expect(parseSubnet(text)).toBeUndefined();
  },
);

it('a range has what is in its subnet, within its bounds and in no exclusion, each address once', () => {
  const host = fc.integer({ min: 0, max: 47 });
  const exclusion = fc.record({ first: host, bits: fc.integer({ min: 28, max: 32 }) });
  fc.assert(
    fc.property(host, host, fc.array(exclusion, { maxLength: 4 }), (start, end, exclusions) => {
      const exclude = exclusions.map(({ first, bits }) => `192.0.2.${first}/${bits}`);
      const range = { range: '192.0.2.16/28', range_start: `192.0.2.${start}`, range_end: `192.0.2.${end}`, exclude };
      const config = parseAttachmentConfig(
        JSON.stringify({ type: 'macvlan', ipam: { type: 'whereabouts', ...range } }),
      );
      const subnets = exclude.map((text) => parseSubnet(text)!);
      const isFree = (at: number): boolean =>
        start <= at && at <= end && !subnets.some((subnet) => holdsAddress(subnet, `192.0.2.${at}`));
      const usable = Array.from({ length: 14 }, (_, index) => 17 + index).filter(isFree);
      expect(config?.ipam).toMatchObject({ sets: [{ addresses: usable.length }] });
    }),
  );
});
