import { expect, test } from 'vitest';
import { parseConnectionBudget } from '../../src/api/budget-object.ts';
import { violationText } from '../../src/api/violations.ts';
import { budgets, type CustomObject } from '../../src/controller/resources.ts';
import { KubeError } from '../../src/kube/kube-error.ts';
import { call, withLooseCrd } from './controller-setting.ts';
import { useWebhookSetting, withoutBudgetWebhook } from './webhook-setting.ts';

const setting = useWebhookSetting();

const inbound = { name: 'in', port: 1883, connections: 10 };
const outbound = { name: 'out', connections: 10, destination: { service: { name: 'broker', port: 1883 } } };
const addresses = { ips: ['198.51.100.7'], ports: [1883] };

const budgetWith = (spec: object): CustomObject => ({
  apiVersion: 'connectionbudget.io/v1alpha1',
  kind: 'ConnectionBudget',
  metadata: { namespace: 'warm', name: 'budget' },
  spec: { selector: { matchLabels: { app: 'a' } }, inbound: [inbound], ...spec },
});

/** As `kubectl apply` does it: strict decoding, then the schema with CEL, then the webhook. */
const create = async (budget: CustomObject): Promise<string> => {
  const path = '/apis/connectionbudget.io/v1alpha1/namespaces/warm/connectionbudgets';
  const query = { dryRun: 'All', fieldValidation: 'Strict' };
  return setting.client.transport.send({ method: 'POST', path, query, body: budget }, call).then(
    () => 'admitted',
    (error: unknown) => (error instanceof KubeError ? error.message : String(error)),
  );
};

