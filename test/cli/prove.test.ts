import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { recordDirectory } from '../../src/prove/leftovers.ts';
import { connectionBudget } from './command.ts';
import { accepting, areGone, belowOf, budget, program, type Started, start } from './prove-process.ts';

const prove = (args: readonly string[], input: string) => connectionBudget(['prove', '-f', '-', ...args], input);

describe('prove', () => {
  it('prints the stable fields of a proof, before and after the plan, and what was predicted', () => {
    const { status, stdout } = prove(['-o', 'json'], accepting(1500));
    const proof: unknown = JSON.parse(stdout);
    const before = { reached: 960, stoppedBy: { stage: 'Process', limit: 'RLIMIT_NOFILE', errno: 24 } };
    const after = { reached: 1500, stoppedBy: null };
    expect(proof).toMatchObject({
      kind: 'Proof',
      budget: { namespace: 'default', name: 'small' },
      before,
      after,
      predicted: { before, after },
      processesUsed: 2,
      seconds: expect.any(Number) as number,
      connectionsPerSecond: expect.any(Number) as number,
      kernelBytesPerConnection: expect.any(Number) as number,
      notes: [],
    });
    expect(status).toBe(0);
  });

  it('applies a plan that is not feasible up to what binds', () => {
    const { status, stdout } = prove(['-o', 'json'], accepting(900, ', clients: {addresses: 2, portsPerAddress: 300}'));
    const binding = { reached: 600, stoppedBy: { stage: 'Clients', limit: 'ClientPorts', errno: 99 } };
    expect(JSON.parse(stdout)).toMatchObject({ after: binding, predicted: { after: binding } });
    expect(status).toBe(0);
  });

  it('at a scale of a hundredth has a hundredth of everything, and says so', () => {
    const { status, stdout, stderr } = prove(['--scale', '0.01', '-o', 'json'], accepting(100_000));
    expect(JSON.parse(stdout)).toMatchObject({
      scale: 0.01,
      before: { reached: 9 }, // 10 descriptors, 1 of them reserved
      after: { reached: 1000, stoppedBy: null },
      notes: [expect.stringContaining('scale 0.01')],
    });
    expect(status).toBe(0);
    expect(stderr).toContain('small after: in 1,000 of 1,000');
  });

  it('notes what it does not show, or shows otherwise', () => {
    const flows = `  inbound: [{name: in, port: 80, connections: 30, path: [{type: Sidecar, name: proxy, addresses: 1}]}]
  outbound: [{name: out, connections: 30, destination: {addresses: {ips: ['2001:db8::7'], ports: [80]}, maxConnectionsPerAddress: 20}}]`;
    const { status, stdout } = prove(['-o', 'json'], budget(flows));
    expect(JSON.parse(stdout)).toMatchObject({
      after: { reached: 50, stoppedBy: { stage: 'Destination', limit: 'MaxConnectionsPerAddress', errno: 111 } },
      notes: [
        expect.stringContaining('sidecar'),
        expect.stringContaining('over IPv4'),
        'flows are opened one after the other',
      ],
    });
    expect(status).toBe(0);
  });

  it('says from where on finding a port is slow: half of 10240–65535, a hundredth of it', () => {
    const opening =
      '  outbound: [{name: out, connections: 40000, destination: {unlisted: {addressCount: 1, ports: [80]}}}]';
    const { stdout } = prove(['--scale', '0.01', '-o', 'json'], budget(opening));
    expect(JSON.parse(stdout)).toMatchObject({
      after: { reached: 400 },
      notes: [expect.stringContaining('scale 0.01'), expect.stringContaining('flow out: past 276 ports')],
    });
  });

  it('shows people a bar for each phase and each limit', () => {
    const { stdout } = prove([], accepting(1500));
    expect(stdout).toContain('before  [###############---------] 960, stopped by RLIMIT_NOFILE (Process) with EMFILE');
    expect(stdout).toContain('planned [########################] 1,500');
    expect(stdout).toMatch(/\] Raised +Process: RLIMIT_NOFILE/);
  });

  it('writes one page for a file of two budgets', () => {
    const two = `${accepting(20)}---\n${accepting(30).replace('name: small', 'name: other')}`;
    const { status, stdout } = prove(['-o', 'html'], two);
    expect(stdout).toMatch(/^<!doctype html>[^]*default\/small[^]*default\/other[^]*<\/html>\n$/);
    expect(stdout.match(/<h2/g)).toHaveLength(2);
    expect(status).toBe(0);
  });

  it.each([
    { args: ['--scale', '0'], input: accepting(10), said: '--scale 0: must be' },
    { args: [], input: budget('  inbound: []'), said: 'default/small' },
    { args: ['--nonsense'], input: accepting(10), said: 'nonsense' },
  ])('bad input $args ends with 2 and prints nothing', ({ args, input, said }) => {
    expect(prove(args, input)).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining(said) as string,
    });
  });

  it('refuses with 4 what does not fit into the memory, with the number', () => {
    const { status, stdout, stderr } = prove(
      ['--scale', '1'],
      budget('  containers: [{name: a, processes: 1024}]\n  inbound: [{name: in, port: 80, connections: 100000000}]'),
    );
    expect({ status, stdout }).toEqual({ status: 4, stdout: '' });
    expect(stderr).toMatch(
      /not enough memory: both ends of [\d,]+ connections take [\d.]+ [TG]B, [\d.]+ GB are available/,
    );
  });
});

