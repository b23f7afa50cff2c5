import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { NodeFacts } from '../../src/planner/demand.ts';
import type { LimitName } from '../../src/planner/limit.ts';
import { plan } from '../../src/planner/plan.ts';
import { container, demand, inbound } from '../planner/demands.ts';
import { hostSetting } from './host-settings.ts';
import { makeSite, openPlan } from './site.ts';

/** What the planner says that a node lets through. */
const reachable = (limit: LimitName, facts: NodeFacts, reservedDescriptors = 0): number =>
  plan(demand({ containers: [container({ reservedDescriptors })], inbound: [inbound()] }), facts).limits.find(
    (found) => found.limit === limit,
  )?.reachable ?? 0;

const filesUsed = (): number => Number(readFileSync('/proc/sys/fs/file-nr', 'utf8').split('\t')[0]);

/** What an ordinary user got of it before he was refused; he keeps it until the block ends. */
const exhausted = async (what: 'files' | 'watches') => {
  const program = new URL('./exhaust-program.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, ['--no-warnings', program, what], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = await once(child.stdout, 'data');
  const got = JSON.parse(String(said)) as { readonly count: number; readonly errno: number };
  return {
    got,
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
};

it('all processes of the machine have fs.file-max files together, then ENFILE', async () => {
  const before = filesUsed();
  using lowered = await hostSetting('fs.file-max', before + 4000);
  await using user = await exhausted('files');
  const predicted = reachable('fs.file-max', { fileMax: lowered.value }, before);
  expect(user.got.errno).toBe(23);
  // Other programs of the machine open and close files meanwhile; the program's own descriptors are some dozens.
  expect(Math.abs(user.got.count - predicted)).toBeLessThan(0.05 * predicted);
  expect(Math.abs(filesUsed() - lowered.value)).toBeLessThan(0.05 * 4000);
});

it('all processes of a user have fs.epoll.max_user_watches together, then ENOSPC', async () => {
  using lowered = await hostSetting('fs.epoll.max_user_watches', 30_000);
  await using first = await exhausted('watches');
  await using second = await exhausted('watches');
  const predicted = reachable('fs.epoll.max_user_watches', { epollMaxUserWatches: lowered.value });
  expect(first.got).toEqual({ count: predicted, errno: 28 });
  expect(second.got).toEqual({ count: 0, errno: 28 });
});

it('a namespace has nf_conntrack_max entries, then new connections hang', async () => {
  const rules = `table ip proof { chain translate { type nat hook postrouting priority srcnat; oifname right masquerade; }; }`;
  await using site = await makeSite({ routerRules: rules });
  await site.peer.ask('bind', { ip: 0, port: 9000, backlog: 4096 });
  using lowered = await hostSetting('net.netfilter.nf_conntrack_max', 1000);
  const { established, errno, refused } = await site.pod.ask('open', { plan: openPlan(), count: 1100, waitMs: 800 });
  const predicted = reachable('net.netfilter.nf_conntrack_max', { conntrackMax: lowered.value });
  expect({ established, errno, refused }).toEqual({ established: predicted, errno: 0, refused: [] });
});
