import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiServer, startApiServer } from '../cluster/lab/api-server.ts';
import { ensureComponents } from '../cluster/lab/build.ts';
import { run, succeeds } from '../cluster/lab/command.ts';
import { at, checkout, find, type Manifest, parseManifests, quiet, render, setUpTimeoutMs } from './chart-setting.ts';

const namespace = 'connectionbudget-system';
const account = (part: string): string => `system:serviceaccount:${namespace}:connectionbudget-${part}`;

let server: ApiServer;
let kubectlFile: string;
let install: readonly Manifest[];
let applied: string;

/** Everything that a test makes is in this one API server, which ends with the file. */
beforeAll(async () => {
  kubectlFile = (await ensureComponents(['kubectl'], quiet))('kubectl');
  server = await startApiServer({ dir: await mkdtemp(join(tmpdir(), 'install-')) });
  install = parseManifests(await readFile(join(checkout, 'deploy/install.yaml'), 'utf8'));
  applied = await apply(join(checkout, 'deploy/install.yaml'));
}, setUpTimeoutMs);

afterAll(async () => {
  await server.stop();
  await rm(server.dir, { recursive: true });
}, 60_000);

test('every object of install.yaml is accepted, field by field', () => {
  expect(applied.trim().split('\n')).toHaveLength(install.length);
});

test('applying it again changes nothing', async () => {
  const before = await versions();
  await apply(join(checkout, 'deploy/install.yaml'));
  expect(await versions()).toEqual(before);
});

test('the CRDs in crds/ are those of install.yaml but for the annotation that keeps them', async () => {
  const names = ['connectionbudgets', 'connectionnodes'];
  const alone = await Promise.all(names.map((name) => readFile(join(checkout, `crds/${name}.yaml`), 'utf8')));
  const installed = names.map((name) => find(install, 'CustomResourceDefinition', `${name}.connectionbudget.io`));
  expect(installed.map((crd) => at(crd, 'spec'))).toEqual(alone.map((text) => at(parseManifests(text)[0], 'spec')));
  await expect(apply(join(checkout, 'crds'))).resolves.toContain('serverside-applied');
});

test('both ways of install render the same objects', async () => {
  const [first, ...rest] = install;
  expect(first).toMatchObject({ kind: 'Namespace', metadata: { name: namespace } });
  expect(rest).toEqual(await render());
});

test.each(['connectionbudgets', 'connectionnodes'])('every field of %s has a description', async (name) => {
  const text = await kubectl(['get', 'crd', `${name}.connectionbudget.io`, '-o', 'json']);
  const schema = at(JSON.parse(text), 'spec.versions.0.schema.openAPIV3Schema');
  expect(fieldsWithoutDescription(schema, '')).toEqual(['.metadata']);
});

test('kubectl explain knows a field', async () => {
  await expect.poll(() => explains('connectionbudgets.spec.headroomPercent'), { timeout: 20_000 }).toBe(true);
});

test.each([
  ['agent', 'get', 'connectionnodes.connectionbudget.io', 'yes'],
  ['agent', 'patch', 'connectionnodes.connectionbudget.io', 'no'],
  ['agent', 'create', 'connectionnodes.connectionbudget.io', 'yes'],
  ['agent', 'patch', 'connectionnodes.connectionbudget.io --subresource=status', 'yes'],
  ['agent', 'get', 'connectionnodes.connectionbudget.io --subresource=status', 'no'],
  ['agent', 'list', 'connectionnodes.connectionbudget.io', 'no'],
  ['agent', 'delete', 'connectionnodes.connectionbudget.io', 'no'],
  ['agent', 'get', 'pods', 'no'],
  ['agent', 'get', 'secrets', 'no'],
  ['agent', 'get', 'configmaps', 'no'],
  ['agent', 'get', 'connectionbudgets.connectionbudget.io', 'no'],
  ['controller', 'watch', 'connectionbudgets.connectionbudget.io', 'yes'],
  ['controller', 'patch', 'connectionbudgets.connectionbudget.io --subresource=status', 'yes'],
  ['controller', 'patch', 'connectionbudgets.connectionbudget.io', 'no'],
  ['controller', 'watch', 'pods', 'yes'],
  ['controller', 'get', 'pods', 'no'],
  ['controller', 'get', 'connectionbudgets.connectionbudget.io', 'no'],
  ['controller', 'patch', 'pods', 'no'],
  ['controller', 'create', 'pods --subresource=eviction', 'no'],
  ['controller', 'watch', 'endpointslices.discovery.k8s.io', 'yes'],
  ['controller', 'create', 'events.events.k8s.io', 'yes'],
  ['controller', 'create', 'events', 'no'],
  ['controller', 'update', 'leases.coordination.k8s.io/connectionbudget-controller', 'yes'],
  ['controller', 'update', 'leases.coordination.k8s.io/other', 'no'],
  ['controller', 'get', 'secrets/connectionbudget-signing-keys', 'yes'],
  ['controller', 'get', 'secrets/sh.helm.release.v1.connectionbudget.v1', 'no'],
  ['controller', 'list', 'secrets', 'no'],
  ['controller', 'patch', 'mutatingwebhookconfigurations.admissionregistration.k8s.io/connectionbudget', 'yes'],
  ['controller', 'patch', 'mutatingwebhookconfigurations.admissionregistration.k8s.io/other', 'no'],
])('may the %s %s %s? %s', async (...[part, verb, resource, expected]) => {
  expect(await may(account(part), verb, resource)).toBe(expected);
});

