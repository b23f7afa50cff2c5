import { z } from 'zod';
import { attachmentName, byteQuantity, count, countOrZero, label, listByKey, type Rule, withRules } from './fields.ts';
import { inbound, labelSelector, outbound, queuedBytes } from './flows.ts';

/** The ConnectionBudget: what a user declares. Types, defaults, messages and the CRD come from this schema. */

const container = z.strictObject({
  name: label('Name of a container of the pod.'),
  processes: z
    .int()
    .min(1)
    .max(65536)
    .default(1)
    .meta({ description: 'Processes that share the connections evenly; RLIMIT_NOFILE is per process.' }),
  descriptors: z
    .strictObject({
      reserved: countOrZero('Descriptors per process that are no connections: files, listeners, epoll, logs.').default(
        64,
      ),
      perConnection: count('Descriptors that one connection takes.').max(1024).default(1),
      soft: z.enum(['Planned', 'Unchanged']).default('Planned').meta({
        description:
          'Planned: the soft limit is raised too. Unchanged: only the hard one, for programs that use select() or raise their own.',
      }),
    })
    .prefault({})
    .meta({ description: 'What counts against RLIMIT_NOFILE of each process.' }),
  memoryPerConnection: byteQuantity("The program's own memory per connection, in bytes.").default('0'),
});

const scale = z.strictObject({
  pods: count('Pods that share gateways and destinations.').max(1000000).optional(),
  podsPerNode: count('Planned pods on one node.').max(100000).optional(),
  surgePercent: z
    .int()
    .min(0)
    .max(100)
    .optional()
    .meta({ description: 'Additional pods during a rollout, in percent of pods.' }),
});

const notAvailable = (word: string): string => `${word} is not available in this version`;

const isMultus = ({ provider }: { readonly provider: string }): boolean => provider === 'Multus';

/** The API server judges the schema default {} before the defaults inside it are there: hence the many has(). */
const sourceAddresses = withRules(
  z.strictObject({
    provider: z.enum(['None', 'PodNetwork', 'Multus']).default('None').meta({
      description:
        "Who hands out extra source addresses: None; PodNetwork, the IPAM of the pod's own network; Multus, a NetworkAttachmentDefinition.",
    }),
    networkAttachmentName: attachmentName.optional(),
    maximum: z
      .int()
      .min(0)
      .max(32)
      .default(0)
      .meta({ description: 'Extra source addresses that a pod may get, in addresses. As few as the plan needs.' }),
    spread: z.enum(['Transparent', 'Application']).default('Transparent').meta({
      description:
        'Who spreads connections over the addresses. Transparent: connect() is spread for an unmodified program. Application: the program binds to the addresses in CONNECTIONBUDGET_SOURCE_ADDRESSES.',
    }),
  }),
  [
    {
      cel: "!has(self.provider) || self.provider != 'Multus' || has(self.networkAttachmentName)",
      message: 'networkAttachmentName is required for provider Multus',
      field: 'networkAttachmentName',
      holds: (value) => !isMultus(value) || value.networkAttachmentName !== undefined,
    },
    {
      cel: "!has(self.networkAttachmentName) || (has(self.provider) && self.provider == 'Multus')",
      message: 'must be set for provider Multus only',
      celMessage: 'self.networkAttachmentName + ": must be set for provider Multus only"',
      field: 'networkAttachmentName',
      holds: (value) => value.networkAttachmentName === undefined || isMultus(value),
    },
    {
      cel: "!has(self.provider) || self.provider != 'Multus' || (has(self.spread) && self.spread == 'Application')",
      message: `${notAvailable('spread Transparent over an attachment')}: the program binds (Application)`,
      field: 'spread',
      holds: (value) => !isMultus(value) || value.spread === 'Application',
    },
    {
      cel: "!has(self.maximum) || self.maximum == 0 || (has(self.provider) && self.provider != 'None')",
      message: 'must be 0 for provider None',
      celMessage: '"%d: must be 0 for provider None".format([self.maximum])',
      field: 'maximum',
      holds: ({ provider, maximum }) => maximum === 0 || provider !== 'None',
    },
  ],
);

const updatePolicy = withRules(
  z.strictObject({
    mode: z.enum(['Off', 'Initial', 'Recreate', 'InPlaceOrRecreate']).default('Initial').meta({
      description:
        'Off only plans. Initial patches pods when they are created. The others are not available in this version.',
    }),
  }),
  [
    {
      cel: "!has(self.mode) || self.mode in ['Off', 'Initial']",
      message: notAvailable('a mode other than Off and Initial'),
      celMessage: `self.mode + ": ${notAvailable('a mode other than Off and Initial')}"`,
      field: 'mode',
      holds: (value) => value.mode === 'Off' || value.mode === 'Initial',
    },
  ],
);

