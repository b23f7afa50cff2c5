import { expect, test } from 'vitest';
import { kubectl } from './lab/cluster.ts';
import { run } from './lab/command.ts';
import { conditions, eventually, podReport } from './operator-questions.ts';
import { progress, startProbe, useClusterWithOperator } from './operator-setting.ts';
import { runningContainer } from './running-container.ts';
import { reportOf } from './show.ts';

/**
 * A program that only connects, on a real node: its pod has four addresses and every port of them by nothing but its budget.
 * The pods of this machine's node have no cgroups of version 2, so the program is attached to the root.
 */

const { signal } = progress;
const cluster = useClusterWithOperator({ by: 'Chart', spread: 'root' });
const held = 200_000;
/** This machine lets a process have 20,000 descriptors. */
const processes = 12;

const applyBudget = async (app: string, spec: object): Promise<void> => {
  const common = {
    selector: { matchLabels: { app } },
    containers: [{ name: 'program', processes }],
    headroomPercent: 0,
  };
  const metadata = { name: app, namespace: 'planned' };
  const object = {
    apiVersion: 'connectionbudget.io/v1alpha1',
    kind: 'ConnectionBudget',
    metadata,
    spec: { ...common, ...spec },
  };
  await kubectl(cluster(), ['apply', '-f', '-'], { signal, input: JSON.stringify(object) });
  await eventually(
    'the operator knows the budget',
    async () => 'Feasible' in (await conditions(cluster(), 'planned', app)),
  );
};

/** To one destination: four addresses with 95 % of 64,512 ports each. */
const clients = {
  outbound: [
    {
      name: 'out',
      connections: held,
      portSelection: 'Spread',
      destination: { addresses: { ips: ['198.51.100.7'], ports: [7000] } },
    },
  ],
  sourceAddresses: { provider: 'PodNetwork', maximum: 8 },
};
const server = { inbound: [{ name: 'in', port: 7000, connections: held + 50, listen: { backlog: 16_384 } }] };

const podIp = (app: string): Promise<string> =>
  kubectl(cluster(), ['get', 'pod', app, '-n', 'planned', '-o', 'jsonpath={.status.podIP}'], { signal });

/** Of the server's connections, how many come from each address. */
const sourcesAt = async (netns: string): Promise<Readonly<Record<string, number>>> => {
  const listed = await run('nsenter', [`--net=${netns}`, 'ss', '-Htn', 'state', 'established', 'sport = :7000'], {
    signal,
  });
  const peers = [...listed.matchAll(/(10\.[\d.]+):\d+\s*$/gm)].map(([, ip = '']) => ip);
  return Object.fromEntries([...Map.groupBy(peers, (ip) => ip)].map(([ip, all]) => [ip, all.length]));
};

const netnsOf = async (app: string): Promise<string> => {
  const labels = { 'pod.namespace': 'planned', 'pod.name': app, 'container.name': 'program' };
  return `/proc/${(await runningContainer(cluster(), labels, signal)).pid}/ns/net`;
};

test('four addresses share the connections of a program that binds to none', async () => {
  await applyBudget('server', server);
  await applyBudget('clients', clients);
  const listen = ['listen', '7000', String(processes), '16384'];
  await startProbe(cluster(), { namespace: 'planned', app: 'server', args: listen });
  const args = ['connect', await podIp('server'), '7000', String(held), String(processes)];
  await startProbe(cluster(), { namespace: 'planned', app: 'clients', args });
  await eventually(
    'all are held',
    async () => (await reportOf(cluster(), { namespace: 'planned', app: 'clients' }, signal)).held === held,
  );
  const report = await eventually('its agent has looked', async () => {
    const seen = await podReport(cluster(), 'clients');
    return seen?.reason === 'Pending' ? undefined : seen;
  });
  expect(report).toMatchObject({ reason: 'Applied' });
  const sources = await sourcesAt(await netnsOf('server'));
  expect(Object.keys(sources), JSON.stringify(sources)).toHaveLength(4);
  expect(sources).toMatchObject({ [await podIp('clients')]: held / 4 });
  expect(Object.values(sources)).toEqual(Array.from({ length: 4 }, () => held / 4));
}, 240_000);

test('another pod of the node has its own address alone', async () => {
  const args = ['connect', await podIp('server'), '7000', '50', '1'];
  await startProbe(cluster(), { namespace: 'planned', app: 'plain', args });
  await eventually(
    'all are held',
    async () => (await reportOf(cluster(), { namespace: 'planned', app: 'plain' }, signal)).held === 50,
  );
  expect(await sourcesAt(await netnsOf('server'))).toMatchObject({ [await podIp('plain')]: 50 });
}, 120_000);
