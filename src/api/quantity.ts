import { bytes, type Bytes } from '../planner/quantities.ts';

const multipliers: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/**
 * Bytes of a Kubernetes quantity that the schema has admitted, rounded up: "16Ki" is 16384, "1.5k" 1500, "1e3" 1000.
 * Source: k8s.io/apimachinery/pkg/api/resource, quantity.go.
 */
export const parseBytes = (quantity: string | number): Bytes => {
  const [, digits = '', suffix = ''] = /^\+?([0-9.]+)(.*)$/.exec(String(quantity)) ?? [];
  const multiplier = multipliers[suffix] ?? Number(`1${suffix}`);
  // 0e999 is 0, not 0 × Infinity.
  return bytes(Number(digits) === 0 ? 0 : Number(digits) * multiplier);
};
