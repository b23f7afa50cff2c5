import { readdirSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type Cluster, kubectl } from './lab/cluster.ts';
import { run } from './lab/command.ts';
import { nodeFolder } from './lab/node-mounts.ts';
import { agentConnected, conditions, eventually } from './operator-questions.ts';
import { json, progress, startProbe, useClusterWithOperator } from './operator-setting.ts';
import { reportOf } from './show.ts';

/** Provider PodNetwork on a real node: containerd, the bridge plugin, host-local, and the operator as it is installed. */

const { signal } = progress;
const cluster = useClusterWithOperator({ by: 'Chart' });

/** 100,000 to one destination: four addresses at half of 64,512 ports each, so three further ones. */
const applyBudget = async (app: string): Promise<void> => {
  const spec = {
    selector: { matchLabels: { app } },
    containers: [{ name: 'program', processes: 8 }],
    headroomPercent: 0,
    outbound: [
      { name: 'out', connections: 100_000, destination: { addresses: { ips: ['198.51.100.7'], ports: [7000] } } },
    ],
    sourceAddresses: { provider: 'PodNetwork', maximum: 8, spread: 'Application' },
  };
  const metadata = { name: app, namespace: 'planned' };
  const input = JSON.stringify({
    apiVersion: 'connectionbudget.io/v1alpha1',
    kind: 'ConnectionBudget',
    metadata,
    spec,
  });
  await kubectl(cluster(), ['apply', '-f', '-'], { signal, input });
  await eventually(
    'the operator knows the budget',
    async () => 'Feasible' in (await conditions(cluster(), 'planned', app)),
  );
};

const probe = (app: string, args = ['listen', '7000', '1']): Promise<void> =>
  startProbe(cluster(), { namespace: 'planned', app, args, pod: { terminationGracePeriodSeconds: 0 } });

const deletePod = (app: string): Promise<string> =>
  kubectl(cluster(), ['delete', 'pod', app, '-n', 'planned', '--now', '--wait'], { signal });

const store = (made: Cluster): string => nodeFolder(made.dir, '/var/lib/cni/networks/pods');

/** What host-local has handed out: "10.244.0.7 cb0". */
const stored = (): readonly string[] =>
  readdirSync(store(cluster()))
    .filter((name) => isIP(name) !== 0)
    .map((name) => `${name} ${readFileSync(join(store(cluster()), name), 'utf8').split('\r\n')[1] ?? ''}`)
    .toSorted();

const ours = (): readonly string[] => stored().filter((line) => / cb\d+$/.test(line));

const nodeObject = z.object({
  status: z.object({
    pods: z.array(
      z.object({ name: z.string(), reason: z.string(), message: z.string(), sourceAddresses: z.array(z.string()) }),
    ),
  }),
});

const reported = async (app: string) =>
  nodeObject.parse(await json(cluster(), ['connectionnode', 'node-1'])).status.pods.find(({ name }) => name === app);

const podIp = (app: string): Promise<string> =>
  kubectl(cluster(), ['get', 'pod', app, '-n', 'planned', '-o', 'jsonpath={.status.podIP}'], { signal });

/** The first process of the pod's container, on this machine. */
const processOf = async (app: string): Promise<string> => {
  const path = 'jsonpath={.status.containerStatuses[0].containerID}';
  const id = (await kubectl(cluster(), ['get', 'pod', app, '-n', 'planned', '-o', path], { signal })).replace(
    'containerd://',
    '',
  );
  const tasks = await run(cluster().paths('ctr'), ['-a', cluster().containerdAddress, '-n', 'k8s.io', 'tasks', 'ls'], {
    signal,
  });
  return new RegExp(`^${id}\\s+(\\d+)`, 'm').exec(tasks)?.[1] ?? '';
};

const inPod = async (app: string, ...command: readonly string[]): Promise<string> =>
  run('nsenter', [`--net=/proc/${await processOf(app)}/ns/net`, ...command], { signal });

test('a pod has four addresses before its program starts, and the program is told', async () => {
  await applyBudget('gateway');
  const before = stored();
  await probe('gateway');

  const all = [await podIp('gateway'), ...ours().map((line) => line.split(' ')[0] ?? '')];
  expect(all).toHaveLength(4);
  expect(stored().filter((line) => !before.includes(line))).toHaveLength(4);
  const pid = await processOf('gateway');
  const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  const [, told = ''] =
    environment.find((line) => line.startsWith('CONNECTIONBUDGET_SOURCE_ADDRESSES='))?.split('=') ?? [];
  expect(told.split(',')[0]).toBe(all[0]);
  expect(told.split(',').toSorted()).toEqual(all.toSorted());
  expect(readFileSync(`/proc/${pid}/root/run/connectionbudget/source-addresses`, 'utf8')).toBe(
    told.replaceAll(',', '\n') + '\n',
  );
  const report = await eventually('its node says so', async () => {
    const seen = await reported('gateway');
    return seen?.reason === 'Applied' ? seen : undefined;
  });
  expect(report.sourceAddresses).toEqual(told.split(','));
  await eventually(
    'the budget is verified',
    async () => (await conditions(cluster(), 'planned', 'gateway'))['Verified'] === 'True AllPodsVerified',
  );
}, 120_000);

