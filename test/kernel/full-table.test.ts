import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { connectionBudget } from '../cli/command.ts';
import { areGone, belowOf, budget, start } from '../cli/prove-process.ts';
import { hostSetting } from './host-settings.ts';

it('a proof whose conntrack table fills up says so, and leaves nothing behind', async () => {
  const throughNat = budget(
    '  outbound: [{name: out, connections: 60000, destination: {unlisted: {addressCount: 2, ports: [80]}}, path: [{type: NAT, name: gw, portsPerAddress: 60000, addresses: 1}]}]',
  );
  const { child, said } = start(throughNat);
  let printed = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (printed += chunk));
  await expect.poll(said, { timeout: 60_000 }).toContain(' after: ');
  const below = await belowOf(child);
  using lowered = await hostSetting('net.netfilter.nf_conntrack_max', 100);
  expect(lowered.value).toBe(100);
  const [status] = await once(child, 'close');
  expect(status).toBe(1);
  expect(printed).toContain('with ETIMEDOUT');
  expect(printed).toContain('<- NOT as predicted');
  expect(areGone(below.map(({ pid }) => pid))).toBe(true);
});

it('limits of the machine that are too low are named, and raised where that is asked for', async () => {
  const opens = budget('  inbound: [{name: in, port: 80, connections: 3000}]');
  using lowered = await hostSetting('fs.epoll.max_user_watches', 5000);
  const refused = connectionBudget(['prove', '-f', '-'], opens);
  expect(refused).toMatchObject({ status: 4, stdout: '' });
  expect(refused.stderr).toContain(
    'fs.epoll.max_user_watches leaves 5,000, what 3,000 connections take with both ends',
  );
  expect(refused.stderr).toContain('--raise-host-limits raises it while the proof runs');
  const raised = connectionBudget(['prove', '-f', '-', '--raise-host-limits'], opens);
  expect(raised.status).toBe(0);
  const note = 'fs.epoll.max_user_watches of this machine is 6,316 while the proof runs, 5,000 before and after';
  expect(raised.stderr).toContain(note);
  expect(raised.stdout).toContain(note);
  expect(readFileSync('/proc/sys/fs/epoll/max_user_watches', 'utf8').trim()).toBe(String(lowered.value));
});