/** What the API server says (its own words for schema rules), and what we say. */
const rows: readonly (readonly [string, object, string, string])[] = [
  [
    'zero',
    { inbound: [{ ...inbound, connections: 0 }] },
    'spec.inbound[0].connections: Invalid value: 0: spec.inbound[0].connections in body should be greater than or equal to 1',
    'spec.inbound[0].connections: 0: must be at least 1',
  ],
  [
    'negative',
    { inbound: [{ ...inbound, connections: -5 }] },
    'spec.inbound[0].connections: Invalid value: -5',
    'spec.inbound[0].connections: -5: must be at least 1',
  ],
  [
    'fractional',
    { inbound: [{ ...inbound, connections: 1.5 }] },
    'spec.inbound[0].connections in body must be of type int64',
    'spec.inbound[0].connections: 1.5: must be a whole number',
  ],
  [
    'above 2^53',
    { inbound: [{ ...inbound, connections: 2 ** 53 }] },
    'spec.inbound[0].connections: Invalid value: 9007199254740992: spec.inbound[0].connections in body should be less than or equal to 9007199254740991',
    'spec.inbound[0].connections: 9007199254740992: must be at most 9007199254740991',
  ],
  [
    'port 0',
    { inbound: [{ ...inbound, port: 0 }] },
    'spec.inbound[0].port: Invalid value: 0',
    'spec.inbound[0].port: 0: must be at least 1',
  ],
  [
    'port 70000',
    { inbound: [{ ...inbound, port: 70_000 }] },
    'spec.inbound[0].port: Invalid value: 70000',
    'spec.inbound[0].port: 70000: must be at most 65535',
  ],
  [
    'no flow',
    { inbound: [] },
    'spec: Invalid value: 0 flows: at least one flow in inbound or outbound is required',
    'at least one flow in inbound or outbound is required',
  ],
  [
    'two kinds of destination',
    { outbound: [{ ...outbound, destination: { ...outbound.destination, addresses } }] },
    'spec.outbound[0].destination: Invalid value: 2 kinds: exactly one of service, addresses and unlisted must be set',
    'spec.outbound[0].destination: {"service":{"name":"broker","port":1883},"addresses":{"ips":["198.51.100.7"],"po…: exactly one of',
  ],
  [
    'a duplicate name in a list',
    { inbound: [inbound, { ...inbound, port: 1884 }] },
    'spec.inbound[1]: Duplicate value: {"name":"in"}',
    'spec.inbound[1].name: "in": must be unique in its list (duplicate name)',
  ],
  [
    'a duplicate name in both lists',
    { outbound: [{ ...outbound, name: 'in' }] },
    'spec.outbound: Invalid value: in: a flow name must be unique among inbound and outbound (duplicate name)',
    'spec.outbound[0].name: "in": a flow name must be unique among inbound and outbound (duplicate name)',
  ],
  [
    'a duplicate container',
    { containers: [{ name: 'a' }, { name: 'a' }] },
    'spec.containers[1]: Duplicate value: {"name":"a"}',
    'spec.containers[1].name: "a": must be unique in its list (duplicate name)',
  ],
  [
    'a duplicate port',
    { inbound: [inbound, { ...inbound, name: 'in-2' }] },
    'spec.inbound: Invalid value: 1883: inbound flows must have different ports',
    'spec.inbound[1].port: 1883: inbound flows must have different ports',
  ],
  [
    'an unknown field',
    { inbound: [{ ...inbound, conections: 4 }] },
    'strict decoding error: unknown field "spec.inbound[0].conections"',
    'spec.inbound[0].conections: 4: unknown field',
  ],
  [
    'an empty selector',
    { selector: {} },
    'spec.selector: Invalid value: {}: must not be empty',
    'spec.selector: {}: must not be empty',
  ],
  [
    'a selector of empty labels',
    { selector: { matchLabels: {} } },
    'spec.selector: Invalid value: {}: must not be empty',
    'spec.selector: {"matchLabels":{}}: must not be empty',
  ],
  [
    'an operator without values',
    { selector: { matchExpressions: [{ key: 'a', operator: 'In' }] } },
    'spec.selector.matchExpressions[0].values: Invalid value: In: In and NotIn need values',
    'spec.selector.matchExpressions[0].values: In and NotIn need values',
  ],
  [
    'a label that is none (only the webhook sees it)',
    { selector: { matchLabels: { 'a b': 'c' } } },
    'denied the request: spec.selector.matchLabels.a b: "c": must be a label key',
    'spec.selector.matchLabels.a b: "c": must be a label key',
  ],
  [
    'a container that is not listed',
    { containers: [{ name: 'a' }], inbound: [{ ...inbound, container: 'b' }] },
    'spec.inbound: Invalid value: container b: must be one of spec.containers',
    'spec.inbound[0].container: "b": must be one of spec.containers',
  ],
  [
    'headroom over 1000 %',
    { headroomPercent: 1001 },
    'spec.headroomPercent: Invalid value: 1001',
    'spec.headroomPercent: 1001: must be at most 1000',
  ],
  [
    'a quantity that is none',
    { containers: [{ name: 'a', memoryPerConnection: 'lots' }] },
    'spec.containers[0].memoryPerConnection: Invalid value: "lots"',
    'spec.containers[0].memoryPerConnection: "lots": must be a quantity of bytes',
  ],
  [
    'a negative quantity',
    { queuedBytes: { receive: '-1Ki' } },
    'spec.queuedBytes.receive: Invalid value: "-1Ki"',
    'spec.queuedBytes.receive: "-1Ki": must be a quantity of bytes',
  ],
  [
    'a negative number of bytes',
    { queuedBytes: { receive: -1 } },
    'spec.queuedBytes.receive: Invalid value: -1',
    'spec.queuedBytes.receive: -1: must be at least 0',
  ],
  [
    'a mode not delivered yet',
    { updatePolicy: { mode: 'Recreate' } },
    'spec.updatePolicy.mode: Invalid value: Recreate: a mode other than Off and Initial is not available in this version',
    'spec.updatePolicy.mode: "Recreate": a mode other than Off and Initial is not available in this version',
  ],
  [
    'a mode that is none',
    { updatePolicy: { mode: 'Auto' } },
    'spec.updatePolicy.mode: Unsupported value: "Auto"',
    'spec.updatePolicy.mode: "Auto": must be one of Off, Initial',
  ],
  [
    'a provider that is none',
    { sourceAddresses: { provider: 'Calico' } },
    'spec.sourceAddresses.provider: Unsupported value: "Calico"',
    'spec.sourceAddresses.provider: "Calico": must be one of None, PodNetwork, Multus',
  ],
  [
    'Multus without an attachment',
    { sourceAddresses: { provider: 'Multus', maximum: 4, spread: 'Application' } },
    'spec.sourceAddresses.networkAttachmentName: Invalid value: networkAttachmentName is required for provider Multus',
    'spec.sourceAddresses.networkAttachmentName: networkAttachmentName is required for provider Multus',
  ],
  [
    'connect() spread over an attachment',
    { sourceAddresses: { provider: 'Multus', networkAttachmentName: 'net-a', maximum: 4 } },
    'spec.sourceAddresses.spread: Invalid value: spread Transparent over an attachment is not available in this version',
    'spec.sourceAddresses.spread: spread Transparent over an attachment is not available in this version',
  ],
  [
    'an attachment for another provider',
    { sourceAddresses: { provider: 'PodNetwork', networkAttachmentName: 'net-a', maximum: 4 } },
    'spec.sourceAddresses.networkAttachmentName: Invalid value: net-a: must be set for provider Multus only',
    'spec.sourceAddresses.networkAttachmentName: "net-a": must be set for provider Multus only',
  ],
  [
    'an attachment for no provider',
    { sourceAddresses: { networkAttachmentName: 'net-a' } },
    'spec.sourceAddresses.networkAttachmentName: Invalid value: net-a: must be set for provider Multus only',
    'spec.sourceAddresses.networkAttachmentName: "net-a": must be set for provider Multus only',
  ],
  [
    'addresses that nobody hands out',
    { sourceAddresses: { maximum: 4 } },
    'spec.sourceAddresses.maximum: Invalid value: 4: must be 0 for provider None',
    'spec.sourceAddresses.maximum: 4: must be 0 for provider None',
  ],
  [
    'ports spread for a program that binds itself',
    { outbound: [{ ...outbound, portSelection: 'Spread', binding: 'Early' }] },
    'spec.outbound[0].binding: Invalid value: Early: portSelection Spread needs binding Late',
    'spec.outbound[0].binding: "Early": portSelection Spread needs binding Late',
  ],
  [
    'ports spread for a program that spreads itself',
    {
      sourceAddresses: { provider: 'PodNetwork', maximum: 4, spread: 'Application' },
      outbound: [{ ...outbound, portSelection: 'Spread' }],
    },
    'spec.outbound: Invalid value: Spread: spread Application and portSelection Spread exclude each other',
    'spec.outbound[0].portSelection: "Spread": spread Application and portSelection Spread exclude each other',
  ],
  [
    'an address that is none',
    { outbound: [{ ...outbound, destination: { addresses: { ...addresses, ips: ['1.2.3.400'] } } }] },
    'spec.outbound[0].destination.addresses.ips[0]: Invalid value: "1.2.3.400": must be an IP address',
    'spec.outbound[0].destination.addresses.ips[0]: "1.2.3.400": must be an IP address',
  ],
  [
    'NAT without its ports',
    { outbound: [{ ...outbound, path: [{ type: 'NAT', name: 'gateway' }] }] },
    'spec.outbound[0].path[0].portsPerAddress: Invalid value: portsPerAddress is required for type NAT',
    'spec.outbound[0].path[0].portsPerAddress: portsPerAddress is required for type NAT',
  ],
];

