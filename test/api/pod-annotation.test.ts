import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  covers,
  decodeAnnotation,
  encodeAnnotation,
  longestAnnotation,
  type PlanSection,
  sectionHash,
  signedBytes,
} from '../../src/api/pod-annotation.ts';

const section: PlanSection = {
  version: 1,
  keyId: 'k1',
  budget: { name: 'gateway', uid: 'u', generation: 3 },
  containers: [{ name: 'gateway', soft: 2000, hard: 2000 }],
  sysctls: { 'net.core.somaxconn': '9999' },
  portRange: { low: 1024, high: 65_535 },
  reservedPorts: [1883],
  sourceAddresses: { provider: 'None', extra: 0, spread: 'Transparent' },
  flows: [{ name: 'mqtt', direction: 'Inbound', port: 1883, targets: [] }],
};

const smaller: PlanSection = {
  ...section,
  containers: [{ name: 'gateway', soft: 1500, hard: 1500 }],
  sysctls: {},
  portRange: { low: 10_240, high: 65_535 },
  reservedPorts: [],
};

const reserving = (ports: string): PlanSection => ({
  ...section,
  sysctls: { 'net.ipv4.ip_local_reserved_ports': ports },
});

describe('a plan covers another', () => {
  it.each<[string, Partial<PlanSection>]>([
    ['equal', {}],
    ['with lower limits', { containers: [{ name: 'gateway', soft: 1999, hard: 2000 }] }],
    ['with a lower minimum', { sysctls: { 'net.core.somaxconn': '4096' } }],
    ['without the minimum', { sysctls: {} }],
    ['in a narrower range', { portRange: { low: 32_768, high: 60_999 } }],
    ['that reserves less', { reservedPorts: [] }],
    ['of another generation and key', { keyId: 'k2', budget: { ...section.budget, generation: 9 } }],
  ])('that is %s', (_, change) => {
    expect(covers(section, { ...section, ...change })).toBe(true);
  });

  it.each<[string, Partial<PlanSection>]>([
    ['a higher soft limit', { containers: [{ name: 'gateway', soft: 2001, hard: 2001 }] }],
    ['a higher hard limit', { containers: [{ name: 'gateway', soft: 2000, hard: 2001 }] }],
    ['another container', { containers: [{ name: 'proxy', soft: 1, hard: 1 }] }],
    ['a container more', { containers: [...section.containers, { name: 'proxy', soft: 1, hard: 1 }] }],
    ['a container less', { containers: [] }],
    ['a higher minimum', { sysctls: { 'net.core.somaxconn': '10000' } }],
    ['another sysctl', { sysctls: { ...section.sysctls, 'net.ipv4.tcp_fin_timeout': '30' } }],
    ['a port below its range', { portRange: { low: 1023, high: 60_999 } }],
    ['another reserved port', { reservedPorts: [8883] }],
    ['another address', { sourceAddresses: { ...section.sourceAddresses, extra: 1 } }],
    ['another provider', { sourceAddresses: { ...section.sourceAddresses, provider: 'Multus' } }],
    ['ports spread by the agent', { sourceAddresses: { ...section.sourceAddresses, ports: 'Spread' } }],
    ['another spread', { sourceAddresses: { ...section.sourceAddresses, spread: 'Application' } }],
  ])('but not one with %s', (_, change) => {
    expect(covers(section, { ...section, ...change })).toBe(false);
  });

  it('never both ways unless they are equal', () => {
    expect([covers(section, smaller), covers(smaller, section)]).toEqual([true, false]);
  });

  it('by its list of ports where the agent reserves them', () => {
    expect(covers(reserving('1883,8883'), reserving('8883'))).toBe(true);
    expect(covers(reserving('1883'), reserving('883'))).toBe(false);
  });

  it('only with the very value of a sysctl that is no minimum', () => {
    const with30 = { ...section, sysctls: { 'net.ipv4.tcp_fin_timeout': '30' } };

    expect(covers(with30, with30)).toBe(true);
    expect(covers(with30, { ...section, sysctls: { 'net.ipv4.tcp_fin_timeout': '20' } })).toBe(false);
    expect(covers(with30, { ...section, sysctls: {} })).toBe(false);
  });
});

describe('the plan annotation', () => {
  it('survives the way to the agent', () => {
    const signature = Buffer.from('signature');
    const spread = { ...section, sourceAddresses: { ...section.sourceAddresses, ports: 'Spread' as const } };
    expect(decodeAnnotation(encodeAnnotation(section, signature))).toEqual({ section, signature });
    expect(decodeAnnotation(encodeAnnotation(spread, signature))).toEqual({ section: spread, signature });
    expect(sectionHash(spread)).not.toBe(sectionHash(section));
  });

  it('is signed for its namespace alone', () => {
    expect(signedBytes(section, 'a').equals(signedBytes(section, 'b'))).toBe(false);
  });

  it('signs other bytes when anything in it changes', () => {
    const changed = { ...section, containers: [{ name: 'gateway', soft: 2000, hard: 2001 }] };
    expect(signedBytes(changed, 'a').equals(signedBytes(section, 'a'))).toBe(false);
  });

  it('has an equal hash for another generation of an equal plan, and another for another limit', () => {
    const later = { ...section, keyId: 'k2', budget: { ...section.budget, generation: 4 } };
    expect(sectionHash(later)).toBe(sectionHash(section));
    expect(sectionHash({ ...section, containers: [] })).not.toBe(sectionHash(section));
  });

  it.each([
    { text: 'x'.repeat(longestAnnotation + 1), fault: 'TooLarge' },
    { text: '{', fault: 'NotJson' },
    { text: '[]', fault: 'Malformed' },
    { text: JSON.stringify(section), fault: 'Malformed' }, // no signature
    {
      text: JSON.stringify({ ...section, signature: 'x', sysctls: { 'kernel.core_pattern': '|/bin/sh' } }),
      fault: 'Malformed',
    },
    { text: JSON.stringify({ ...section, signature: 'x', sysctls: { 'net/../kernel.x': '1' } }), fault: 'Malformed' },
    {
      text: JSON.stringify({ ...section, signature: 'x', containers: [{ name: 'a', soft: -1, hard: 5 }] }),
      fault: 'Malformed',
    },
  ])('is $fault for hostile input', ({ text, fault }) => {
    expect(decodeAnnotation(text)).toEqual({ fault });
  });

  it('never makes the decoder throw', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), fc.string({ unit: 'binary' })), (text) => {
        expect(decodeAnnotation(text)).toHaveProperty('fault');
      }),
    );
  });
});
