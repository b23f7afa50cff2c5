import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { decodeAnnotation } from '../../src/api/pod-annotation.ts';
import { uninstallChart } from './install-operator.ts';
import { kubectl } from './lab/cluster.ts';
import { conditions, eventually, held, nodeStatus, podReport } from './operator-questions.ts';
import {
  applyBudget,
  applyQuickstart,
  json,
  progress,
  startProbe,
  useClusterWithOperator,
} from './operator-setting.ts';
import { reportOf } from './show.ts';

const { signal } = progress;
const cluster = useClusterWithOperator({ by: 'Chart' });

describe('the quickstart', () => {
  test('with a budget both pods hold 29,000 connections, with the planned limits and sysctls', async () => {
    await applyQuickstart(cluster());

    const clients = await held(cluster(), 'quickstart', 'clients');
    const gateway = await held(cluster(), 'quickstart', 'gateway');

    expect(clients).toMatchObject({ held: 29_000, sysctls: { 'net.ipv4.ip_local_port_range': '10240 65535' } });
    expect(gateway).toMatchObject({ held: 29_000, sysctls: { 'net.core.somaxconn': '5499' } });
    // 29,000 × 1.1 ÷ 4 + 64
    expect([...clients.workers, ...gateway.workers].map(({ softNofile }) => softNofile)).toEqual(Array(8).fill(8039));
  }, 120_000);

  test('without one the same programs stop at 1024 descriptors', async () => {
    const gateway = await held(cluster(), 'quickstart-without', 'gateway');

    expect(gateway).toMatchObject({ held: 4 * (1024 - 5), errnoName: 'EMFILE' });
    expect(gateway.workers.map(({ softNofile }) => softNofile)).toEqual(Array(4).fill(1024));
  }, 120_000);

  test('the budgets are Ready, and every pod was seen as planned from its start', async () => {
    await kubectl(
      cluster(),
      ['wait', 'connectionbudgets', '--all', '-n', 'quickstart', '--for=condition=Ready', '--timeout=60s'],
      { signal },
    );

    expect(await conditions(cluster(), 'quickstart', 'gateway')).toMatchObject({
      Applied: 'True AllPodsCurrent',
      Verified: 'True AllPodsVerified',
      Conflict: 'False NoConflict',
    });
  }, 90_000);

  test('the node says what its kernel offers', async () => {
    const status = await nodeStatus(cluster());
    const facts = [
      'kernelRelease',
      'nrOpen',
      'fileMax',
      'conntrackMax',
      'epollMaxUserWatches',
      'memoryBytes',
      'runtimeNofile',
      'settableNofile',
    ];
    expect(Object.keys(status.facts)).toEqual(expect.arrayContaining(facts));
  });
});

describe('limits that cannot be had', () => {
  test('more descriptors than a process can get here bind the budget; the pod starts with the best possible', async () => {
    const most = Number((await nodeStatus(cluster())).facts['settableNofile']);
    await applyBudget(cluster(), { namespace: 'planned', app: 'too-much', connections: most });
    await startProbe(cluster(), { namespace: 'planned', app: 'too-much', args: ['listen', '7000', '1', '16384'] });

    const { workers } = await reportOf(cluster(), { namespace: 'planned', app: 'too-much' }, signal);
    expect(workers).toMatchObject([{ softNofile: most, hardNofile: most }]);
    await eventually('the budget says so', async () => {
      const { Feasible, Ready, Verified } = await conditions(cluster(), 'planned', 'too-much');
      const unverified = Verified === 'False LimitNotSettable';
      return Feasible === 'False LimitBinds' && Ready === 'False NotFeasible' && unverified;
    });
    expect((await podReport(cluster(), 'too-much'))?.message).toContain((most + 64).toLocaleString('en-US'));
    expect(await json(cluster(), ['connectionbudget', 'too-much', '-n', 'planned'])).toMatchObject({
      status: { bindingLimit: { limit: 'RLIMIT_NOFILE', capacity: most, needed: most + 64 } },
    });
  }, 120_000);

  test('a plan annotation written by hand gives nothing', async () => {
    const [planned] = z
      .object({ items: z.array(z.object({ metadata: z.object({ annotations: z.record(z.string(), z.string()) }) })) })
      .parse(await json(cluster(), ['pods', '-n', 'quickstart', '-l', 'app=gateway'])).items;
    const annotation = planned?.metadata.annotations['connectionbudget.io/plan'] ?? '';
    expect(decodeAnnotation(annotation)).toHaveProperty('section');
    // A true plan of another namespace, for a container of this name, in a namespace that no webhook sees.
    const annotations = {
      'connectionbudget.io/plan': annotation.replace('"name":"gateway","soft"', '"name":"program","soft"'),
    };
    await startProbe(cluster(), { namespace: 'default', app: 'forger', args: ['listen', '7000', '1'], annotations });

    const report = await reportOf(cluster(), { namespace: 'default', app: 'forger' }, signal);
    expect(report).toMatchObject({ workers: [{ softNofile: 1024 }], sysctls: { 'net.core.somaxconn': '4096' } });
    expect(await eventually('the node reports the forger', () => podReport(cluster(), 'forger'))).toMatchObject({
      verified: false,
      reason: 'SignatureInvalid',
    });
    await eventually('an Event on the pod', async () => {
      const events = await kubectl(
        cluster(),
        [
          'get',
          'events',
          '-n',
          'default',
          '--field-selector',
          'involvedObject.name=forger',
          '-o',
          'jsonpath={.items[*].reason}',
        ],
        { signal },
      );
      return events.includes('SignatureInvalid');
    });
  }, 120_000);
});

test("uninstalled, it leaves the budgets and stands in no pod's way", async () => {
  await uninstallChart(cluster(), progress);

  await startProbe(cluster(), { namespace: 'planned', app: 'afterwards', args: ['listen', '7000', '1'] });
  expect(await json(cluster(), ['connectionbudget', 'too-much', '-n', 'planned'])).toHaveProperty('spec');
}, 120_000);
