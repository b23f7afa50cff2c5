import { type ConnectionBudget, parseConnectionBudget } from '../../src/api/budget-object.ts';

/**
 * 25,000 connections to one target and a tenth more: past half of the default 28,232 ports, so the range is widened to
 * 10240 and port 11883 lies in it; 6,600 opens in a stall of 1 s: net.core.somaxconn 6599.
 */
export const outboundBudget = (rest: { readonly name?: string; readonly spec?: object } = {}): unknown => ({
  apiVersion: 'connectionbudget.io/v1alpha1',
  kind: 'ConnectionBudget',
  metadata: {
    name: rest.name ?? 'gateway',
    namespace: 'messaging',
    uid: '0b7e2e64-8f0c-4e46-8b4b-3c9b5d6f2a11',
    generation: 3,
    creationTimestamp: '2026-11-23T12:00:00Z',
  },
  spec: {
    selector: { matchLabels: { app: 'gateway' } },
    inbound: [{ name: 'mqtt', port: 11883, connections: 20000, peakOpensPerSecond: 6000, listen: { backlog: 16384 } }],
    outbound: [
      { name: 'broker', connections: 26000, destination: { addresses: { ips: ['198.51.100.7'], ports: [1883] } } },
    ],
    ...rest.spec,
  },
});

export const parsedBudget = (input: unknown = outboundBudget()): ConnectionBudget => {
  const { budget, violations } = parseConnectionBudget(input);
  if (budget === undefined) throw new Error(JSON.stringify(violations));
  return budget;
};

/** 200,000 × 1.1 to one target, 95 % of 64,512 each: 4 addresses of an attachment; the pod's own is not on its link. */
export const attachedSpec = {
  inbound: [],
  outbound: [
    {
      name: 'out',
      connections: 200_000,
      portSelection: 'Program',
      destination: { addresses: { ips: ['192.0.2.1'], ports: [443] } },
    },
  ],
  sourceAddresses: { provider: 'Multus', networkAttachmentName: 'net-a', maximum: 8, spread: 'Application' },
};
