import { expect, test } from 'vitest';
import { ensureImage } from '../../deploy/image.ts';
import type { Cluster } from './lab/cluster.ts';
import { startVmNode } from './lab/vm.ts';
import { vmLabel } from './lab/vm-init.ts';
import { conditions, eventually, nodeStatus, podReport } from './operator-questions.ts';
import { applyBudget, progress, startProbe, useClusterWithOperator } from './operator-setting.ts';
import { reportOf } from './show.ts';
import { applySpec, clientsOfOnePort, podIp, sourcesAt } from './spread-questions.ts';

/** On a node whose agent has CAP_SYS_RESOURCE (emulated: this machine's root may lack it) hard limits really rise. */

const { signal } = progress;
const withEmulatedNode = async (made: Cluster): Promise<void> => {
  const { archive } = await ensureImage(progress);
  await startVmNode(made, { archives: [archive], ...progress });
};

const cluster = useClusterWithOperator({ by: 'Chart', capableNodes: vmLabel }, withEmulatedNode);

/** For a pod of the emulated node. */
const pod = { nodeSelector: { [vmLabel]: 'true' }, tolerations: [{ key: vmLabel, operator: 'Exists' }] };

test('one process opens a million descriptors by plan, where its runtime hands out 524,288', async () => {
  expect(await nodeStatus(cluster(), 'node-vm')).toMatchObject({ agent: { canRaiseNofile: true } });
  // Of a million, 64 are reserved for what is no connection.
  await applyBudget(cluster(), { namespace: 'planned', app: 'large', connections: 999_936 });
  await eventually(
    'the operator knows the budget',
    async () => 'Feasible' in (await conditions(cluster(), 'planned', 'large')),
  );
  await startProbe(cluster(), { namespace: 'planned', app: 'large', args: ['open', '1'], pod });

  const report = await eventually('it has met its limit', async () => {
    const now = await reportOf(cluster(), { namespace: 'planned', app: 'large' }, signal);
    return now.errnoName === '' ? undefined : now;
  });
  expect(report).toMatchObject({
    errnoName: 'EMFILE',
    workers: [{ softNofile: 1_000_000, hardNofile: 1_000_000, descriptors: 1_000_000 }],
    sysctls: { 'net.core.somaxconn': '7999' }, // 8,000/s × 1 s
  });
  await eventually(
    'its agent saw it so',
    async () => (await podReport(cluster(), 'large', 'node-vm'))?.reason === 'Applied',
  );
}, 240_000);

test('connections of a program that binds to nothing come from four addresses, by its own cgroup of version 2', async () => {
  const held = 400;
  await applySpec(cluster(), 'clients', clientsOfOnePort(1));
  await startProbe(cluster(), { namespace: 'planned', app: 'server', args: ['listen', '7000', '1', '4096'] });
  const args = ['connect', await podIp(cluster(), 'server'), '7000', String(held), '1'];
  await startProbe(cluster(), { namespace: 'planned', app: 'clients', args, pod });
  await eventually('all are accepted', async () => {
    const accepted = Object.values(await sourcesAt(cluster(), 'server'));
    return accepted.reduce((sum, count) => sum + count, 0) === held;
  });
  // So slow a node may refuse its first sandbox; the next one finds all programs in memory.
  await eventually(
    'its agent saw it so',
    async () => (await podReport(cluster(), 'clients', 'node-vm'))?.reason === 'Applied',
  );
  const sources = await sourcesAt(cluster(), 'server');
  expect(Object.values(sources), JSON.stringify(sources)).toEqual([100, 100, 100, 100]);
}, 240_000);