test('an agent writes the ConnectionNode of its own node only', async () => {
  await expect
    .poll(() => outcomeOf(createNode('early', 'other')), { timeout: 20_000 })
    .toContain('of its own node only');
  expect(await outcomeOf(createNode('node-1', 'node-1'))).toContain('created');
  expect(await outcomeOf(createNode('node-2', 'node-1'))).toContain('which is node-1');
  expect(await outcomeOf(createNode('node-3'))).toContain('of its own node only');
});

test('a controller pod is admitted where Pod Security enforces restricted, an agent is not even where it is baseline', async () => {
  await namespaceEnforcing('restricted');
  await namespaceEnforcing('baseline');
  const controller = podOf(find(install, 'Deployment', 'connectionbudget-controller'));
  const agent = podOf(find(install, 'DaemonSet', 'connectionbudget-agent'));
  await expect(create(controller, 'enforces-restricted')).resolves.toContain('created');
  await expect(create(agent, 'enforces-baseline')).rejects.toThrow('violates PodSecurity');
  await expect(create(agent, namespace)).resolves.toContain('created');
});

test('a budget is refused while the webhook is away, a pod in a labelled namespace is not', async () => {
  await kubectl(['create', 'namespace', 'chat']);
  await kubectl(['label', 'namespace', 'chat', 'connectionbudget.io/enabled=true']);
  const pod = { containers: [{ name: 'program', image: 'none' }] };
  await expect(create(pod, 'chat')).resolves.toContain('created');
  const budget = join(checkout, 'examples/websocket-chat.yaml');
  await expect(kubectl(['apply', '-f', budget])).rejects.toThrow('budgets.connectionbudget.io');
});

const budgetText = async (): Promise<string> => readFile(join(checkout, 'examples/websocket-chat.yaml'), 'utf8');
const finalized = { metadata: { finalizers: ['example.com/wait'], labels: { team: 'chat' } } };

test('while the webhook is away a stored budget takes labels and loses finalizers, but its spec stays', async () => {
  const budget = parseManifests(await budgetText()).find(({ kind }) => kind === 'ConnectionBudget');
  const { name, namespace: place = 'default' } = budget!.metadata;
  const target = ['connectionbudget', name, '-n', place];
  await kubectl(['create', 'namespace', place]).catch(() => undefined);
  await kubectl(['delete', 'validatingwebhookconfiguration', 'connectionbudget']);
  const stored = () => kubectl(['apply', '-f', '-'], JSON.stringify(budget));
  await expect.poll(() => outcomeOf(stored()), { timeout: 20_000 }).toContain(name);
  await apply(join(checkout, 'deploy/install.yaml'));
  const headroom = ['patch', ...target, '--type=merge', '-p', '{"spec":{"headroomPercent":11}}', '--dry-run=server'];
  await expect.poll(() => outcomeOf(kubectl(headroom)), { timeout: 20_000 }).toContain('budgets.connectionbudget.io');

  await kubectl(['patch', ...target, '--type=merge', '-p', JSON.stringify(finalized)]);
  await kubectl(['delete', ...target, '--wait=false']);
  await kubectl(['patch', ...target, '--type=merge', '-p', '{"metadata":{"finalizers":null}}']);

  await expect(kubectl(['get', ...target])).rejects.toThrow('not found');
});

