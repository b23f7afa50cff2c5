import { z } from 'zod';
import { condition } from './conditions.ts';
import { countOrZero, label } from './fields.ts';
import { mostFlows } from './pod-annotation.ts';

/**
 * What the controller writes into a budget's status; the plan in short, the whole of it is in `plan -o json`. What another
 * version wrote is read too, without the fields that this one does not know. Every list has a default: server-side apply
 * removes a list with its last entry, and the CRD would then miss the field.
 */

const containerPlan = z.object({
  name: z.string().max(63).meta({ description: 'Name of the container; "" where nobody named one.' }),
  processes: countOrZero('Processes that share the connections.'),
  softDescriptors: countOrZero('Soft RLIMIT_NOFILE of each process, in descriptors.'),
  hardDescriptors: countOrZero('Hard RLIMIT_NOFILE of each process, in descriptors.'),
});

const sysctl = z.object({
  name: z.string().max(128).meta({ description: 'Name of the sysctl.' }),
  value: z.string().max(256).meta({ description: 'Its planned value.' }),
  setBy: z.enum(['Kubelet', 'Agent']).meta({ description: 'Who sets it in the network namespace of the pod.' }),
});

const planSummary = z.object({
  hash: z.string().max(64).meta({ description: 'Hash of what the agent applies to a pod that is created now.' }),
  declaredConnections: countOrZero('Declared connections per pod.'),
  plannedConnections: countOrZero('The same with headroom.'),
  reachableConnections: countOrZero('Connections per pod that fit all known limits, without headroom.'),
  containers: z
    .array(containerPlan)
    .max(32)
    .default([])
    .meta({
      description: 'Limits of each container.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    }),
  sysctls: z
    .array(sysctl)
    .max(32)
    .default([])
    .meta({
      description: 'Sysctls of the pod.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    }),
  sourceAddresses: z
    .object({
      total: countOrZero('Source addresses that are in use to one target.'),
      extra: countOrZero('Of these, those that a pod is given beside its own; of each family.'),
    })
    .optional()
    .meta({ description: 'Source addresses of a pod, in addresses.' }),
  kernelMemoryBytes: countOrZero('Kernel memory that the sockets of a pod cost its node, in bytes.'),
  chargedMemoryBytes: countOrZero('Memory that counts against the limit of the pod, in bytes.'),
});

const bindingLimit = z.object({
  stage: z.string().max(32).meta({ description: 'Stage of the path that binds.' }),
  limit: z.string().max(64).meta({ description: 'Limit that binds.' }),
  scope: z.string().max(16).meta({ description: 'Process, Pod, Node or Path.' }),
  flow: z.string().max(63).meta({ description: 'Flow that it concerns; "" for several.' }),
  capacity: countOrZero('What it holds, in its unit.'),
  needed: countOrZero('What the plan needs, in its unit.'),
  unit: z.string().max(16).meta({ description: 'Unit of capacity and needed.' }),
});
export type BindingLimit = z.output<typeof bindingLimit>;

const resolvedDestination = z.object({
  flow: label('Outbound flow.'),
  targets: countOrZero('Distinct destinations (address and port) that were resolved.'),
});

const flowUsage = z.object({
  name: label('Flow of the budget.'),
  peakConnections: countOrZero('Most established connections of the flow that were seen in one pod.'),
});

/** Values in use change with every connection: only the peaks are kept here, and what is used now is a metric. */
const usage = z.object({
  peakConnections: countOrZero(
    'Most TCP sockets that were seen in one pod since the spec was changed, in sockets, in steps of 5 % of its plan.',
  ).optional(),
  peakDescriptorsPercent: z.int().min(0).max(100).optional().meta({
    description:
      'Most descriptors that were seen in one process since then, in percent of its soft limit, in steps of 5.',
  }),
  flows: z
    .array(flowUsage)
    .max(mostFlows)
    .optional()
    .meta({
      description: 'The same for each flow; absent where no agent can tell flows apart.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    }),
  peakTime: z.string().meta({ description: 'When one of them rose last, RFC 3339.', format: 'date-time' }),
});
export type BudgetUsage = z.output<typeof usage>;

export const connectionBudgetStatus = z.object({
  observedGeneration: countOrZero('Generation of the spec that this status is about.').optional(),
  conditions: z
    .array(condition)
    .max(8)
    .default([])
    .meta({
      description: 'Feasible, Applied, Verified, Conflict and Ready.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    }),
  plan: planSummary.optional().meta({ description: 'The plan, in short.' }),
  bindingLimit: bindingLimit
    .optional()
    .meta({ description: 'The limit that binds first; absent where the plan fits.' }),
  destinations: z
    .array(resolvedDestination)
    .max(16)
    .default([])
    .meta({
      description: 'Resolved destinations.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['flow'],
    }),
  pods: z
    .object({
      matched: countOrZero('Running pods that match the selector and that no older budget has.'),
      applied: countOrZero('Of these, pods that carry the current plan or a larger one.'),
      verified: countOrZero('Of these, pods that an agent saw as planned.'),
    })
    .optional()
    .meta({ description: 'Pods by how far they are.' }),
  usage: usage.optional().meta({ description: 'Peaks of use that the agents saw; absent before one has counted.' }),
  message: z.string().max(1024).optional().meta({ description: 'The state in one sentence.' }),
});
export type ConnectionBudgetStatus = z.output<typeof connectionBudgetStatus>;

const schemas: Readonly<Record<string, z.ZodType | undefined>> = connectionBudgetStatus.shape;

/**
 * A stored status as far as it can be read: what another version wrote otherwise is left out, field by field, and of the
 * conditions one by one, so that a downgrade forgets neither the peak nor since when a condition holds. undefined: none.
 */
export const readBudgetStatus = (stored: unknown): ConnectionBudgetStatus | undefined => {
  const whole = connectionBudgetStatus.safeParse(stored);
  if (whole.success || typeof stored !== 'object' || stored === null) return whole.data;
  const conditions: unknown = Reflect.get(stored, 'conditions');
  const known = Array.isArray(conditions) ? conditions.filter((one) => condition.safeParse(one).success) : [];
  const readable = Object.entries({ ...stored, conditions: known }).filter(
    ([name, value]) => schemas[name]?.safeParse(value).success === true,
  );
  return connectionBudgetStatus.safeParse(Object.fromEntries(readable)).data;
};
