import { describe, expect, it } from 'vitest';
import { parseConnectionBudget } from '../../src/api/budget-object.ts';
import { demandFor, nothingObserved, type Observed } from '../../src/api/demand.ts';
import { observedServiceFor, parseEndpointSlice, parseService } from '../../src/api/observed-service.ts';
import { plan } from '../../src/planner/plan.ts';

const demandOf = (spec: object, observed: Observed = nothingObserved('default')) => {
  const { budget } = parseConnectionBudget({
    apiVersion: 'connectionbudget.io/v1alpha1',
    kind: 'ConnectionBudget',
    metadata: { name: 'x' },
    spec: { selector: { matchLabels: { a: 'b' } }, headroomPercent: 0, ...spec },
  });
  return demandFor(budget!.spec, observed);
};

const slice = (addressType: string, count: number) =>
  parseEndpointSlice({
    addressType,
    ports: [{ name: 'http', port: 8080 }],
    endpoints: Array.from({ length: count }, (_, index) => ({ addresses: [`${addressType}-${index}`] })),
  })!;
const service = parseService({ spec: { clusterIP: '10.0.0.1', ports: [{ name: 'http', port: 80 }] } })!;
const withEndpoints = (...slices: readonly ReturnType<typeof slice>[]): Observed => ({
  ...nothingObserved('default'),
  services: new Map([['default/web', observedServiceFor(service, slices)]]),
});
const toWeb = (name: string, rest: object, reachedBy = 'ClusterIP') => ({
  name,
  connections: 18_000,
  destination: { service: { name: 'web', port: 80, reachedBy }, ...rest },
});

const flow = (name: string, port: number, container?: string) => ({
  name,
  port,
  connections: 5000,
  ...(container === undefined ? {} : { container }),
});

describe('a Service', () => {
  it('of two address families has each endpoint once', () => {
    const observed = withEndpoints(slice('IPv4', 2), slice('IPv6', 2));
    expect(demandOf({ outbound: [toWeb('out', {}, 'Endpoints')] }, observed).outbound[0]?.destinationAddresses).toBe(2);
  });

  it('behind its ClusterIP is one target whose far end are the endpoints', () => {
    const demand = demandOf(
      { outbound: [toWeb('out', { maxConnectionsPerAddress: 10_000 })] },
      withEndpoints(slice('IPv4', 2)),
    );
    expect(demand.outbound[0]).toMatchObject({ destinationAddresses: 1, farEndAddresses: 2 });
    expect(plan(demand).feasible).toBe(true);
  });

  it('reached by its ClusterIP and by its endpoints is two targets', () => {
    const flows = [toWeb('a', {}), toWeb('b', {}, 'Endpoints')].map((flow) => ({ ...flow, connections: 40_000 }));
    expect(plan(demandOf({ outbound: flows })).feasible).toBe(true);
  });
});

describe('containers', () => {
  it('that only flows name are planned each for its own', () => {
    const { containers } = plan(demandOf({ inbound: [flow('a', 1, 'x'), flow('b', 2, 'y')] }));
    expect(containers.map(({ name, descriptors }) => [name, descriptors.soft])).toEqual([
      ['x', 5064],
      ['y', 5064],
    ]);
  });

  it('that nobody names are the first one of the pod', () => {
    const { containers, assumptions } = plan(demandOf({ inbound: [flow('a', 1), flow('b', 2)] }));
    expect(containers).toMatchObject([{ name: '', descriptors: { soft: 10_064 } }]);
    expect(assumptions.map(({ kind }) => kind)).toContain('ContainerUnnamed');
  });
});
