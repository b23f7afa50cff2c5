import { z } from 'zod';
import type { ObservedService } from './demand.ts';

/** A Service and its EndpointSlices, as far as a plan needs them: how many ready endpoints each port has. */

const serviceObject = z.object({
  spec: z.object({
    clusterIP: z.string().optional(),
    type: z.string().optional(),
    ports: z.array(z.object({ name: z.string().optional(), port: z.int() })).optional(),
  }),
});
export type ServiceObject = z.output<typeof serviceObject>;

const endpointSliceObject = z.object({
  addressType: z.string().optional(),
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()),
        conditions: z.object({ ready: z.boolean().nullish() }).optional(),
      }),
    )
    .nullish(),
  ports: z.array(z.object({ name: z.string().nullish(), port: z.int().nullish() })).nullish(),
});
export type EndpointSliceObject = z.output<typeof endpointSliceObject>;

/** The label by which a slice names its Service. */
export const serviceNameLabel = 'kubernetes.io/service-name';

export const parseService = (object: unknown): ServiceObject | undefined => serviceObject.safeParse(object).data;
export const parseEndpointSlice = (object: unknown): EndpointSliceObject | undefined =>
  endpointSliceObject.safeParse(object).data;

/** An absent `ready` counts as ready (discovery.k8s.io/v1, EndpointConditions). */
const readyAddresses = (slice: EndpointSliceObject, portName: string): readonly string[] => {
  if (!(slice.ports ?? []).some((port) => (port.name ?? '') === portName)) return [];
  return (slice.endpoints ?? [])
    .filter(({ conditions }) => conditions?.ready !== false)
    .flatMap(({ addresses }) => addresses.slice(0, 1));
};

/** A dual-stack Service has each endpoint once in each family; a connection goes to one of them. */
const readyEndpoints = (slices: readonly EndpointSliceObject[], portName: string): number => {
  const families = Map.groupBy(slices, ({ addressType = 'IPv4' }) => addressType);
  const counts = [...families.values()].map(
    (family) => new Set(family.flatMap((slice) => readyAddresses(slice, portName))).size,
  );
  return Math.max(0, ...counts);
};

export const observedServiceFor = (
  service: ServiceObject,
  slices: readonly EndpointSliceObject[],
): ObservedService => ({
  headless: service.spec.clusterIP === 'None' || service.spec.type === 'ExternalName',
  readyEndpoints: new Map(
    slices.length === 0
      ? []
      : (service.spec.ports ?? []).map(({ name = '', port }) => [port, readyEndpoints(slices, name)]),
  ),
});
