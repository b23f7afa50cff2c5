import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { connectionBudget } from './command.ts';

const example = (name: string): string => new URL(`../../examples/${name}.yaml`, import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'plan-'));
afterAll(() => rmSync(folder, { recursive: true }));

const budget = (name: string, spec: string): string =>
  `apiVersion: connectionbudget.io/v1alpha1\nkind: ConnectionBudget\nmetadata: {name: ${name}}\nspec:\n  selector: {matchLabels: {app: x}}\n${spec}\n`;
const bad = (name: string) => budget(name, '  inbound: [{name: in, port: 0, connections: 1}]');
const small = budget('small', '  inbound: [{name: in, port: 80, connections: 1000}]');
const huge = budget('huge', '  inbound: [{name: in, port: 80, connections: 2000000}]');
const toService = (reachedBy: string): string =>
  budget(
    'caller',
    `  outbound: [{name: out, connections: 60000, destination: {service: {name: web, port: 80, reachedBy: ${reachedBy}}}}]`,
  );
const service = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.244.0.1], conditions: {ready: true}}
- {addresses: [10.244.0.2]}
- {addresses: [10.244.0.3], conditions: {ready: false}}
- {addresses: [10.244.0.4], conditions: {ready: true}}
`;

describe('plan -o json', () => {
  it('prints the stable fields of one budget', () => {
    const { status, stdout } = connectionBudget(['plan', '-f', example('mqtt-broker'), '-o', 'json']);
    expect(status).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      kind: 'Plan',
      budget: { namespace: 'messaging', name: 'broker' },
      feasible: false,
      connections: { declared: 500_000, planned: 550_000, reachable: 55_000 },
      bindingLimit: {
        stage: 'LoadBalancer',
        limit: 'TranslatorPorts',
        scope: 'Pod',
        flow: 'mqtt',
        capacity: 55_000,
        needed: 550_000,
        unit: 'ports',
        message: expect.stringContaining('550,000') as string,
        remedy: expect.stringContaining('10 ports') as string,
      },
      pod: {
        containers: [{ name: 'broker', processes: 1, descriptors: { soft: 550_512, hard: 550_512 } }],
        sysctls: [{ name: 'net.ipv4.tcp_keepalive_time', value: '210', setBy: 'Agent' }],
        sourceAddresses: { total: 1, extra: 0 },
        kernelMemoryBytes: 2_208_250_000,
        chargedMemoryBytes: 11_219_450_000,
      },
      node: {
        sysctls: expect.arrayContaining([{ name: 'net.netfilter.nf_conntrack_max', minimum: 556_600 }]) as unknown,
      },
    });
  });

  it('says null for a capacity that nobody knows', () => {
    const { stdout } = connectionBudget(['plan', '-f', '-', '-o', 'json'], small);
    const { limits } = JSON.parse(stdout) as {
      limits: readonly { limit: string; capacity: number | null; status: string }[];
    };
    expect(limits.find(({ limit }) => limit === 'fs.file-max')).toMatchObject({ capacity: null, status: 'Unknown' });
  });

  it('prints an array for several budgets, and 3 when one does not fit', () => {
    const { status, stdout } = connectionBudget(['plan', '-f', '-', '-o', 'json'], `${small}---\n${huge}`);
    expect(status).toBe(3);
    expect((JSON.parse(stdout) as { feasible: boolean }[]).map(({ feasible }) => feasible)).toEqual([true, false]);
  });

  it.each([
    { reachedBy: 'ClusterIP', objects: service, needed: 66_000 },
    { reachedBy: 'Endpoints', objects: service, needed: 22_000 }, // three of four are ready
    { reachedBy: 'Endpoints', objects: '', needed: 66_000 }, // nothing known: one target
    { reachedBy: 'ClusterIP', objects: service.replace('10.96.0.10', 'None'), needed: 22_000 },
  ])('a service reached by $reachedBy needs $needed ports', ({ reachedBy, objects, needed }) => {
    const { stdout } = connectionBudget(['plan', '-f', '-', '-o', 'json'], `${toService(reachedBy)}---\n${objects}`);
    const { limits } = JSON.parse(stdout) as { limits: readonly { unit: string; needed: number }[] };
    expect(limits.find(({ unit }) => unit === 'ports')?.needed).toBe(needed);
  });

  it('a list is its items, and other kinds are passed over', () => {
    const list = JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: [
        { apiVersion: 'v1', kind: 'ConfigMap' },
        JSON.parse(
          '{"apiVersion":"connectionbudget.io/v1alpha1","kind":"ConnectionBudget","metadata":{"name":"a"},"spec":{"selector":{"matchLabels":{"a":"b"}},"inbound":[{"name":"in","port":80,"connections":10}]}}',
        ),
      ],
    });
    expect(connectionBudget(['plan', '-f', '-', '-o', 'json'], list)).toMatchObject({ status: 0, stderr: '' });
  });
});

describe('plan --node', () => {
  it('judges the limits of the node by what `node` printed', () => {
    const node = connectionBudget(['node']);
    expect(node).toMatchObject({ status: 0, stderr: '' });
    const file = join(folder, 'node.json');
    writeFileSync(file, node.stdout);
    const { stdout } = connectionBudget(['plan', '--node', file, '-f', '-', '-o', 'json'], small);
    const { limits } = JSON.parse(stdout) as { limits: readonly { limit: string; status: string }[] };
    expect(limits.find(({ limit }) => limit === 'fs.file-max')?.status).toBe('Sufficient');
  });

  it('a node whose conntrack table is too small binds', () => {
    const file = join(folder, 'small-node.yaml');
    writeFileSync(file, 'kind: NodeFacts\nfacts: {conntrackMax: 500}\n');
    const { status, stdout } = connectionBudget(['plan', '--node', file, '-f', '-', '-o', 'json'], small);
    expect(status).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      bindingLimit: { limit: 'net.netfilter.nf_conntrack_max', capacity: 500, needed: 1100, scope: 'Node' },
    });
  });

  it.each([
    {
      content: 'kind: NodeFacts\nfacts: {conntrackMax: lots}\n',
      message: 'facts.conntrackMax: "lots": must be of type number',
    },
    { content: 'kind: Node\nfacts: {}\n', message: 'kind: "Node": must be one of NodeFacts' },
    { content: '{', message: 'is not YAML' },
  ])('a file that is no node is refused: $message', ({ content, message }) => {
    const file = join(folder, 'bad-node.yaml');
    writeFileSync(file, content);
    const { status, stderr, stdout } = connectionBudget(['plan', '--node', file, '-f', '-'], small);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
  });
});

describe('bad input', () => {
  it.each([
    { input: 'just words', message: '-: holds no ConnectionBudget' },
    { input: '', message: '-: holds no ConnectionBudget' },
    { input: 'a: [1', message: '-: is not YAML' },
    { input: 'kind: ConfigMap\n', message: '-: holds no ConnectionBudget' },
    {
      input: budget('x', '  inbound: [{name: in, port: 70000, connections: 1}]'),
      message: '-: default/x: spec.inbound[0].port: 70000: must be at most 65535',
    },
  ])('a file with $input is refused in one line', ({ input, message }) => {
    const { status, stdout, stderr } = connectionBudget(['plan', '-f', '-', '-o', 'json'], input);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  it.each([
    { metadata: '{name: x, labels: {a: 1}}', message: 'metadata.labels' },
    { metadata: '{name: 5}', message: 'metadata.name: 5' },
    { metadata: '{}', message: 'metadata.name: is required' },
    { metadata: '{name: Foo Bar!}', message: 'metadata.name: "Foo Bar!": must be an RFC 1123 name' },
  ])('a budget with metadata $metadata is refused, not passed over', ({ metadata, message }) => {
    const malformed = small.replace('{name: small}', metadata);
    const { status, stdout, stderr } = connectionBudget(['plan', '-f', '-'], `${malformed}---\n${small}`);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
  });

  it.each(['a: *x', 'a: &a [b]\nc: {<<: *missing}'])(
    'YAML that only fails when it is read whole is refused: %s',
    (input) => {
      const { status, stderr } = connectionBudget(['plan', '-f', '-'], input);
      expect(status).toBe(2);
      expect(stderr).toMatch(/^-: is not YAML: .*[^:]\n$/);
    },
  );

  it('every bad budget of a file is told', () => {
    const { stderr } = connectionBudget(['plan', '-f', '-'], `${bad('one')}---\n${bad('two')}`);
    expect(stderr.trim().split('\n')).toEqual([
      expect.stringContaining('default/one'),
      expect.stringContaining('default/two'),
    ]);
  });

  it('an anchor and a merge key are what they stand for', () => {
    const merged = small.replace(
      '[{name: in, port: 80, connections: 1000}]',
      '[{<<: &flow {name: in, port: 80}, connections: 1000}]',
    );
    expect(connectionBudget(['plan', '-f', '-'], merged).status).toBe(0);
  });

  it('one bad budget among good ones leaves nothing on stdout', () => {
    const empty = budget('bad', '  inbound: []');
    expect(connectionBudget(['plan', '-f', '-', '-o', 'json'], `${small}---\n${empty}`)).toMatchObject({
      status: 2,
      stdout: '',
    });
  });

  it.each([
    { args: ['plan'], message: "required option '-f, --file <file>' not specified" },
    { args: ['plan', '-f', 'no-such-file.yaml'], message: 'no-such-file.yaml: cannot be read' },
    { args: ['plan', '-f', '-', '-o', 'xml'], message: "'xml' is invalid" },
    { args: ['guess'], message: "unknown command 'guess'" },
  ])('$args end with status 2: $message', ({ args, message }) => {
    const { status, stdout, stderr } = connectionBudget(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
  });
});

describe('for people', () => {
  it('plan names what binds, the remedy and what the pod gets', () => {
    const { stdout } = connectionBudget(['plan', '-f', example('web-crawler')]);
    expect(stdout).toContain('NOT feasible');
    expect(stdout).toMatch(/Binds: .*81,400 ports needed; only 62,000/);
    expect(stdout).toMatch(/Remedy: one pod per node/);
    expect(stdout).toContain('RLIMIT_NOFILE 69,262 soft');
  });

  it('explain shows the arithmetic and a bar of every limit', () => {
    const { stdout } = connectionBudget(['explain', '-f', example('web-crawler')]);
    expect(stdout).toContain('2 pods × (275,000 connections × 10 % + 1,100/s × 10 % × 120 s) = 81,400 ports needed');
    expect(stdout).toContain('[#######################>] Binding');
  });

  it('help is help, not an error', () => {
    expect(connectionBudget(['--help'])).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringContaining('plan') as string,
    });
  });
});