const specFields = z.strictObject({
  selector: withRules(labelSelector, [
    {
      cel: '(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)',
      message: 'must not be empty',
      celMessage: '"{}: must not be empty"',
      holds: (value) => Object.keys(value.matchLabels ?? {}).length > 0 || (value.matchExpressions ?? []).length > 0,
    },
  ]).meta({ description: 'The pods that the budget is for. Required, not empty.' }),
  scale: scale.optional().meta({
    description: 'How many pods share nodes, gateways and destinations. Undeclared: what is observed in the cluster.',
  }),
  containers: listByKey(container, 'name', 16)
    .optional()
    .meta({ description: 'Who holds the connections. Default: the first container of the pod, one process.' }),
  inbound,
  outbound,
  queuedBytes: queuedBytes.prefault({}).meta({ description: 'Average bytes held in socket buffers per connection.' }),
  headroomPercent: z
    .int()
    .min(0)
    .max(1000)
    .default(10)
    .meta({ description: 'Added once to connections and rates, in percent; never to reserved descriptors.' }),
  sourceAddresses: sourceAddresses
    .prefault({})
    .meta({ description: 'Extra source addresses: asked for, never a surprise.' }),
  updatePolicy: updatePolicy.prefault({}).meta({ description: 'When running pods get a new plan.' }),
});

type SpecFields = z.output<typeof specFields>;
type FlowList = 'inbound' | 'outbound';

const unlistedFlow = (spec: SpecFields, list: FlowList): number =>
  spec[list].findIndex(
    ({ container: name }) =>
      name !== undefined && spec.containers !== undefined && !spec.containers.some((entry) => entry.name === name),
  );

const containerIsListed = (list: FlowList): Rule<SpecFields> => {
  const unlisted = 'has(f.container) && !self.containers.exists(c, c.name == f.container)';
  return {
    cel: `!has(self.containers) || !has(self.${list}) || !self.${list}.exists(f, ${unlisted})`,
    message: 'must be one of spec.containers',
    field: list,
    // map, not filter: the API server's cost estimate knows the length of f.container, not that of a filtered list's.
    celMessage: `"container " + self.${list}.map(f, ${unlisted}, f.container)[0] + ": must be one of spec.containers"`,
    holds: (spec) => unlistedFlow(spec, list) === -1,
    culprit: (spec) => [list, unlistedFlow(spec, list), 'container'],
  };
};

const repeatedName = ({ inbound: accepted, outbound: opened }: SpecFields): number =>
  opened.findIndex((flow) => accepted.some((other) => other.name === flow.name));

const spreadFlow = ({ outbound: opened }: SpecFields): number =>
  opened.findIndex(({ portSelection }) => portSelection === 'Spread');

const repeatedPort = ({ inbound: flows }: SpecFields): number =>
  flows.findIndex((flow, index) => flows.findIndex((other) => other.port === flow.port) < index);

export const connectionBudgetSpec = withRules(specFields, [
  {
    cel: '(has(self.inbound) && size(self.inbound) > 0) || (has(self.outbound) && size(self.outbound) > 0)',
    message: 'at least one flow in inbound or outbound is required',
    celMessage: '"0 flows: at least one flow in inbound or outbound is required"',
    holds: (spec) => spec.inbound.length + spec.outbound.length > 0,
  },
  {
    cel: '!has(self.inbound) || !has(self.outbound) || self.inbound.all(i, !self.outbound.exists(o, o.name == i.name))',
    message: 'a flow name must be unique among inbound and outbound (duplicate name)',
    field: 'outbound',
    celMessage:
      'self.outbound.map(o, self.inbound.exists(i, i.name == o.name), o.name)[0] + ": a flow name must be unique among inbound and outbound (duplicate name)"',
    holds: (spec) => repeatedName(spec) === -1,
    culprit: (spec) => ['outbound', repeatedName(spec), 'name'],
  },
  {
    cel: '!has(self.inbound) || self.inbound.all(a, self.inbound.exists_one(b, b.port == a.port))',
    message: 'inbound flows must have different ports',
    field: 'inbound',
    celMessage:
      '"%d: inbound flows must have different ports".format([self.inbound.map(a, !self.inbound.exists_one(b, b.port == a.port), a.port)[0]])',
    holds: (spec) => repeatedPort(spec) === -1,
    culprit: (spec) => ['inbound', repeatedPort(spec), 'port'],
  },
  {
    cel: "!has(self.outbound) || !has(self.sourceAddresses) || !has(self.sourceAddresses.spread) || self.sourceAddresses.spread == 'Transparent' || self.outbound.all(f, f.portSelection != 'Spread')",
    message:
      'spread Application and portSelection Spread exclude each other: a socket that the program binds is left alone',
    celMessage:
      '"Spread: spread Application and portSelection Spread exclude each other: a socket that the program binds is left alone"',
    field: 'outbound',
    holds: (spec) => spec.sourceAddresses.spread === 'Transparent' || spreadFlow(spec) === -1,
    culprit: (spec) => ['outbound', spreadFlow(spec), 'portSelection'],
  },
  containerIsListed('inbound'),
  containerIsListed('outbound'),
]);

export type ConnectionBudgetSpec = z.output<typeof connectionBudgetSpec>;
export type InboundSpec = ConnectionBudgetSpec['inbound'][number];
export type OutboundSpec = ConnectionBudgetSpec['outbound'][number];
export type ContainerSpec = NonNullable<ConnectionBudgetSpec['containers']>[number];
