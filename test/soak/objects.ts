import { enabledLabel } from '../../src/api/names.ts';
import type { CustomObject } from '../../src/controller/resources.ts';
import type { EndpointSlice, Namespace, Pod, Service } from '../../src/kube/resources.ts';
import { probeReference } from '../cluster/lab/images.ts';

/** The manifests of the load. */

export const namespaceManifest = (name: string, isEnabled: boolean): Namespace => ({
  metadata: { name, ...(isEnabled ? { labels: { [enabledLabel]: 'true' } } : {}) },
});

/** `nothing`: no budget selects it. */
export const apps = ['limits', 'ports', 'addresses', 'spread', 'targets', 'nothing'] as const;
export type App = (typeof apps)[number];
export type BudgetName = Exclude<App, 'nothing'>;
export const budgetNames: readonly BudgetName[] = ['limits', 'ports', 'addresses', 'spread', 'targets'];

/** What a budget asks of each size; with the numbers that this machine and its containers have room for. */
const flows: Readonly<Record<BudgetName, (size: number) => object>> = {
  // 2,000 to 9,000 connections and as many descriptors: soft limits of their own.
  limits: (size) => ({ inbound: [{ name: 'in', port: 7000, connections: 2000 + 1000 * size }] }),
  // Above half of 28,232 ports, from size 3 on: a range of its own.
  ports: (size) => ({ outbound: [toOneAddress({ connections: 12_000 + 1000 * size })] }),
  // More than half of the 64,512 ports of one address: one further address, from size 4 on two.
  addresses: (size) => ({
    containers: [{ name: 'program', processes: 8 }],
    outbound: [toOneAddress({ connections: 45_000 + 5000 * size })],
    sourceAddresses: { provider: 'PodNetwork', maximum: 4, spread: 'Application' },
  }),
  spread: (size) => ({
    containers: [{ name: 'program', processes: 8 }],
    outbound: [toOneAddress({ connections: 80_000 + 5000 * size, portSelection: 'Spread' })],
    sourceAddresses: { provider: 'PodNetwork', maximum: 4 },
  }),
  targets: (size) => ({
    outbound: [
      {
        name: 'out',
        connections: 10_000 + 1000 * size,
        destination: { service: { name: serviceName, port: 7000, reachedBy: 'Endpoints' } },
      },
    ],
  }),
};
/** From 0; the next after the largest is the first again. */
export const sizes = 8;

const toOneAddress = (flow: object): object => ({
  name: 'out',
  destination: { addresses: { ips: ['198.51.100.7'], ports: [7000] } },
  ...flow,
});

/** Its scale is declared, so that a plan does not depend on what a replica has seen before. */
export const budgetManifest = (namespace: string, name: BudgetName, size: number): CustomObject => ({
  apiVersion: 'connectionbudget.io/v1alpha1',
  kind: 'ConnectionBudget',
  metadata: { namespace, name },
  spec: {
    selector: { matchLabels: { app: name } },
    scale: { pods: 4, podsPerNode: 4 },
    headroomPercent: 0,
    containers: [{ name: 'program' }],
    ...flows[name](size),
  },
});

/** Keys of a map are judged by the webhook alone: the API server's schema cannot. */
export const refusedBudget = (namespace: string): CustomObject => ({
  apiVersion: 'connectionbudget.io/v1alpha1',
  kind: 'ConnectionBudget',
  metadata: { namespace, name: 'refused' },
  spec: {
    selector: { matchLabels: { 'not a label key': 'refused' } },
    inbound: [{ name: 'in', port: 7000, connections: 1000 }],
  },
});

export interface PodName {
  readonly namespace: string;
  readonly name: string;
  readonly app: App;
}

export const podManifest = ({ namespace, name, app }: PodName): Pod => ({
  metadata: { namespace, name, labels: { app } },
  spec: {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 1,
    containers: [
      { name: 'program', image: probeReference, imagePullPolicy: 'Never', args: ['listen', '7000', '1', '16384'] },
    ],
  },
});

const serviceName = 'targets';

export const serviceManifest = (namespace: string): Service => ({
  metadata: { namespace, name: serviceName },
  spec: { ports: [{ name: 'in', port: 7000 }] },
});

/** `count` ready addresses that nobody has. */
export const sliceManifest = (namespace: string, count: number): EndpointSlice => ({
  metadata: { namespace, name: `${serviceName}-1`, labels: { 'kubernetes.io/service-name': serviceName } },
  addressType: 'IPv4',
  ports: [{ name: 'in', port: 7000, protocol: 'TCP' }],
  endpoints: Array.from({ length: count }, (_, index) => ({
    addresses: [`198.51.100.${index + 10}`],
    conditions: { ready: true },
  })),
});
