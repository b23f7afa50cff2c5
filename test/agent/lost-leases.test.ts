import { expect, test } from 'vitest';
import { lostLeases } from '../../src/agent/look-after-addresses.ts';

test.each([
  { whose: 'of a living pod', sandboxId: 'alive', ageMs: 31_000, lost: 0 },
  { whose: 'of an unknown sandbox', sandboxId: 'unknown', ageMs: 31_000, lost: 1 },
  { whose: 'that is as young as a sandbox in the making', sandboxId: 'unknown', ageMs: 29_000, lost: 0 },
])('a lease $whose is lost: $lost', ({ sandboxId, ageMs, lost }) => {
  const leases = {
    sandboxId,
    interfaceName: 'eth0',
    attachment: 'Bridged' as const,
    primaries: [],
    addresses: ['10.99.0.3'],
    count: 1,
    takenAtMs: 1_000_000 - ageMs,
  };
  expect(lostLeases([leases], (id) => id === 'alive', 1_000_000)).toHaveLength(lost);
});
