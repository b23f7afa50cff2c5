import * as z from 'zod';
import { count, countOrZero, label } from './fields.ts';
import { podReasons } from './node-report.ts';
import { mostFlows } from './pod-annotation.ts';

/**
 * The ConnectionNode: what one node's kernel offers and what its planned pods use. Written by the node's agent alone, maybe
 * of another version: fields that this one does not know are left out. Every list has a default, as in a budget's status.
 */

const nofile = z.object({
  soft: countOrZero('Soft RLIMIT_NOFILE, in descriptors.'),
  hard: countOrZero('Hard RLIMIT_NOFILE, in descriptors.'),
});

/** Absent fields are Unknown. Same names as NodeFacts of the planner. Strict, for a file of them is written by hand too. */
export const nodeFacts = z.strictObject({
  kernelRelease: z.string().max(128).optional().meta({ description: 'Kernel release, as uname -r prints it.' }),
  nrOpen: count('fs.nr_open, in descriptors.').optional(),
  fileMax: count('fs.file-max, in open files.').optional(),
  conntrackMax: countOrZero('net.netfilter.nf_conntrack_max, in entries.').optional(),
  tcpMemMaximumPages: countOrZero('Third number of net.ipv4.tcp_mem, in pages.').optional(),
  epollMaxUserWatches: countOrZero('fs.epoll.max_user_watches, in watches.').optional(),
  maxTwBuckets: countOrZero('net.ipv4.tcp_max_tw_buckets of a new namespace, in sockets.').optional(),
  memoryBytes: count('Memory of the node, in bytes.').optional(),
  runtimeNofile: nofile.optional().meta({ description: 'What the container runtime hands to containers by default.' }),
  settableNofile: count('The highest hard RLIMIT_NOFILE that the agent can give, in descriptors.').optional(),
});

const flowReport = z.object({
  name: z.string().max(63).meta({ description: 'Name of the flow in the budget.' }),
  connections: countOrZero('Established connections of the flow, told anew when they have changed by 5 %.'),
  timeWait: countOrZero('Connections of the flow in TIME_WAIT, which still take a port; told anew as connections are.'),
});
export type FlowReport = z.output<typeof flowReport>;

const podReport = z.object({
  namespace: label('Namespace of the pod.'),
  name: z.string().min(1).max(253).meta({ description: 'Name of the pod.' }),
  uid: z.string().min(1).max(64).meta({ description: 'UID of the pod.' }),
  budget: z.string().max(253).meta({ description: 'Name of the budget; "" where the annotation did not verify.' }),
  sectionHash: z.string().max(64).meta({ description: 'Hash of the section of the plan that the agent applies.' }),
  verified: z.boolean().meta({ description: 'Whether limits, sysctls and addresses were seen as planned.' }),
  reason: z.enum(podReasons).meta({ description: 'Why it is or is not verified.' }),
  message: z.string().max(512).meta({ description: 'A sentence with the numbers.' }),
  sourceAddresses: z.array(z.string().max(45)).max(66).default([]).meta({
    description: 'Addresses that the pod may bind to, its own first; none where it got no further ones.',
    'x-kubernetes-list-type': 'set',
  }),
  usedPercent: z
    .int()
    .min(0)
    .max(100)
    .optional()
    .meta({ description: 'Descriptors in use of the fullest process, in percent of its soft limit, in steps of 5.' }),
  connections: countOrZero('TCP sockets in use in the namespace of the pod, in steps of 5 % of the plan.').optional(),
  flows: z
    .array(flowReport)
    .max(mostFlows)
    .optional()
    .meta({
      description:
        'What the flows of the budget use now. A flow that cannot be told from others is left out; absent: Unknown.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    }),
});
export type PodReport = z.output<typeof podReport>;

export const connectionNodeStatus = z.object({
  facts: z
    .object(nodeFacts.shape)
    .prefault({})
    .meta({ description: 'What the kernel and the runtime of the node offer.' }),
  agent: z
    .object({
      version: z.string().max(64).meta({ description: 'Version of the agent.' }),
      runtime: z.string().max(128).meta({ description: 'Container runtime and its version; "" while not connected.' }),
      connected: z.boolean().meta({ description: 'Whether the agent is registered with the runtime over NRI.' }),
      message: z
        .string()
        .max(512)
        .optional()
        .meta({ description: 'Why it is not registered: new pods get nothing from it; absent while it is.' }),
      canRaiseNofile: z.boolean().meta({ description: 'Whether hard limits can be raised here (CAP_SYS_RESOURCE).' }),
      keyIds: z
        .array(z.string().max(64))
        .max(8)
        .default([])
        .meta({ description: 'Keys whose signatures the agent accepts.', 'x-kubernetes-list-type': 'set' }),
    })
    .optional()
    .meta({ description: 'The agent that wrote this.' }),
  pods: z
    .array(podReport)
    .max(1024)
    .default([])
    .meta({
      description: 'Planned pods of the node.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['uid'],
    }),
});
export type ConnectionNodeStatus = z.output<typeof connectionNodeStatus>;

/** A stored status, without the reports of another version that cannot be read: the others and the facts still count. */
export const readNodeStatus = (stored: unknown): ConnectionNodeStatus | undefined => {
  const whole = connectionNodeStatus.safeParse(stored);
  if (whole.success || typeof stored !== 'object' || stored === null) return whole.data;
  const reports: unknown = Reflect.get(stored, 'pods');
  const pods = Array.isArray(reports) ? reports.filter((one) => podReport.safeParse(one).success) : [];
  return connectionNodeStatus.safeParse({ ...stored, pods }).data;
};
