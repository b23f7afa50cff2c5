import { sleep } from '../../../src/kube/deadline.ts';
import { leases, pods } from '../../../src/kube/resources.ts';
import { recordOf, signalProcess } from '../../cluster/lab/process.ts';
import { runningContainer } from '../../cluster/running-container.ts';
import type { Random } from '../random.ts';
import { type Soak, systemNamespace } from '../soak-setting.ts';
import { type Fault, secondsText } from './fault.ts';

/** Our own parts, which run in containers. */

const leaseName = 'connectionbudget-controller';

type Who = 'leader' | 'follower' | 'agent';

const component = (who: Who): string => `app.kubernetes.io/component=${who === 'agent' ? 'agent' : 'controller'}`;

/** The Lease's holder is the pod's name, "_", and something random. */
const leaderName = async ({ client, signal }: Soak): Promise<string | undefined> => {
  const lease = await client.get({ resource: leases, namespace: systemNamespace, name: leaseName }, { signal });
  return lease.spec?.holderIdentity?.split('_')[0];
};

/** Throws where nobody is it now, as between two leaders. */
const podOf = async (soak: Soak, who: Who): Promise<string> => {
  const query = { namespace: systemNamespace, labelSelector: component(who) };
  const { items } = await soak.client.list(pods, query, { signal: soak.signal });
  const names = items
    .filter(({ metadata, status }) => metadata?.deletionTimestamp === undefined && status?.phase === 'Running')
    .flatMap(({ metadata }) => metadata?.name ?? []);
  const leader = who === 'agent' ? undefined : await leaderName(soak);
  const found = names.find((name) => who === 'agent' || (name === leader) === (who === 'leader'));
  if (found === undefined) throw new Error(`nobody is the ${who} now`);
  return found;
};

const signalled = async (soak: Soak, pod: string, signal: NodeJS.Signals): Promise<() => void> => {
  const { pid } = await runningContainer(soak.cluster, { 'pod.name': pod }, soak.signal);
  const record = recordOf(Number(pid));
  if (record === undefined) throw new Error(`the process of ${pod} is gone`);
  signalProcess(record, signal);
  return () => signalProcess(record, 'SIGCONT');
};

const killed = (who: Who): Fault => ({
  kind: `${who} killed`,
  stopsTheClock: false,
  endsOurs: true,
  inflict: async (soak) => {
    const pod = await podOf(soak, who);
    await signalled(soak, pod, 'SIGKILL');
    soak.journal.count('containers of ours killed');
    return pod;
  },
});

/** Less than the 60 s of a liveness probe; a leader's more than its Lease lasts, half of the time. */
const stopped = (who: Who, longestMs: number): Fault => ({
  kind: `${who} stopped`,
  stopsTheClock: false,
  inflict: async (soak, random: Random) => {
    const stoppedMs = random.between(1000, longestMs);
    const pod = await podOf(soak, who);
    const resume = await signalled(soak, pod, 'SIGSTOP');
    try {
      await sleep(stoppedMs, soak.signal);
    } finally {
      resume();
    }
    return `${pod} for ${secondsText(stoppedMs)}`;
  },
});

const deleted = (who: Who): Fault => ({
  kind: `pod of the ${who} deleted`,
  stopsTheClock: false,
  endsOurs: true,
  inflict: async (soak) => {
    const name = await podOf(soak, who);
    await soak.client.delete({ resource: pods, namespace: systemNamespace, name }, { signal: soak.signal });
    return name;
  },
});

export const containerFaults: readonly Fault[] = [
  killed('leader'),
  killed('follower'),
  killed('agent'),
  stopped('leader', 30_000),
  stopped('follower', 15_000),
  stopped('agent', 8000),
  deleted('leader'),
  deleted('follower'),
  deleted('agent'),
];
