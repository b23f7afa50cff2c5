import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
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

describe('the plan annotation', () => {
  it('survives the way to the agent', () => {
    const signature = Buffer.from('signature');
    expect(decodeAnnotation(encodeAnnotation(section, signature))).toEqual({ section, signature });
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