/** Runs it below another program, or with other programs in its path. */
const proveOtherwise = (command: readonly [string, ...string[]], path: string) => {
  const [file, ...args] = [...command, process.execPath, program, 'prove', '-f', '-', '--scale', '0.1'];
  const input = budget(
    '  outbound: [{name: out, connections: 5000, destination: {unlisted: {addressCount: 1, ports: [80]}}, path: [{type: NAT, name: gw, portsPerAddress: 60000, addresses: 1}]}]',
  );
  return spawnSync(file, args, { input, encoding: 'utf8', env: { PATH: path } });
};

describe('a machine that offers less', () => {
  it('proves for an ordinary user below unshare, in a user namespace of his own', () => {
    const ran = proveOtherwise(['unshare', '--user', '--map-root-user', '--net'], process.env['PATH'] ?? '');
    expect(ran.stdout).toContain('default/small: as predicted');
    expect(ran.status).toBe(0);
  });

  it.each([
    { tools: ['unshare', 'nsenter', 'cat'], missing: 'ip is missing: install the Debian package iproute2' },
    { tools: ['unshare', 'nsenter', 'cat', 'ip'], missing: 'nft is missing: install the Debian package nftables' },
    { tools: [], missing: 'unshare is missing: install the Debian package util-linux' },
  ])('with the tools $tools says that $missing', ({ tools, missing }) => {
    const folder = mkdtempSync(join(tmpdir(), 'tools-'));
    for (const tool of tools)
      symlinkSync(execFileSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).trim(), join(folder, tool));
    const ran = proveOtherwise(['/usr/bin/env'], folder);
    rmSync(folder, { recursive: true });
    expect(ran).toMatchObject({ status: 4, stdout: '', stderr: `${missing}\n` });
  });
});

const commandOf = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');

/** Until connections are being opened: then every process of the proof is there. */
const busy = async ({ said }: Started): Promise<void> => expect.poll(said, { timeout: 20_000 }).toContain(' after: ');

const networkNamespaces = (): ReadonlySet<string> => {
  const namespaces = new Set<string>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      namespaces.add(readlinkSync(`/proc/${pid}/ns/net`));
    } catch {
      // It ended while we looked.
    }
  }
  return namespaces;
};

describe('a proof that does not come to its end', () => {
  const long = accepting(400_000);

  it.each([
    { how: 'interrupted', signal: 'SIGINT', status: 1, said: 'the proof was stopped; what it made is gone' },
    { how: 'killed', signal: 'SIGKILL', status: null, said: '' },
  ] as const)('$how leaves no process, namespace or link behind', async ({ signal, status, said }) => {
    const links = execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' });
    const started = start(long);
    const { child } = started;
    await busy(started);
    const below = (await belowOf(child)).map(({ pid }) => pid);
    expect(below.length).toBeGreaterThanOrEqual(4);
    const made = new Set(below.map((pid) => readlinkSync(`/proc/${pid}/ns/net`)));
    const ended = once(child, 'close');
    child.kill(signal);
    expect((await ended)[0]).toBe(status);
    expect(started.said()).toContain(said);
    await expect.poll(() => areGone(below), { timeout: 20_000 }).toBe(true);
    made.delete(readlinkSync('/proc/self/ns/net'));
    expect(made.size).toBe(2);
    expect([...networkNamespaces()].filter((namespace) => made.has(namespace))).toEqual([]);
    expect(execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' }).split('\n').length).toBeLessThanOrEqual(
      links.split('\n').length,
    );
  });

  // Before it is set up, while namespaces and processes are made, in the first phase, between both, in the second.
  it.each([150, 400, 700, 1000, 1400, 2000, 3000])('interrupted after %i ms leaves nothing behind', async (ms) => {
    const started = start(accepting(400_000));
    const { child } = started;
    await delay(ms);
    const below = (await belowOf(child)).map(({ pid }) => pid);
    const ended = once(child, 'close');
    child.kill('SIGINT');
    await ended;
    expect(started.said()).not.toContain('AbortError');
    await expect.poll(() => areGone(below), { timeout: 20_000 }).toBe(true);
    expect(readdirSync(recordDirectory()).filter((name) => name.startsWith(`${child.pid}-`))).toEqual([]);
  });

  it('says which of its processes ended, and takes the rest away', async () => {
    const started = start(long);
    const { child } = started;
    await busy(started);
    const below = await belowOf(child);
    const holder = below.find(({ pid }) => commandOf(pid).includes('holder-process'));
    process.kill(holder?.pid ?? -1, 'SIGKILL');
    const ended = once(child, 'close');
    expect((await ended)[0]).toBe(1);
    expect(started.said()).toContain(`a process of the proof (pid ${holder?.pid}) ended: SIGKILL`);
    await expect.poll(() => areGone(below.map(({ pid }) => pid)), { timeout: 20_000 }).toBe(true);
  });
});
