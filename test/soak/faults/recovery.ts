import { connect } from 'node:net';
import { once } from 'node:events';
import { pods } from '../../../src/kube/resources.ts';
import { succeeds } from '../../cluster/lab/command.ts';
import { findDaemon, restartDaemon } from '../../cluster/lab/process.ts';
import { waitFor } from '../../cluster/lab/wait.ts';
import { type Soak, systemNamespace } from '../soak-setting.ts';

/** After a fault: whether a part is back, and how long is waited for it. */

const daemons = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'containerd'];
const kubeletPort = 10_250;
const clusterTimeoutMs = 90_000;
/** A container that died again and again waits for up to five minutes; then its pod is made anew, as people do. */
const ownTimeoutMs = 60_000;

/** The cluster's own parts serve again: pods can start. Throws when they do not. */
export const clusterIsBack = (soak: Soak): Promise<unknown> =>
  waitFor('the parts of the cluster serve', () => servesAll(soak), {
    signal: soak.signal,
    timeoutMs: clusterTimeoutMs,
    intervalMs: 200,
  });

/**
 * What ended by itself is started again, as whoever runs such parts does: etcd 3.7.3 was seen to end with "mux: server closed"
 * when its only client ended, and kube-apiserver ends where etcd does not answer it for long.
 */
const superviseAll = async ({ cluster, journal }: Soak): Promise<void> => {
  for (const name of daemons.filter((each) => findDaemon(cluster.dir, each) === undefined)) {
    await restartDaemon(cluster.dir, name);
    journal.say(`${name} had ended by itself and is started again`);
    journal.count(`ended by itself: ${name}`);
  }
};

const servesAll = async (soak: Soak): Promise<boolean> => {
  const { cluster, client, signal } = soak;
  await superviseAll(soak);
  await client.list(pods, { limit: 1 }, { signal, timeoutMs: 2000 });
  const [listens, answers] = await Promise.all([
    accepts(cluster.network.nodeAddress, kubeletPort, signal),
    succeeds(cluster.paths('ctr'), ['-a', cluster.containerdAddress, 'version'], { signal }),
  ]);
  return listens && answers;
};

const accepts = async (host: string, port: number, signal: AbortSignal): Promise<boolean> => {
  const socket = connect({ host, port });
  try {
    await once(socket, 'connect', { signal: AbortSignal.any([signal, AbortSignal.timeout(1000)]) });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
};

/** Every pod of ours is Ready again. Throws when it is not. */
export const operatorIsBack = (soak: Soak): Promise<unknown> =>
  waitFor('the pods of the operator are ready', () => allReady(soak), {
    signal: soak.signal,
    timeoutMs: ownTimeoutMs,
    intervalMs: 500,
  });

/** Two of the controller and one agent. */
const ownPods = 3;

const allReady = async (soak: Soak): Promise<boolean> => {
  const { items } = await soak.client.list(pods, { namespace: systemNamespace }, { signal: soak.signal });
  const living = items.filter(({ metadata }) => metadata?.deletionTimestamp === undefined);
  const waiting = living.filter(({ status }) =>
    status?.containerStatuses?.some(({ state }) => state?.waiting?.reason === 'CrashLoopBackOff'),
  );
  for (const { metadata } of waiting) {
    const target = { resource: pods, namespace: systemNamespace, name: metadata?.name ?? '' };
    await soak.client.delete(target, { signal: soak.signal });
    soak.journal.count('pods of ours made anew for their back-off');
  }
  const ready = living.filter(({ status }) =>
    status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True'),
  );
  return ready.length === ownPods && living.length === ownPods;
};
