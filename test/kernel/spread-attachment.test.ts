import { closeSync, openSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readNetnsCookie } from '../../src/linux/libc.ts';
import { libbpf } from '../../src/linux/bpf/libbpf.ts';
import { openSpreader, whyNoTuples } from '../../src/linux/spread/spreader.ts';
import {
  cgroupRoot,
  compileForBpf,
  makeBpffs,
  makeSpreadSetting,
  hundredPorts,
  openTestSpreader,
  peerIp,
  peerPorts,
  podIps,
  programsAt,
  spreadObject,
  spreadPod,
  startSpreadPod,
} from './spread-setting.ts';

const [port] = peerPorts;

it("the host's network namespace never gets an entry, nor any that is named as the host's", async () => {
  using spreader = await openTestSpreader({ hostCookies: new Set([7n]) });
  for (const cookie of [readNetnsCookie(), 7n])
    expect(() => spreader.setPod(cookie, spreadPod())).toThrow("the host's own network namespace is no pod");
  expect(spreader.pods()).toEqual([]);
});

it('at the root of the hierarchy it is for pods with an entry alone, and takes nothing with it', async () => {
  const before = programsAt(cgroupRoot());
  await using made = new AsyncDisposableStack();
  const spreader = made.use(await openTestSpreader());
  const pod = made.use(await makeSpreadSetting(2, hundredPorts));
  const other = made.use(await makeSpreadSetting(2, hundredPorts));
  spreader.setPod(pod.cookie, spreadPod({ addresses: podIps(2) }));
  expect(spreader.attach(cgroupRoot())).toEqual({ form: 'Tuples', reason: undefined });
  const [connector, plain] = [await pod.start(), await other.start()];
  expect(await connector.open(peerIp, port, 500)).toMatchObject({ opened: 200 });
  expect(await plain.open(peerIp, port, 500)).toMatchObject({ opened: 100 });
  expect(spreader.detach(cgroupRoot())).toBe(true);
  expect(spreader.detach(cgroupRoot())).toBe(false);
  expect(programsAt(cgroupRoot())).toEqual(before);
});

it('without a pin everything ends with the one who opened it', async () => {
  await using setting = await makeSpreadSetting(1, hundredPorts);
  {
    using spreader = await openTestSpreader();
    spreader.attach(setting.cgroup);
    expect(programsAt(setting.cgroup).length).toBe(2);
  }
  expect(programsAt(setting.cgroup)).toEqual([]);
});

it('what is pinned goes on while nobody is there, and is found again', async () => {
  using bpffs = makeBpffs();
  await using setting = await makeSpreadSetting(2, hundredPorts);
  const options = { bpffsPath: bpffs.path };
  {
    using spreader = await openTestSpreader(options);
    spreader.setPod(setting.cookie, spreadPod({ addresses: podIps(2) }));
    spreader.attach(setting.cgroup);
  }
  const connector = await setting.start();
  expect(await connector.open(peerIp, port, 100)).toMatchObject({ opened: 100 });
  const [first] = programsAt(setting.cgroup);
  using again = await openTestSpreader(options);
  expect(again.pods()).toEqual([setting.cookie]);
  expect(again.statistics(setting.cookie)).toEqual({ picked: 100, fellBack: 0, tries: 100 });
  expect(again.attach(setting.cgroup)).toEqual({ form: 'Tuples', reason: undefined });
  expect(programsAt(setting.cgroup)).not.toContain(first);
  expect(await connector.open(peerIp, port, 500)).toMatchObject({ opened: 100 });
  again.remove();
  expect(readdirSync(bpffs.path).filter((name) => name.startsWith('spread'))).toEqual([]);
  expect(programsAt(setting.cgroup)).toEqual([]);
});

it('no connection misses it while the program is replaced', async () => {
  using bpffs = makeBpffs();
  const options = { bpffsPath: bpffs.path };
  const range = { low: 20_000, high: 39_999 };
  await using setting = await makeSpreadSetting(1, range);
  using spreader = await openTestSpreader(options);
  spreader.setPod(setting.cookie, spreadPod({ range }));
  spreader.attach(setting.cgroup);
  const connector = await setting.start();
  const opening = connector.open(peerIp, port, 10_000);
  const replaced = setInterval(() => spreader.attach(setting.cgroup), 5);
  expect(await opening).toMatchObject({ opened: 10_000 });
  clearInterval(replaced);
  expect(spreader.statistics(setting.cookie)).toMatchObject({ picked: 10_000, fellBack: 0 });
});

