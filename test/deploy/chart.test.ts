import { readdir, readFile } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { run } from '../cluster/lab/command.ts';
import {
  at,
  chartFolder,
  find,
  helmProgram,
  keyOf,
  type Manifest,
  quiet,
  render,
  setUpTimeoutMs,
} from './chart-setting.ts';

const container = 'spec.template.spec.containers.0';
const weak = {
  name: 'weak',
  nodeSelector: { 'example.com/limits': 'fixed' },
  capabilities: ['SYS_ADMIN', 'SYS_PTRACE', 'NET_ADMIN'],
};

let defaults: readonly Manifest[];

beforeAll(async () => {
  defaults = await render();
}, setUpTimeoutMs);

test('helm lint finds nothing to fail', async () => {
  const text = await run(await helmProgram(), ['lint', chartFolder, '--strict', '--kube-version', '1.30.0'], quiet);
  expect(text).toContain('0 chart(s) failed');
});

test.each([
  ['controller.replicas', 'two', 'want integer'],
  ['controller.replicas', 0, 'minimum'],
  ['controller.logLevel', 'loud', 'must be one of'],
  ['image.digest', 'sha256:1234', 'does not match pattern'],
  ['image.pullPolicy', 'Sometimes', 'must be one of'],
  ['webhook.timeoutSeconds', 31, 'maximum'],
  ['agent.capabilities', ['CAP_SYS_ADMIN'], "'not' failed"],
  ['agent.capabilities', 'SYS_ADMIN', 'want array'],
  ['agent.netnsDirectories', ['run/netns'], 'does not match pattern'],
  ['agent.netnsDirectories', [], 'minItems'],
  ['agent.nriDirectory', '/', 'does not match pattern'],
  ['agent.podNetwork.dataDirectories', ['var/lib/cni'], 'does not match pattern'],
  ['agent.podNetwork.programDirectories', [], 'minItems'],
  ['agent.spread.mode', 'everywhere', 'must be one of'],
  ['agent.maxUnavailable', '0%', 'does not match pattern'],
  ['agent.variants', [{ ...weak, nodeSelector: { a: 'b', c: 'd' } }], 'maxProperties'],
  ['agent.variants', [{ ...weak, nodeSelector: {} }], 'minProperties'],
  ['agent.variants', [{ ...weak, name: 'Weak!' }], 'does not match pattern'],
  ['networkPolicy.egressPorts', [70000], 'maximum'],
  ['agent.privileged', true, 'additional properties'],
  ['agnet', {}, 'additional properties'],
])('the value %s = %j is refused', async (path, value, rule) => {
  await expect(render({ [path]: value })).rejects.toThrow(rule);
});

test('every value of values.yaml is read by a template', async () => {
  const templates = await templateTexts();
  const readme = await readFile(`${chartFolder}/README.md`, 'utf8');
  const names = [...readme.matchAll(/^\| `([\w.]+)` /gm)].map((match) => match[1] ?? '');
  const unread = names.filter((name) => !templates.includes(name.slice(name.lastIndexOf('.'))));
  expect(names.length).toBeGreaterThan(30);
  expect(unread).toEqual([]);
});

test('the names that the operator and the API server agree on are these', () => {
  expect(defaults.map(keyOf)).toEqual(
    expect.arrayContaining([
      'Service connectionbudget-system/connectionbudget-webhook',
      'MutatingWebhookConfiguration /connectionbudget',
      'ValidatingWebhookConfiguration /connectionbudget',
      'Deployment connectionbudget-system/connectionbudget-controller',
      'DaemonSet connectionbudget-system/connectionbudget-agent',
      'CustomResourceDefinition /connectionbudgets.connectionbudget.io',
      'CustomResourceDefinition /connectionnodes.connectionbudget.io',
    ]),
  );
});

test('pods are let through when the webhook is away, budgets are not', () => {
  const pods = at(find(defaults, 'MutatingWebhookConfiguration', 'connectionbudget'), 'webhooks.0');
  const budgets = at(find(defaults, 'ValidatingWebhookConfiguration', 'connectionbudget'), 'webhooks.0');
  expect(pods).toMatchObject({ failurePolicy: 'Ignore', timeoutSeconds: 2, reinvocationPolicy: 'IfNeeded' });
  expect(budgets).toMatchObject({ failurePolicy: 'Fail', sideEffects: 'None' });
  expect([at(pods, 'clientConfig.caBundle'), at(budgets, 'clientConfig.caBundle')]).toEqual([undefined, undefined]);
});

test('the webhook is never asked about kube-system, its own namespace, or one without the label', async () => {
  const configured = await render({ 'webhook.exemptNamespaces': ['kube-public', 'kube-system'] });
  const selector = at(
    find(configured, 'MutatingWebhookConfiguration', 'connectionbudget'),
    'webhooks.0.namespaceSelector',
  );
  expect(selector).toEqual({
    matchLabels: { 'connectionbudget.io/enabled': 'true' },
    matchExpressions: [
      {
        key: 'kubernetes.io/metadata.name',
        operator: 'NotIn',
        values: ['kube-system', 'connectionbudget-system', 'kube-public'],
      },
    ],
  });
});

test('the agent has its four capabilities and nothing else of a privileged container', () => {
  const agent = find(defaults, 'DaemonSet', 'connectionbudget-agent');
  expect(at(agent, `${container}.securityContext`)).toEqual({
    runAsNonRoot: false,
    runAsUser: 0,
    runAsGroup: 0,
    privileged: false,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'], add: ['SYS_ADMIN', 'SYS_PTRACE', 'NET_ADMIN', 'SYS_RESOURCE'] },
    seccompProfile: { type: 'RuntimeDefault' },
    appArmorProfile: { type: 'Unconfined' },
  });
  expect(at(agent, 'spec.template.spec.hostNetwork')).toBeUndefined();
  expect(at(agent, 'spec.template.spec.hostIPC')).toBeUndefined();
});