test('whatever of an installation is taken away first, pods start', async () => {
  const pod = { containers: [{ name: 'program', image: 'none' }] };
  const startsPod = async (name: string): Promise<number> => {
    const startMs = performance.now();
    await kubectl(['create', 'namespace', name]);
    await kubectl(['label', 'namespace', name, 'connectionbudget.io/enabled=true']);
    await create(pod, name);
    return performance.now() - startMs;
  };

  await kubectl(['delete', 'crd', 'connectionbudgets.connectionbudget.io', 'connectionnodes.connectionbudget.io']);
  // Three calls of kubectl, of which one waits for the webhook's timeout of 2 s.
  expect(await startsPod('without-crds')).toBeLessThan(10_000);
  await kubectl(['delete', '-f', join(checkout, 'deploy/install.yaml'), '--ignore-not-found', '--wait=false']);
  expect(await startsPod('without-all')).toBeLessThan(10_000);
  const left = await kubectl(['get', 'mutatingwebhookconfigurations,validatingwebhookconfigurations', '-o', 'name']);
  expect(left).toBe('');
});

function kubectl(args: readonly string[], input = ''): Promise<string> {
  return run(kubectlFile, ['--kubeconfig', server.kubeconfig, ...args], { ...quiet, input });
}

function apply(path: string): Promise<string> {
  return kubectl(['apply', '--server-side', '--validate=strict', '-f', path]);
}

async function versions(): Promise<readonly string[]> {
  const format = '-o=jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.generation}{"\\n"}{end}';
  const kinds = 'deployments,daemonsets,networkpolicies,poddisruptionbudgets,mutatingwebhookconfigurations,crds';
  return (await kubectl(['get', kinds, '-n', namespace, format])).split('\n');
}

function explains(field: string): Promise<boolean> {
  return succeeds(kubectlFile, ['--kubeconfig', server.kubeconfig, 'explain', field], quiet);
}

async function may(user: string, verb: string, resource: string): Promise<string> {
  const args = ['auth', 'can-i', verb, ...resource.split(' '), '-n', namespace, '--as', user];
  return kubectl(args).then(
    (answer) => answer.trim(),
    () => 'no',
  );
}

/** As an agent whose token was made for a pod on `tokenNode`. */
function createNode(name: string, tokenNode?: string): Promise<string> {
  const extra =
    tokenNode === undefined ? [] : ['--as-user-extra', `authentication.kubernetes.io/node-name=${tokenNode}`];
  const node = { apiVersion: 'connectionbudget.io/v1alpha1', kind: 'ConnectionNode', metadata: { name } };
  return kubectl(['create', '-f', '-', '--as', account('agent'), ...extra], JSON.stringify(node));
}

/** What kubectl says, whether it succeeds or not. */
function outcomeOf(command: Promise<string>): Promise<string> {
  return command.catch((error: unknown) => String(error));
}

async function namespaceEnforcing(level: string): Promise<void> {
  await kubectl(['create', 'namespace', `enforces-${level}`]);
  await kubectl(['label', 'namespace', `enforces-${level}`, `pod-security.kubernetes.io/enforce=${level}`]);
}

/** Without a service account of its own, for nobody makes accounts here. */
function podOf(workload: Manifest): object {
  const spec = at(workload, 'spec.template.spec') as { readonly serviceAccountName: string };
  const { serviceAccountName: _, ...rest } = spec;
  return rest;
}

function create(spec: object, where: string): Promise<string> {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'pod', namespace: where }, spec };
  return kubectl(['create', '--validate=strict', '-f', '-'], JSON.stringify(pod));
}

type Schema = {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
};

function fieldsWithoutDescription(schema: unknown, path: string): readonly string[] {
  const { properties = {}, items, additionalProperties } = schema as Schema;
  const own = Object.entries(properties).flatMap(([name, field]) => [
    ...[field].filter(({ description = '' }) => description.trim() === '').map(() => `${path}.${name}`),
    ...fieldsWithoutDescription(field, `${path}.${name}`),
  ]);
  const nested = [items, additionalProperties].filter((inner) => typeof inner === 'object');
  return [...own, ...nested.flatMap((inner) => fieldsWithoutDescription(inner, `${path}[]`))];
}