it('a link of a cgroup that is gone is forgotten', async () => {
  using bpffs = makeBpffs();
  using spreader = await openTestSpreader({ bpffsPath: bpffs.path });
  const links = join(bpffs.path, 'spread-v1', 'links');
  {
    await using setting = await makeSpreadSetting(1, hundredPorts);
    spreader.attach(setting.cgroup);
    expect(readdirSync(links).length).toBe(2);
  }
  // The kernel ends a cgroup some time after its directory is gone.
  await expect
    .poll(() => {
      spreader.prune();
      return readdirSync(links);
    })
    .toEqual([]);
});

it('beside a program that may rewrite destinations it chooses addresses alone, and names the program', async () => {
  await using pod = await startSpreadPod(spreadPod({ addresses: podIps(4) }));
  const bpf = libbpf();
  const balancer = bpf.load({ path: compileForBpf('balancer.bpf.c'), programs: ['balance'], maps: new Map() });
  const cgroup = openSync(pod.setting.cgroup, 'r');
  const link = bpf.link(balancer.programs.get('balance')!, cgroup, 'Connect4');
  expect(pod.spreader.attach(pod.setting.cgroup)).toEqual({
    form: 'Addresses',
    reason: expect.stringContaining('(eBPF program balance)'),
  });
  expect(await pod.connector.open(peerIp, port, 500)).toMatchObject({ opened: 400 });
  expect(pod.statistics()).toMatchObject({ picked: 0 });
  closeSync(link);
  expect(pod.spreader.attach(pod.setting.cgroup)).toEqual({ form: 'Tuples', reason: undefined });
  closeSync(cgroup);
  balancer.close();
});

it.each([
  {
    what: 'no object',
    options: { objectPath: '/nowhere/spread.bpf.o' },
    reason: /cannot open the eBPF object .*ENOENT/,
  },
  { what: 'an object that is none', options: { objectPath: '/etc/passwd' }, reason: /cannot open the eBPF object/ },
  { what: 'no bpffs', options: { objectPath: '/etc/passwd', bpffsPath: tmpdir() }, reason: /is no bpffs/ },
])('with $what there is a reason instead of a spreader', ({ options, reason }) => {
  const opened = openSpreader({ bpffsPath: undefined, hostCookies: new Set(), ...options });
  expect(opened).toEqual({ form: 'None', reason: expect.stringMatching(reason) });
});

it.each([
  { release: '6.18.44', hasTypes: true, reason: undefined },
  { release: '6.1.0-56-cloud-amd64', hasTypes: true, reason: undefined },
  { release: '5.15.0-91-generic', hasTypes: true, reason: 'kernel 5.15.0-91-generic: ports are chosen from 6.1 on' },
  { release: '6.0.19', hasTypes: true, reason: 'kernel 6.0.19: ports are chosen from 6.1 on' },
  { release: '6.8.0', hasTypes: false, reason: 'this kernel has no /sys/kernel/btf/vmlinux' },
])('kernel $release with types $hasTypes leaves ports to itself: $reason', ({ release, hasTypes, reason }) => {
  expect(whyNoTuples(release, hasTypes)).toBe(reason);
});

it('addresses alone are loaded without what ports take', async () => {
  const object = libbpf().load({ path: await spreadObject(), programs: ['addresses4', 'addresses6'], maps: new Map() });
  expect([...object.programs.keys()].toSorted()).toEqual(['addresses4', 'addresses6']);
  object.close();
});

it('a directory that is no cgroup of version 2 is refused', async () => {
  using spreader = await openTestSpreader();
  expect(() => spreader.attach(tmpdir())).toThrow('is no cgroup of version 2');
  expect(() => spreader.attach('/nowhere')).toThrow('cannot open the cgroup /nowhere: ENOENT');
});