test.each(rows)(
  '%s is refused by the API server and by our checker, with field, value and rule',
  async (...[, spec, theirs, ours]) => {
    const budget = budgetWith(spec);

    expect(await create(budget)).toContain(theirs);
    expect((parseConnectionBudget(budget).violations ?? []).map(violationText).join('\n')).toContain(ours);
  },
);

test.each<[string, object]>([
  ['the network of the pod', { provider: 'PodNetwork', maximum: 3 }],
  ['an attachment', { provider: 'Multus', networkAttachmentName: 'edge/net-a', maximum: 32, spread: 'Application' }],
])('addresses of %s are admitted', async (_, sourceAddresses) => {
  const budget = budgetWith({ sourceAddresses });

  expect(await create(budget)).toBe('admitted');
  expect(parseConnectionBudget(budget).violations).toBeUndefined();
});

test('a good budget is admitted and gets the defaults that we have too', async () => {
  const stored = await setting.client.create(
    budgets,
    budgetWith({ containers: [{ name: 'a' }], outbound: [outbound] }),
    call,
  );
  const ours = parseConnectionBudget(budgetWith({ containers: [{ name: 'a' }], outbound: [outbound] })).budget;

  expect(stored.spec).toEqual(ours?.spec);
});

test('a stored budget that became invalid keeps its spec, may lose its finalizers and goes', async () => {
  const bad = budgetWith({ headroomPercent: 5000 });
  const target = { resource: budgets, namespace: 'warm', name: 'invalid' } as const;
  const metadata = { namespace: 'warm', name: 'invalid', finalizers: ['example.com/wait'] };
  await withoutBudgetWebhook(setting, () =>
    withLooseCrd(setting, () => setting.client.create(budgets, { ...bad, metadata }, call)),
  );

  await setting.client.patch(target, { metadata: { labels: { a: 'b' } } }, call);
  await setting.client.delete(target, call);
  await setting.client.patch(target, { metadata: { finalizers: null } }, call);

  await expect(setting.client.get(target, call)).rejects.toMatchObject({ kind: 'NotFound' });
});
