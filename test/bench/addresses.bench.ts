import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bridged, makePodNetwork, type PodNetwork } from '../addresses/pod-network-setting.ts';
import { makeNetworkNamespace } from '../linux/network-namespace.ts';

/**
 * Further addresses of a pod, taken and given back: by our provider, and by the network's IPAM plugin called once for each, one
 * after the other. `npm run bench -- addresses`, as root; medians of ten, in turns.
 */

interface Times {
  readonly takeMs: number;
  readonly giveBackMs: number;
}

const sandboxId = 'sandbox-1';
const rounds = 10;

async function timed(action: () => unknown): Promise<number> {
  const startMs = performance.now();
  await action();
  return performance.now() - startMs;
}

function callPlugin({ configurationFolder, programFolders }: PodNetwork, command: string, index: number): void {
  const list = JSON.parse(readFileSync(join(configurationFolder, '10-pods.conflist'), 'utf8'));
  const { cniVersion, name, plugins } = list;
  const environment = { CNI_COMMAND: command, CNI_CONTAINERID: sandboxId, CNI_IFNAME: `cb${index}` };
  const { status } = spawnSync(join(programFolders[0] ?? '', 'host-local'), {
    input: JSON.stringify({ cniVersion, name, ipam: plugins[0].ipam }),
    env: { ...environment, CNI_NETNS: '/nowhere', CNI_PATH: programFolders.join(':') },
  });
  if (status !== 0) throw new Error(`host-local ${command} ended with ${status}`);
}

async function byPlugin(network: PodNetwork, count: number): Promise<Times> {
  const each = (command: string) =>
    timed(() => Array.from({ length: count }, (_, at) => callPlugin(network, command, at)));
  return { takeMs: await each('ADD'), giveBackMs: await each('DEL') };
}

async function byUs({ provider }: PodNetwork, netnsPath: string, count: number): Promise<Times> {
  const signal = AbortSignal.timeout(10_000);
  const takeMs = await timed(() => provider.lease({ sandboxId, netnsPath }, count, signal));
  return { takeMs, giveBackMs: await timed(() => provider.release(sandboxId, signal)) };
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

using network = await makePodNetwork(bridged);
using pod = makeNetworkNamespace();
network.join(sandboxId, pod);
for (const count of [3, 8, 32]) {
  const ours: Times[] = [];
  const peers: Times[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(await byUs(network, pod.path, count));
    peers.push(await byPlugin(network, count));
  }
  for (const step of ['takeMs', 'giveBackMs'] as const) {
    const [us, peer] = [median(ours.map((times) => times[step])), median(peers.map((times) => times[step]))];
    const ratio = (us / peer).toFixed(2);
    console.log(
      `${count} addresses, ${step}: ours ${us.toFixed(0)}, host-local in turn ${peer.toFixed(0)}, ratio ${ratio}`,
    );
  }
}
