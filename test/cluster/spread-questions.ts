import { type Cluster, kubectl } from './lab/cluster.ts';
import { run } from './lab/command.ts';
import { conditions, eventually } from './operator-questions.ts';
import { progress } from './operator-setting.ts';
import { runningContainer } from './running-container.ts';

/** What the tests of spread connections apply and ask; all in namespace `planned`. */

const { signal } = progress;

/** `spec` besides the selector, which is `app`'s. Resolves when the operator knows it. */
export const applySpec = async (cluster: Cluster, app: string, spec: object): Promise<void> => {
  const selector = { matchLabels: { app } };
  const metadata = { name: app, namespace: 'planned' };
  const object = {
    apiVersion: 'connectionbudget.io/v1alpha1',
    kind: 'ConnectionBudget',
    metadata,
    spec: { selector, headroomPercent: 0, ...spec },
  };
  await kubectl(cluster, ['apply', '-f', '-'], { signal, input: JSON.stringify(object) });
  await eventually(
    'the operator knows the budget',
    async () => 'Feasible' in (await conditions(cluster, 'planned', app)),
  );
};

/** To one destination, 200,000: four addresses with 95 % of 64,512 ports each. */
export const clientsOfOnePort = (processes: number) => ({
  containers: [{ name: 'program', processes }],
  outbound: [
    {
      name: 'out',
      connections: 200_000,
      portSelection: 'Spread',
      destination: { addresses: { ips: ['198.51.100.7'], ports: [7000] } },
    },
  ],
  sourceAddresses: { provider: 'PodNetwork', maximum: 8 },
});

export const podIp = (cluster: Cluster, app: string): Promise<string> =>
  kubectl(cluster, ['get', 'pod', app, '-n', 'planned', '-o', 'jsonpath={.status.podIP}'], { signal });

/** Of the connections that a pod on this machine has accepted at port 7000, how many come from each address. */
export const sourcesAt = async (cluster: Cluster, app: string): Promise<Readonly<Record<string, number>>> => {
  const labels = { 'pod.namespace': 'planned', 'pod.name': app, 'container.name': 'program' };
  const { pid } = await runningContainer(cluster, labels, signal);
  const established = ['ss', '-Htn', 'state', 'established', 'sport = :7000'];
  const listed = await run('nsenter', [`--net=/proc/${pid}/ns/net`, ...established], { signal });
  const peers = [...listed.matchAll(/(10\.[\d.]+):\d+\s*$/gm)].map(([, ip = '']) => ip);
  return Object.fromEntries([...Map.groupBy(peers, (ip) => ip)].map(([ip, all]) => [ip, all.length]));
};
