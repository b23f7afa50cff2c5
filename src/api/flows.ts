import { z } from 'zod';
import { isIP } from 'node:net';
import { byteQuantity, count, countOrZero, label, listByKey, portNumber, setOf, withRules } from './fields.ts';

const maximumIdleSeconds = 30 * 86400;

const connections = count('Concurrent connections per pod. At least 1.');
const closesPerSecond = countOrZero(
  'Connections closed per second in the steady state, per pod: they linger as TIME_WAIT, conntrack entries and entries of translators.',
).default(0);
const container = label(
  'Name of the container that holds the connections. Default: the first of spec.containers.',
).optional();

const labelKeyPattern = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const labelValuePattern = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

/** The API server cannot judge keys of a map cheaply, so that this rule is the webhook's and ours alone. */
const labels = z
  .record(z.string(), z.string())
  .superRefine((value, context) => {
    for (const [key, entry] of Object.entries(value)) {
      if (!labelKeyPattern.test(key)) context.addIssue({ code: 'custom', message: 'must be a label key', path: [key] });
      else if (!labelValuePattern.test(entry))
        context.addIssue({ code: 'custom', message: 'must be a label value', path: [key] });
    }
  })
  .meta({ description: 'Labels and the values that they must have.' });

const expression = withRules(
  z.strictObject({
    key: z
      .string()
      .min(1)
      .max(317)
      .regex(labelKeyPattern, { error: 'must be a label key' })
      .meta({ description: 'Label key that the expression is about.' }),
    operator: z
      .enum(['In', 'NotIn', 'Exists', 'DoesNotExist'])
      .meta({ description: 'How the label relates to the values.' }),
    values: z
      .array(z.string().max(63))
      .max(64)
      .optional()
      .meta({ description: 'Values for In and NotIn.', 'x-kubernetes-list-type': 'atomic' }),
  }),
  [
    {
      cel: "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
      message: 'In and NotIn need values, Exists and DoesNotExist take none',
      field: 'values',
      celMessage: 'self.operator + ": In and NotIn need values, Exists and DoesNotExist take none"',
      holds: ({ operator, values = [] }) => (operator === 'In' || operator === 'NotIn') === values.length > 0,
    },
  ],
);

export const labelSelector = z.strictObject({
  matchLabels: labels.optional(),
  matchExpressions: z
    .array(expression)
    .max(16)
    .optional()
    .meta({ description: 'Expressions that must all hold.', 'x-kubernetes-list-type': 'atomic' }),
});
export type LabelSelector = z.output<typeof labelSelector>;

const translator = withRules(
  z.strictObject({
    type: z
      .enum(['NAT', 'LoadBalancer', 'Sidecar'])
      .meta({ description: 'What rewrites the connection: NAT, LoadBalancer or Sidecar.' }),
    name: label('Name of the translator; a Sidecar has the name of its container.'),
    addresses: count('Source addresses that it has, in addresses.').default(1),
    portsPerAddress: portNumber(
      'Source ports that each of its addresses has per destination, in ports. Required for NAT; omitted for a LoadBalancer: it keeps the client address; for a Sidecar: the port range of the pod.',
    ).optional(),
    sharedBy: z
      .enum(['Pod', 'Node', 'Cluster'])
      .optional()
      .meta({ description: 'Who shares its addresses. Default: Cluster for NAT, Pod for LoadBalancer and Sidecar.' }),
    lingerSeconds: z
      .int()
      .min(0)
      .max(86400)
      .optional()
      .meta({ description: 'How long it keeps a closed connection, in seconds. Default: 120 for NAT, otherwise 0.' }),
    idleTimeoutSeconds: z
      .int()
      .min(1)
      .max(maximumIdleSeconds)
      .optional()
      .meta({ description: 'After how long it forgets an idle connection, in seconds.' }),
  }),
  [
    {
      cel: "self.type != 'NAT' || has(self.portsPerAddress)",
      message: 'portsPerAddress is required for type NAT',
      field: 'portsPerAddress',
      holds: (value) => value.type !== 'NAT' || value.portsPerAddress !== undefined,
    },
  ],
);
export type Translator = z.output<typeof translator>;

const path = z
  .array(translator)
  .max(8)
  .default([])
  .meta({ description: 'Translators on the way, in order.', 'x-kubernetes-list-type': 'atomic' });

const clients = withRules(
  z.strictObject({
    addresses: count('Distinct client addresses as the pod sees them, in addresses.').optional(),
    portsPerAddress: portNumber(
      'Ports that each client address has for us, in ports. Default: 28232, a Linux default.',
    ).optional(),
    podSelector: labelSelector.optional().meta({ description: 'The clients are these pods of the same namespace.' }),
  }),
  [
    {
      cel: 'has(self.addresses) != has(self.podSelector)',
      message: 'exactly one of addresses and podSelector must be set',
      holds: (value) => (value.addresses === undefined) !== (value.podSelector === undefined),
    },
  ],
);

