import { z } from 'zod';
import { type Cluster, kubectl } from './lab/cluster.ts';
import { waitFor } from './lab/wait.ts';
import { json, progress } from './operator-setting.ts';
import { reportOf, settledReport } from './show.ts';

/** What the tests ask a cluster with the operator in it. */

const { signal } = progress;

export const eventually = <T>(
  what: string,
  check: () => Promise<T | undefined | false>,
  timeoutMs = 60_000,
): Promise<T> => waitFor(what, check, { signal, timeoutMs, intervalMs: 250 });

/** The program's last report, once it holds all that it wants or has stopped growing. */
export const held = (cluster: Cluster, namespace: string, app: string) =>
  settledReport(cluster, { namespace, app }, { signal, onHeld: () => undefined });

export const softNofileOf = async (cluster: Cluster, app: string): Promise<number | undefined> =>
  (await reportOf(cluster, { namespace: 'planned', app }, signal)).workers[0]?.softNofile;

const connectionNode = z.object({
  status: z.object({
    facts: z.record(z.string(), z.unknown()),
    agent: z.object({
      version: z.string(),
      connected: z.boolean(),
      canRaiseNofile: z.boolean(),
      message: z.string().optional(),
    }),
    pods: z.array(z.object({ name: z.string(), reason: z.string(), verified: z.boolean(), message: z.string() })),
  }),
});

export const nodeStatus = async (cluster: Cluster, name = 'node-1') =>
  connectionNode.parse(await json(cluster, ['connectionnode', name])).status;

export const podReport = async (cluster: Cluster, pod: string, node?: string) =>
  (await nodeStatus(cluster, node)).pods.find(({ name }) => name === pod);

const budget = z.object({
  status: z
    .object({
      conditions: z.array(
        z.object({ type: z.string(), status: z.string(), reason: z.string(), message: z.string().default('') }),
      ),
    })
    .default({ conditions: [] }),
});

const conditionsOf = async (cluster: Cluster, namespace: string, name: string) =>
  budget.parse(await json(cluster, ['connectionbudget', name, '-n', namespace])).status.conditions;

type ByType = Readonly<Record<string, string>>;

/** By type: "True AllPodsCurrent". */
export const conditions = async (cluster: Cluster, namespace: string, name: string): Promise<ByType> => {
  const all = await conditionsOf(cluster, namespace, name);
  return Object.fromEntries(all.map(({ type, status, reason }) => [type, `${status} ${reason}`]));
};

export const conditionMessages = async (cluster: Cluster, namespace: string, name: string): Promise<ByType> => {
  const all = await conditionsOf(cluster, namespace, name);
  return Object.fromEntries(all.map(({ type, message }) => [type, message]));
};

/** Waits for "Verified True AllPodsVerified" and the like of a budget in `planned`; the error tells what it was last. */
export const condition = (cluster: Cluster, app: string, wanted: string): Promise<true> =>
  eventually(`${app} is ${wanted}`, async () => {
    const all = await conditionsOf(cluster, 'planned', app);
    if (all.some(({ type, status, reason }) => `${type} ${status} ${reason}` === wanted)) return true;
    throw new Error(
      all.map(({ type, status, reason, message }) => `${type} ${status} ${reason}: ${message}`).join('\n'),
    );
  });

const system = ['-n', 'connectionbudget-system'];

export const agentConnected = (cluster: Cluster): Promise<true> =>
  eventually('the agent is connected', async () => {
    const ready = '-o=jsonpath={.items[*].status.containerStatuses[0].ready}';
    const pods = ['get', 'pods', ...system, '-l', 'app.kubernetes.io/component=agent', ready];
    return (await kubectl(cluster, pods, { signal })) === 'true' && (await nodeStatus(cluster)).agent.connected;
  });

/** Scales controller and webhook; 0 resolves when their pods are gone. */
export const scaleController = async (cluster: Cluster, replicas: number): Promise<void> => {
  const selected = [...system, '-l', 'app.kubernetes.io/component=controller'];
  await kubectl(cluster, ['scale', 'deployment', ...selected, `--replicas=${replicas}`], { signal });
  await eventually('the pods are as many', async () => {
    const names = await kubectl(cluster, ['get', 'pods', ...selected, '-o', 'name'], { signal });
    return names.split('\n').filter((name) => name !== '').length === replicas;
  });
};
