import { expect, test } from 'vitest';
import { ensureImage } from '../../deploy/image.ts';
import type { Cluster } from './lab/cluster.ts';
import { startVmNode } from './lab/vm.ts';
import { vmLabel } from './lab/vm-init.ts';
import { conditions, eventually, nodeStatus, podReport } from './operator-questions.ts';
import { applyBudget, progress, startProbe, useClusterWithOperator } from './operator-setting.ts';
import { reportOf } from './show.ts';

/** On a node whose agent has CAP_SYS_RESOURCE (emulated: this machine's root may lack it) hard limits really rise. */

const { signal } = progress;
const withEmulatedNode = async (made: Cluster): Promise<void> => {
  const { archive } = await ensureImage(progress);
  await startVmNode(made, { archives: [archive], ...progress });
};

const cluster = useClusterWithOperator({ by: 'Chart', capableNodes: vmLabel }, withEmulatedNode);

test('one process gets 600,064 descriptors, more than the 524,288 that its runtime hands out', async () => {
  expect(await nodeStatus(cluster(), 'node-vm')).toMatchObject({ agent: { canRaiseNofile: true } });
  await applyBudget(cluster(), { namespace: 'planned', app: 'large', connections: 600_000 });
  await eventually(
    'the operator knows the budget',
    async () => 'Feasible' in (await conditions(cluster(), 'planned', 'large')),
  );
  const pod = { nodeSelector: { [vmLabel]: 'true' }, tolerations: [{ key: vmLabel, operator: 'Exists' }] };

  await startProbe(cluster(), { namespace: 'planned', app: 'large', args: ['listen', '7000', '1', '16384'], pod });

  const report = await reportOf(cluster(), { namespace: 'planned', app: 'large' }, signal);
  expect(report).toMatchObject({
    workers: [{ softNofile: 600_064, hardNofile: 600_064 }],
    sysctls: { 'net.core.somaxconn': '7999' }, // 8,000/s × 1 s
  });
  await eventually(
    'its agent saw it so',
    async () => (await podReport(cluster(), 'large', 'node-vm'))?.reason === 'Applied',
  );
}, 240_000);
