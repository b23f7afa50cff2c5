import { readdirSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import { pods } from '../../../src/kube/resources.ts';
import { run } from '../../cluster/lab/command.ts';
import { nodeFolder } from '../../cluster/lab/node-mounts.ts';
import { waitFor } from '../../cluster/lab/wait.ts';
import { runningContainer } from '../../cluster/running-container.ts';
import { type Soak, soakNamespaces } from '../soak-setting.ts';

/** What pods that are gone have left on the node. */

const goneTimeoutMs = 60_000;
/** What was lost is given back by a round each minute, of leases that are older than 30 s. */
const givenBackTimeoutMs = 100_000;

export const removePods = async ({ client, signal }: Soak): Promise<void> => {
  for (const namespace of soakNamespaces) {
    const { items } = await client.list(pods, { namespace }, { signal });
    for (const { metadata } of items)
      await client.delete({ resource: pods, namespace, name: metadata?.name ?? '' }, { signal }).catch(() => undefined);
  }
  const noneLeft = async (): Promise<boolean> => {
    const { items } = await client.list(pods, {}, { signal });
    return items.every(({ metadata }) => !soakNamespaces.includes(metadata?.namespace ?? ''));
  };
  await waitFor('the pods of the load are gone', noneLeft, { signal, timeoutMs: goneTimeoutMs, intervalMs: 500 });
};

/** After removePods. */
export const leftovers = async (soak: Soak): Promise<readonly string[]> => {
  let left: readonly string[] = [];
  const nothing = async (): Promise<boolean> => {
    left = [...leasesOfOurs(soak), ...(await spreadEntries(soak))];
    return left.length === 0;
  };
  const options = { signal: soak.signal, timeoutMs: givenBackTimeoutMs, intervalMs: 2000 };
  await waitFor('nothing is left', nothing, options).catch(() => undefined);
  return left;
};

/** Files of host-local's store, named after addresses: the sandbox, then the interface, for which we take cb0, cb1, … */
const leasesOfOurs = ({ cluster }: Soak): readonly string[] => {
  const store = nodeFolder(cluster.dir, '/var/lib/cni/networks/pods');
  return readdirSync(store)
    .filter((name) => isIP(name) !== 0)
    .filter((name) => /\scb\d+$/.test(readFileSync(join(store, name), 'utf8')))
    .map((name) => `the lease of ${name}`);
};

const shownMap = z.object({ id: z.number(), name: z.string().optional() });

/** Entries in the maps of the agent's eBPF program; which maps are its own its descriptors tell. */
const spreadEntries = async ({ cluster, signal }: Soak): Promise<readonly string[]> => {
  const { pid } = await runningContainer(cluster, { 'container.name': 'agent' }, signal);
  const own = new Set(mapIdsOf(pid));
  const maps = z.array(shownMap).parse(JSON.parse(await run('bpftool', ['-j', 'map', 'show'], { signal })));
  const ofPods = maps.filter(({ id, name }) => own.has(id) && name === 'pods');
  const counts = await Promise.all(
    ofPods.map(async ({ id }) => {
      const dump = JSON.parse(await run('bpftool', ['-j', 'map', 'dump', 'id', String(id)], { signal })) as unknown[];
      return dump.length;
    }),
  );
  const entries = counts.reduce((sum, count) => sum + count, 0);
  return entries === 0 ? [] : [`${entries} entries of the spread program`];
};

const mapIdsOf = (pid: string): readonly number[] => {
  const folder = `/proc/${pid}/fdinfo`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      const id = /^map_id:\s*(\d+)$/m.exec(readFileSync(join(folder, fd), 'utf8'))?.[1];
      return id === undefined ? [] : [Number(id)];
    } catch {
      return [];
    }
  });
};