test('another pod reaches all four, and what the pod opens without bind comes from its own', async () => {
  const all = (await reported('gateway'))?.sourceAddresses ?? [];
  await probe('peer', ['connect', all.join(','), '7000', '8', '1']);
  await eventually(
    'the peer holds two to each',
    async () => (await reportOf(cluster(), { namespace: 'planned', app: 'peer' }, signal)).held === 8,
  );
  const locals = (await inPod('gateway', 'ss', '-Htn', 'state', 'established', 'sport = :7000')).matchAll(
    /(10\.[\d.]+):7000/g,
  );
  expect([...locals].map(([, ip = '']) => ip).toSorted()).toEqual([...all, ...all].toSorted());

  await applyBudget('opener');
  await probe('listener');
  await probe('opener', ['connect', await podIp('listener'), '7000', '20', '1']);
  await eventually(
    'the opener holds 20',
    async () => (await reportOf(cluster(), { namespace: 'planned', app: 'opener' }, signal)).held === 20,
  );
  const peers = (await inPod('listener', 'ss', '-Htn', 'state', 'established', 'sport = :7000')).matchAll(
    /(10\.[\d.]+):\d+\s*$/gm,
  );
  expect(new Set([...peers].map(([, ip = '']) => ip))).toEqual(new Set([await podIp('opener')]));
}, 120_000);

test('deleted pods leave nothing in the store', async () => {
  expect(ours()).toHaveLength(6);
  await Promise.all(['gateway', 'opener', 'peer', 'listener'].map(deletePod));
  expect(ours()).toEqual([]);
}, 120_000);

const system = ['-n', 'connectionbudget-system'];

/** No agent at all, by a node that does not exist; undefined: as before. */
const placeAgents = async (label: string | null): Promise<void> => {
  const spec = { template: { spec: { nodeSelector: { 'nowhere.test/at-all': label } } } };
  await kubectl(
    cluster(),
    ['patch', 'daemonset', 'connectionbudget-agent', ...system, '-p', JSON.stringify({ spec })],
    { signal },
  );
  if (label === null) return void (await agentConnected(cluster()));
  const pods = ['get', 'pods', ...system, '-l', 'app.kubernetes.io/component=agent', '-o', 'name'];
  await eventually('no agent is left', async () => (await kubectl(cluster(), pods, { signal })) === '');
};

test('the addresses of pods that end while no agent is there are given back when one is', async () => {
  const before = stored();
  await probe('gateway');
  await probe('opener', ['listen', '7000', '1']);
  const survivors = (await reported('gateway'))?.sourceAddresses ?? [];
  expect(ours()).toHaveLength(6);
  await placeAgents('true');
  await deletePod('opener');
  expect(ours()).toHaveLength(6);

  await placeAgents(null);

  // The agent looks once a minute for leases that are lost and older than 30 s.
  await eventually('three are given back', () => Promise.resolve(ours().length === 3), 120_000);
  expect(ours().map((line) => line.split(' ')[0])).toEqual(survivors.slice(1).toSorted());
  await eventually('the survivor is known', async () => (await reported('gateway'))?.sourceAddresses.length === 4);
  await deletePod('gateway');
  // The agent's own pod has another address by now.
  expect(ours()).toEqual([]);
  expect(stored()).toHaveLength(before.length);
}, 240_000);

/** Takes addresses in another's name by the real plugin, until so many are left. */
const fill = async (left: number): Promise<void> => {
  const range = cluster().network.podCidr.replace(/\/\d+$/, '/24');
  const ipam = { type: 'host-local', dataDir: join(store(cluster()), '..'), ranges: [[{ subnet: range }]] };
  const input = JSON.stringify({ cniVersion: '1.0.0', name: 'pods', ipam });
  const environment = { CNI_COMMAND: 'ADD', CNI_NETNS: '/var/run/none', CNI_IFNAME: 'eth0', CNI_PATH: '/' };
  const free = 253 - stored().length; // 254 hosts, one of which is the gateway
  for (let taken = 0; taken < free - left; taken += 1) {
    await run(cluster().paths('host-local'), [], {
      signal,
      input,
      environment: { ...environment, CNI_CONTAINERID: `filler-${taken}` },
    });
  }
};

const unfill = async (): Promise<void> => {
  const ipam = { type: 'host-local', dataDir: join(store(cluster()), '..'), ranges: [[{ subnet: '10.0.0.0/8' }]] };
  const input = JSON.stringify({ cniVersion: '1.0.0', name: 'pods', ipam });
  const fillers = readdirSync(store(cluster())).flatMap(
    (name) => /^filler-\d+/.exec(readFileSync(join(store(cluster()), name), 'utf8')) ?? [],
  );
  for (const id of fillers) {
    const environment = { CNI_COMMAND: 'DEL', CNI_NETNS: '', CNI_IFNAME: 'eth0', CNI_PATH: '/', CNI_CONTAINERID: id };
    await run(cluster().paths('host-local'), [], { signal, input, environment });
  }
};

test('a pod does not start half-dressed on a node that has too few left, and starts when it has', async () => {
  await fill(2);
  const started = probe('gateway');
  const verified = async (): Promise<boolean> =>
    (await conditions(cluster(), 'planned', 'gateway'))['Verified'] === 'False AddressesMissing';
  await eventually('the budget says so', verified);
  const message = '2 of 3 further addresses are missing';
  expect((await reported('gateway'))?.message).toContain(message);
  const events = [
    'get',
    'events',
    '-n',
    'planned',
    '--field-selector',
    'involvedObject.name=gateway,reason=FailedCreatePodSandBox',
    '-o',
    'jsonpath={.items[*].message}',
  ];
  expect(await kubectl(cluster(), events, { signal })).toContain(message);
  expect(ours()).toEqual([]);

  await unfill();

  await started;
  expect(ours()).toHaveLength(3);
  await eventually(
    'the budget is verified',
    async () => (await conditions(cluster(), 'planned', 'gateway'))['Verified'] === 'True AllPodsVerified',
  );
}, 240_000);