const inboundFlow = z.strictObject({
  name: label('Name of the flow, unique among all flows of the budget.'),
  container,
  port: portNumber('Port that the program listens on.'),
  connections,
  peakOpensPerSecond: countOrZero('New connections per second at the worst moment, such as a reconnect storm.').default(
    0,
  ),
  closesPerSecond,
  closedBy: z
    .enum(['Pod', 'Peer'])
    .default('Peer')
    .meta({ description: 'Who closes first and so keeps TIME_WAIT: Pod or Peer.' }),
  acceptStallMilliseconds: z
    .int()
    .min(0)
    .max(600000)
    .default(1000)
    .meta({ description: 'The longest time that the program does not accept, in milliseconds.' }),
  listen: z
    .strictObject({
      backlog: z
        .int()
        .min(1)
        .max(2147483647)
        .default(4096)
        .meta({ description: 'The backlog that the program passes to listen(2), in connections.' }),
      sockets: z
        .int()
        .min(1)
        .max(4096)
        .default(1)
        .meta({ description: 'Listening sockets with SO_REUSEPORT; each has its own queue.' }),
    })
    .prefault({})
    .meta({ description: "The program's own listening sockets." }),
  clients: clients.optional().meta({ description: 'The distinct peers. Omitted: unbounded, an assumption.' }),
  path,
});

const service = z.strictObject({
  name: label('Name of the Service.'),
  namespace: label('Namespace of the Service. Default: that of the budget.').optional(),
  port: portNumber('Port of the Service.'),
  reachedBy: z
    .enum(['ClusterIP', 'Endpoints'])
    .default('ClusterIP')
    .meta({ description: 'ClusterIP: one target. Endpoints: one target per ready endpoint.' }),
});

/** As CEL's ip.isCanonical: 2001:db8::1, not 2001:0db8::1; no zone, no IPv4 in IPv6. Two spellings are no two addresses. */
const isCanonicalIp = (value: string): boolean => {
  if (isIP(value) !== 6) return isIP(value) === 4;
  return !/[%.]/.test(value) && URL.parse(`http://[${value}]`)?.hostname === `[${value}]`;
};

const ip = z
  .string()
  .max(45)
  .refine(isCanonicalIp, { error: 'must be an IP address in its canonical form' })
  .meta({
    'x-kubernetes-validations': [
      { rule: 'isIP(self) && ip.isCanonical(self)', message: 'must be an IP address in its canonical form' },
    ],
  });

const ports = setOf(portNumber('A destination port.'), { min: 1, max: 64 }).meta({
  description: 'Destination ports.',
});

const destination = withRules(
  z.strictObject({
    service: service.optional().meta({ description: 'A Service of the cluster.' }),
    addresses: z
      .strictObject({
        ips: setOf(ip, { min: 1, max: 256 }).meta({ description: 'Destination addresses.' }),
        ports,
      })
      .optional()
      .meta({ description: 'Known addresses; every address is reached on every port.' }),
    unlisted: z
      .strictObject({
        addressCount: count('How many distinct destination addresses, in addresses.'),
        ports,
      })
      .optional()
      .meta({ description: 'Addresses that nobody can list, such as the web.' }),
    largestSharePercent: z
      .int()
      .min(1)
      .max(100)
      .optional()
      .meta({ description: 'Share of the busiest target, in percent of the connections. Default: even.' }),
    maxConnectionsPerAddress: count('Connections that one destination address takes in all, from all pods.').optional(),
  }),
  [
    {
      cel: '[has(self.service), has(self.addresses), has(self.unlisted)].filter(x, x).size() == 1',
      message: 'exactly one of service, addresses and unlisted must be set',
      celMessage:
        '"%d kinds: exactly one of service, addresses and unlisted must be set".format([[has(self.service), has(self.addresses), has(self.unlisted)].filter(x, x).size()])',
      holds: (value) =>
        [value.service, value.addresses, value.unlisted].filter((kind) => kind !== undefined).length === 1,
    },
  ],
);

const outboundFlow = withRules(
  z.strictObject({
    name: label('Name of the flow, unique among all flows of the budget.'),
    container,
    connections,
    closesPerSecond,
    closedBy: z
      .enum(['Pod', 'Peer'])
      .default('Pod')
      .meta({ description: 'Who closes first and so keeps TIME_WAIT: Pod or Peer.' }),
    binding: z.enum(['Late', 'Early', 'Explicit']).default('Late').meta({
      description:
        'Late: connect() alone or IP_BIND_ADDRESS_NO_PORT. Early: bind(address, 0). Explicit: the program binds address and port.',
    }),
    portSelection: z.enum(['Kernel', 'Spread', 'Program']).default('Kernel').meta({
      description:
        'Who picks the source port: Kernel (half of the range is fast), Program (by IP_LOCAL_PORT_RANGE), Spread (ours, at connect(): all of the range is fast, also with one address).',
    }),
    destination: destination.meta({ ...destination.meta(), description: 'Where the connections go.' }),
    path,
  }),
  [
    {
      cel: "self.portSelection != 'Spread' || self.binding == 'Late'",
      message: 'portSelection Spread needs binding Late: a socket that the program binds is left alone',
      celMessage:
        'self.binding + ": portSelection Spread needs binding Late: a socket that the program binds is left alone"',
      field: 'binding',
      holds: ({ portSelection, binding }) => portSelection !== 'Spread' || binding === 'Late',
    },
  ],
);

export const queuedBytes = z.strictObject({
  receive: byteQuantity('Average unread bytes per connection.').default('0'),
  send: byteQuantity('Average unsent or unacknowledged bytes per connection.').default('0'),
});

export const inbound = listByKey(inboundFlow, 'name', 16).default([]).meta({ description: 'What the pod accepts.' });
export const outbound = listByKey(outboundFlow, 'name', 16).default([]).meta({ description: 'What the pod opens.' });
