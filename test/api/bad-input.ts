/**
 * Every way in which a budget is refused, once: the command, the webhook and the API server are held against this table.
 * `field`, `value` and `rule` are what the message must name.
 */
export interface BadInput {
  readonly name: string;
  readonly spec: Readonly<Record<string, unknown>>;
  readonly field: string;
  readonly value: string;
  readonly rule: string;
}

const selector = { matchLabels: { app: 'gateway' } };
const flow = { name: 'in', port: 1883, connections: 1000 };
const opens = { name: 'out', connections: 1000, destination: { service: { name: 'web', port: 80 } } };

const inbound = (changes: object) => ({ selector, inbound: [{ ...flow, ...changes }] });
const outbound = (changes: object) => ({ selector, outbound: [{ ...opens, ...changes }] });

export const goodSpec = { selector, inbound: [flow], outbound: [opens] };

export const badInputs: readonly BadInput[] = [
  {
    name: 'zero connections',
    spec: inbound({ connections: 0 }),
    field: 'spec.inbound[0].connections',
    value: '0',
    rule: 'at least 1',
  },
  {
    name: 'negative connections',
    spec: inbound({ connections: -5 }),
    field: 'spec.inbound[0].connections',
    value: '-5',
    rule: 'at least 1',
  },
  {
    name: 'fractional connections',
    spec: inbound({ connections: 1.5 }),
    field: 'spec.inbound[0].connections',
    value: '1.5',
    rule: 'whole number',
  },
  {
    name: 'connections above 2^53',
    spec: inbound({ connections: 9007199254740994 }),
    field: 'spec.inbound[0].connections',
    value: '9007199254740994',
    rule: 'at most 9007199254740991',
  },
  { name: 'port 0', spec: inbound({ port: 0 }), field: 'spec.inbound[0].port', value: '0', rule: 'at least 1' },
  {
    name: 'port 70000',
    spec: inbound({ port: 70000 }),
    field: 'spec.inbound[0].port',
    value: '70000',
    rule: 'at most 65535',
  },
  { name: 'no flow', spec: { selector }, field: 'spec', value: '', rule: 'at least one flow' },
  {
    name: 'two kinds of destination',
    spec: outbound({ destination: { service: { name: 'web', port: 80 }, unlisted: { addressCount: 1, ports: [80] } } }),
    field: 'spec.outbound[0].destination',
    value: '',
    rule: 'exactly one of service, addresses and unlisted',
  },
  {
    name: 'no destination',
    spec: outbound({ destination: {} }),
    field: 'spec.outbound[0].destination',
    value: '',
    rule: 'exactly one of service, addresses and unlisted',
  },
  {
    name: 'duplicate flow names',
    spec: { selector, inbound: [flow, { ...flow, port: 1884 }] },
    field: 'spec.inbound[1]',
    value: '"in"',
    rule: 'uplicate',
  },
  {
    name: 'one name for an inbound and an outbound flow',
    spec: { selector, inbound: [flow], outbound: [{ ...opens, name: 'in' }] },
    field: 'spec.outbound',
    value: '',
    rule: 'unique among inbound and outbound',
  },
  {
    name: 'one port for two inbound flows',
    spec: { selector, inbound: [flow, { ...flow, name: 'two' }] },
    field: 'spec.inbound',
    value: '',
    rule: 'different ports',
  },
  {
    name: 'an unknown field',
    spec: inbound({ conections: 5 }),
    field: 'spec.inbound[0].conections',
    value: '',
    rule: 'unknown field',
  },
  {
    name: 'an empty selector',
    spec: { selector: {}, inbound: [flow] },
    field: 'spec.selector',
    value: '',
    rule: 'must not be empty',
  },
  { name: 'no selector', spec: { inbound: [flow] }, field: 'spec.selector', value: '', rule: 'equired' },
  {
    name: "a flow's container that is not listed",
    spec: { selector, containers: [{ name: 'app' }], inbound: [{ ...flow, container: 'other' }] },
    field: 'spec.inbound',
    value: 'other',
    rule: 'must be one of spec.containers',
  },
  {
    name: 'headroom over 1000 %',
    spec: { ...inbound({}), headroomPercent: 1001 },
    field: 'spec.headroomPercent',
    value: '1001',
    rule: '1000',
  },
  {
    name: 'a quantity that is none',
    spec: { ...inbound({}), containers: [{ name: 'app', memoryPerConnection: '16 apples' }] },
    field: 'spec.containers[0].memoryPerConnection',
    value: '16 apples',
    rule: '',
  },
  {
    name: 'a negative quantity',
    spec: { ...inbound({}), queuedBytes: { receive: '-1Ki' } },
    field: 'spec.queuedBytes.receive',
    value: '-1Ki',
    rule: '',
  },
  {
    name: 'an address that is none',
    spec: outbound({ destination: { addresses: { ips: ['10.0.0.300'], ports: [80] } } }),
    field: 'spec.outbound[0].destination.addresses.ips[0]',
    value: '10.0.0.300',
    rule: 'must be an IP address',
  },
  {
    name: 'an IPv6 address spelled in another way than the canonical one',
    spec: outbound({ destination: { addresses: { ips: ['2001:0db8::1'], ports: [80] } } }),
    field: 'spec.outbound[0].destination.addresses.ips[0]',
    value: '2001:0db8::1',
    rule: 'canonical form',
  },
  {
    name: 'a NAT without ports',
    spec: outbound({ path: [{ type: 'NAT', name: 'gw' }] }),
    field: 'spec.outbound[0].path[0]',
    value: '',
    rule: 'portsPerAddress is required for type NAT',
  },
  {
    name: 'clients counted twice',
    spec: inbound({ clients: { addresses: 1, podSelector: selector } }),
    field: 'spec.inbound[0].clients',
    value: '',
    rule: 'exactly one of addresses and podSelector',
  },
  {
    name: 'a mode not delivered yet',
    spec: { ...inbound({}), updatePolicy: { mode: 'Recreate' } },
    field: 'spec.updatePolicy.mode',
    value: 'Recreate',
    rule: 'not available in this version',
  },
  {
    name: 'a mode that there is not',
    spec: { ...inbound({}), updatePolicy: { mode: 'Sometimes' } },
    field: 'spec.updatePolicy.mode',
    value: 'Sometimes',
    rule: 'InPlaceOrRecreate',
  },
  {
    name: 'provider Multus without an attachment',
    spec: { ...inbound({}), sourceAddresses: { provider: 'Multus', maximum: 4, spread: 'Application' } },
    field: 'spec.sourceAddresses.networkAttachmentName',
    value: '',
    rule: 'networkAttachmentName is required for provider Multus',
  },
  {
    name: 'connect() spread over an attachment',
    spec: { ...inbound({}), sourceAddresses: { provider: 'Multus', networkAttachmentName: 'net-a', maximum: 4 } },
    field: 'spec.sourceAddresses.spread',
    value: 'Transparent',
    rule: 'not available in this version',
  },
  {
    name: 'an attachment for another provider',
    spec: {
      ...inbound({}),
      sourceAddresses: { provider: 'PodNetwork', networkAttachmentName: 'net-a', maximum: 4 },
    },
    field: 'spec.sourceAddresses.networkAttachmentName',
    value: 'net-a',
    rule: 'for provider Multus only',
  },
  {
    name: 'an attachment with two slashes',
    spec: {
      ...inbound({}),
      sourceAddresses: { provider: 'Multus', networkAttachmentName: 'a/b/c', maximum: 4, spread: 'Application' },
    },
    field: 'spec.sourceAddresses.networkAttachmentName',
    value: 'a/b/c',
    rule: '',
  },
  {
    name: 'addresses that nobody hands out',
    spec: { ...inbound({}), sourceAddresses: { maximum: 4 } },
    field: 'spec.sourceAddresses.maximum',
    value: '4',
    rule: 'must be 0 for provider None',
  },
  {
    name: 'more addresses than a pod may have',
    spec: { ...inbound({}), sourceAddresses: { provider: 'PodNetwork', maximum: 33 } },
    field: 'spec.sourceAddresses.maximum',
    value: '33',
    rule: '32',
  },
  {
    name: 'a provider that there is not',
    spec: { ...inbound({}), sourceAddresses: { provider: 'Calico' } },
    field: 'spec.sourceAddresses.provider',
    value: 'Calico',
    rule: 'PodNetwork',
  },
  {
    name: 'ports spread for a program that binds itself',
    spec: outbound({ portSelection: 'Spread', binding: 'Early' }),
    field: 'spec.outbound[0].binding',
    value: 'Early',
    rule: 'portSelection Spread needs binding Late',
  },
  {
    name: 'ports spread for a program that spreads itself',
    spec: {
      ...outbound({ portSelection: 'Spread' }),
      sourceAddresses: { provider: 'PodNetwork', maximum: 4, spread: 'Application' },
    },
    field: 'spec.outbound',
    value: 'Spread',
    rule: 'exclude each other',
  },
];