const writableOf = (objects: typeof defaults): readonly unknown[] => {
  const mounts = at(find(objects, 'DaemonSet', 'connectionbudget-agent'), `${container}.volumeMounts`);
  const writable = (mounts as readonly unknown[]).filter((mount) => at(mount, 'readOnly') !== true);
  return writable.map((mount) => at(mount, 'mountPath'));
};

test('of what the agent sees of its node it can write /proc, leases and its own folder, or /proc alone', async () => {
  expect(writableOf(defaults)).toEqual(['/host/proc', '/var/lib/cni', '/run/connectionbudget']);
  const without = await render({ 'agent.podNetwork.enabled': false });
  expect(writableOf(without)).toEqual(['/host/proc']);
});

test('it sees /sys/fs where it spreads connections only', async () => {
  const pathsOf = (objects: typeof defaults): readonly unknown[] => {
    const volumes = at(find(objects, 'DaemonSet', 'connectionbudget-agent'), 'spec.template.spec.volumes');
    return (volumes as readonly unknown[]).map((volume) => at(volume, 'hostPath.path'));
  };
  expect(pathsOf(defaults)).toContain('/sys/fs');
  expect(pathsOf(await render({ 'agent.spread.mode': 'off' }))).not.toContain('/sys/fs');
});

test('every privilege of the agent has its reason in docs/security.md', async () => {
  const security = await readFile(`${chartFolder}/../../docs/security.md`, 'utf8');
  const agent = find(defaults, 'DaemonSet', 'connectionbudget-agent');
  const capabilities = at(agent, `${container}.securityContext.capabilities.add`) as readonly string[];
  const hostPaths = (at(agent, 'spec.template.spec.volumes') as readonly unknown[])
    .map((volume) => at(volume, 'hostPath.path') as string | undefined)
    .filter((path) => path !== undefined);
  const reasoned = [...security.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1]);
  expect(reasoned).toEqual(expect.arrayContaining([...capabilities, ...hostPaths, 'hostPID', 'runAsUser: 0']));
});

test('a variant has its nodes for itself, and only the capabilities that they can give', async () => {
  const configured = await render({ 'agent.variants': [weak] });
  const base = find(configured, 'DaemonSet', 'connectionbudget-agent');
  const variant = find(configured, 'DaemonSet', 'connectionbudget-agent-weak');
  const required = 'spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution';
  expect(at(base, `${required}.nodeSelectorTerms`)).toEqual([
    { matchExpressions: [{ key: 'example.com/limits', operator: 'NotIn', values: ['fixed'] }] },
  ]);
  expect(at(variant, 'spec.template.spec.nodeSelector')).toEqual({
    'example.com/limits': 'fixed',
    'kubernetes.io/os': 'linux',
  });
  expect(at(variant, `${container}.securityContext.capabilities.add`)).toEqual(weak.capabilities);
  expect(at(variant, 'spec.selector.matchLabels')).not.toEqual(at(base, 'spec.selector.matchLabels'));
});

test('without the agent there is nothing of it', async () => {
  const configured = await render({ 'agent.enabled': false });
  expect(configured.map(keyOf).filter((key) => key.includes('agent'))).toEqual([]);
});

test('a digest wins over the tag', async () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const configured = await render({ 'image.repository': 'example.com/cb', 'image.tag': 'x', 'image.digest': digest });
  const controller = find(configured, 'Deployment', 'connectionbudget-controller');
  expect(at(controller, `${container}.image`)).toBe(`example.com/cb@${digest}`);
});

test('labels and annotations of the user reach the pods and nothing that selects them', async () => {
  const configured = await render({ 'agent.podLabels': { team: 'net' }, 'controller.podLabels': { team: 'net' } });
  const both = [
    find(configured, 'DaemonSet', 'connectionbudget-agent'),
    find(configured, 'Deployment', 'connectionbudget-controller'),
  ];
  expect(both.map((manifest) => at(manifest, 'spec.template.metadata.labels.team'))).toEqual(['net', 'net']);
  expect(both.map((manifest) => at(manifest, 'spec.selector.matchLabels.team'))).toEqual([undefined, undefined]);
});

test('one replica has no disruption budget, which could only block its node', async () => {
  const configured = await render({ 'controller.replicas': 1 });
  expect(configured.map(({ kind }) => kind)).not.toContain('PodDisruptionBudget');
});

test('the CustomResourceDefinitions are kept unless asked otherwise', async () => {
  const annotation = { annotations: { 'helm.sh/resource-policy': 'keep' } };
  const name = 'connectionbudgets.connectionbudget.io';
  const dropped = await render({ 'crds.keep': false });
  const none = await render({ 'crds.install': false });
  expect(find(defaults, 'CustomResourceDefinition', name).metadata).toMatchObject(annotation);
  expect(find(dropped, 'CustomResourceDefinition', name).metadata).not.toMatchObject(annotation);
  expect(none.map(({ kind }) => kind)).not.toContain('CustomResourceDefinition');
});

async function templateTexts(): Promise<string> {
  const entries = await readdir(`${chartFolder}/templates`, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return (await Promise.all(files.map(({ parentPath, name }) => readFile(`${parentPath}/${name}`, 'utf8')))).join('\n');
}
