import { expect, test } from 'vitest';
import { eventually, podReport } from './operator-questions.ts';
import { progress, startProbe, useClusterWithOperator } from './operator-setting.ts';
import { reportOf } from './show.ts';
import { applySpec, clientsOfOnePort, podIp, sourcesAt } from './spread-questions.ts';

/**
 * A program that only connects, on a real node: its pod has four addresses and every port of them by nothing but its budget.
 * The pods of this machine's node have no cgroups of version 2, so the program is attached to the root.
 */

const { signal } = progress;
const cluster = useClusterWithOperator({ by: 'Chart', spread: 'root' });
const held = 200_000;
/** This machine lets a process have 20,000 descriptors. */
const processes = 12;

test('200,000 connections to one port come from four addresses, of a program that binds to none', async () => {
  await applySpec(cluster(), 'server', {
    containers: [{ name: 'program', processes }],
    inbound: [{ name: 'in', port: 7000, connections: held + 50, listen: { backlog: 16_384 } }],
  });
  await applySpec(cluster(), 'clients', clientsOfOnePort(processes));
  const listen = ['listen', '7000', String(processes), '16384'];
  await startProbe(cluster(), { namespace: 'planned', app: 'server', args: listen });
  const args = ['connect', await podIp(cluster(), 'server'), '7000', String(held), String(processes)];
  await startProbe(cluster(), { namespace: 'planned', app: 'clients', args });
  await eventually(
    'all are held',
    async () => (await reportOf(cluster(), { namespace: 'planned', app: 'clients' }, signal)).held === held,
  );
  const report = await eventually('its agent has looked', async () => {
    const seen = await podReport(cluster(), 'clients');
    return seen?.reason === 'Pending' ? undefined : seen;
  });
  expect(report.reason, report.message).toBe('Applied');
  const sources = await sourcesAt(cluster(), 'server');
  expect(Object.values(sources), JSON.stringify(sources)).toEqual(Array.from({ length: 4 }, () => held / 4));
  expect(Object.keys(sources)).toContain(await podIp(cluster(), 'clients'));
}, 240_000);

test('another pod of the node has its own address alone', async () => {
  const args = ['connect', await podIp(cluster(), 'server'), '7000', '50', '1'];
  await startProbe(cluster(), { namespace: 'planned', app: 'plain', args });
  await eventually(
    'all are held',
    async () => (await reportOf(cluster(), { namespace: 'planned', app: 'plain' }, signal)).held === 50,
  );
  expect(await sourcesAt(cluster(), 'server')).toMatchObject({ [await podIp(cluster(), 'plain')]: 50 });
}, 120_000);
