import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { ContainerSchema, ContainerState, PodSandboxSchema } from '../../src/nri/gen/nri_pb.ts';
import { readProcess } from '../../src/linux/proc.ts';
import { readNofile, setNofile } from '../../src/linux/rlimits.ts';
import { makeNetworkNamespace, type NetworkNamespace } from '../linux/network-namespace.ts';
import { Stage } from '../nri/stage.ts';
import { sectionOf } from './plans.ts';
import { startInPod } from './pod-program.ts';
import { containerOf, type NodeSetting, podIn, setNode, signedPod, sysctlIn } from './node-setting.ts';

const ofDefaultLimits = 'ulimit -Sn 1024';
const hardHere = readNofile(process.pid).hard;

describe('a pod with a signed plan', () => {
  test('has its sysctls before its first container is created', async () => {
    using node = await setNode();
    using netns = makeNetworkNamespace();
    await using stage = await Stage.play(node.handlers);
    const sysctls = {
      'net.core.somaxconn': '5499',
      'net.ipv4.tcp_tw_reuse': '1',
      'net.ipv4.tcp_max_tw_buckets': '300000',
      'net.ipv4.tcp_keepalive_time': '300',
      'net.ipv4.ip_local_port_range': '1024 65535',
      'net.ipv4.ip_local_reserved_ports': '1883,8080,8081',
    };
    expect(await stage.runtime.call('RunPodSandbox', { pod: signedPod(node, netns, { sysctls }) })).toEqual({});
    const seen = Object.keys(sysctls).map((name) => [name, sysctlIn(netns, name)]);
    expect(Object.fromEntries(seen)).toEqual({
      ...sysctls,
      'net.ipv4.ip_local_port_range': '1024\t65535',
      'net.ipv4.ip_local_reserved_ports': '1883,8080-8081',
    });
    expect(stage.errors).toEqual([]);
  });

  test('keeps a larger value that is there', async () => {
    using node = await setNode();
    using netns = makeNetworkNamespace();
    await using stage = await Stage.play(node.handlers);
    await stage.runtime.call('RunPodSandbox', {
      pod: signedPod(node, netns, { sysctls: { 'net.core.somaxconn': '100' } }),
    });
    expect(sysctlIn(netns, 'net.core.somaxconn')).toBe('4096');
  });

  test('gets the planned soft limit while its sandbox still has that of runc', async () => {
    using node = await setNode();
    using netns = makeNetworkNamespace();
    await using sandbox = await startInPod("ulimit -Sn 9999; printf 'runc:[2:INIT]' > /proc/$$/comm");
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns, { sandboxPid: sandbox.pid });
    await stage.runtime.call('RunPodSandbox', { pod });
    const { adjust } = await stage.runtime.call('CreateContainer', { pod, container: containerOf(0) });
    expect(adjust).toMatchObject({ rlimits: [{ soft: '8039', hard: String(hardHere) }] });
  });

  test('gets the planned limits, with the hard limit of the runtime', async () => {
    using node = await setNode();
    using netns = makeNetworkNamespace();
    await using sandbox = await startInPod(ofDefaultLimits);
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns, { sandboxPid: sandbox.pid });
    await stage.runtime.call('RunPodSandbox', { pod });
    const { adjust } = await stage.runtime.call('CreateContainer', { pod, container: containerOf(0) });
    expect(adjust).toMatchObject({ rlimits: [{ type: 'RLIMIT_NOFILE', soft: '8039', hard: String(hardHere) }] });
    const sidecar = await stage.runtime.call('CreateContainer', { pod, container: containerOf(0, 'sidecar') });
    expect(sidecar.adjust).not.toHaveProperty('rlimits');
  });

  test('gets no hard limit that the runtime could not set, and says so', async () => {
    using node = await setNode({ runtimeCanRaiseNofile: false });
    await using sandbox = await startInPod('ulimit -n 3000');
    await using stage = await Stage.play(node.handlers);
    const containers = [{ name: 'gateway', soft: 2 ** 30, hard: 2 ** 30 }];
    const pod = signedPod(node, undefined, { containers, sysctls: {}, sandboxPid: sandbox.pid });
    await stage.runtime.call('RunPodSandbox', { pod });
    const { adjust } = await stage.runtime.call('CreateContainer', { pod, container: containerOf(0) });
    expect(adjust).toMatchObject({ rlimits: [{ type: 'RLIMIT_NOFILE', soft: '3000', hard: '3000' }] });
    expect(node.status().pods).toMatchObject([
      {
        reason: 'LimitNotSettable',
        verified: false,
        message: expect.stringMatching(/1,073,741,824 hard planned; 3,000 soft, 3,000 hard can be set on this node/),
      },
    ]);
  });

  test('that was set from the start is seen as applied', async () => {
    using node = await setNode();
    using netns = makeNetworkNamespace();
    await using program = await startInPod('ulimit -Sn 8039');
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns, { sandboxPid: program.pid });
    await stage.runtime.call('RunPodSandbox', { pod });
    expect(node.status().pods).toMatchObject([{ reason: 'Pending', verified: false }]);
    await stage.runtime.call('CreateContainer', { pod, container: { ...containerOf(program.pid), pid: 0 } });
    await stage.runtime.call('PostStartContainer', { pod, container: containerOf(program.pid) });
    await node.settled();
    expect(node.status().pods).toMatchObject([
      {
        namespace: 'messaging',
        name: 'gateway-0',
        uid: 'pod-uid',
        budget: 'gateway',
        reason: 'Applied',
        verified: true,
      },
    ]);
    await stage.runtime.call('StopPodSandbox', { pod });
    expect(node.status().pods).toEqual([]);
  });

  test('starts all the same when its namespace cannot be entered', async () => {
    using node = await setNode();
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, undefined);
    const elsewhere = { ...pod, linux: { namespaces: [{ type: 'network', path: '/proc/self/ns/uts' }] } };
    expect(await stage.runtime.call('RunPodSandbox', { pod: elsewhere })).toEqual({});
    expect(node.status().pods).toMatchObject([{ reason: 'SysctlNotSettable', verified: false }]);
  });

  test("on its node's network leaves that as it is, and says so", async () => {
    using netns = makeNetworkNamespace();
    using node = await setNode({}, netns.path);
    await using stage = await Stage.play(node.handlers);
    await stage.runtime.call('RunPodSandbox', { pod: signedPod(node, netns) });
    expect(sysctlIn(netns, 'net.core.somaxconn')).toBe('4096');
    expect(node.status().pods).toMatchObject([
      { reason: 'SysctlNotSettable', message: expect.stringContaining("node's network") },
    ]);
  });
});

describe('limits that are missing after the start', () => {
  test('are raised in the first process and in those it has forked', async () => {
    using node = await setNode();
    using netns = makeNetworkNamespace();
    await using program = await startInPod(`${ofDefaultLimits}; sleep 600 & echo child $!`);
    const child = Number(/child (\d+)/.exec(program.output())?.[1]);
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns);
    await stage.runtime.call('RunPodSandbox', { pod });
    await stage.runtime.call('PostStartContainer', { pod, container: containerOf(program.pid) });
    await node.settled();
    const raised = { soft: 8039, hard: hardHere };
    expect([readNofile(program.pid), readNofile(child)]).toEqual([raised, raised]);
    expect(node.errors).toEqual([]);
    expect(node.status().pods).toMatchObject([{ reason: 'AppliedLate', verified: true }]);
  });

  test('are raised again where an exec lost them, and left to a program that keeps lowering them', async () => {
    using node = await setNode();
    using netns = makeNetworkNamespace();
    await using program = await startInPod(ofDefaultLimits);
    await using stage = await Stage.play(node.handlers);
    const lower = () => setNofile(readProcess(program.pid), { soft: 500, hard: hardHere, mayLower: true });
    const verified = async () => {
      await node.verifier.verifyAll(new AbortController().signal);
      return readNofile(program.pid).soft;
    };
    const pod = signedPod(node, netns);
    await stage.runtime.call('RunPodSandbox', { pod });
    await stage.runtime.call('PostStartContainer', { pod, container: containerOf(program.pid) });
    await node.settled();
    lower();
    expect(await verified()).toBe(8039);
    lower();
    expect(await verified()).toBe(500);
    expect(node.status().pods).toMatchObject([
      { reason: 'LimitNotSettable', message: expect.stringMatching(/500 soft.* lowered by the program itself/) },
    ]);
  });

  test('count as missing where the hard limit is too low', async () => {
    using node = await setNode();
    await using program = await startInPod('ulimit -n 1000');
    const containers = [{ name: 'gateway', soft: 2 ** 30, hard: 2 ** 30 }];
    const pod = create(PodSandboxSchema, {
      id: 'sandbox-1',
      uid: 'u',
      name: 'p',
      namespace: 'messaging',
      annotations: { 'connectionbudget.io/plan': node.signer.annotationOf(sectionOf({ containers, sysctls: {} })) },
    });
    const container = create(ContainerSchema, {
      id: 'container-gateway',
      podSandboxId: 'sandbox-1',
      name: 'gateway',
      pid: program.pid,
      state: ContainerState.CONTAINER_RUNNING,
    });
    await node.handlers.synchronize([pod], [container], new AbortController().signal);
    await node.settled();
    expect(node.status().pods).toMatchObject([
      { reason: 'LimitNotSettable', message: expect.stringMatching(/1,073,741,824 hard planned; .* has process \d+/) },
    ]);
  });
});

describe('an annotation that does not verify', () => {
  test.each([
    ['is tampered with', (genuine: string) => genuine.replace('8039', '9039')],
    ['is no JSON', () => '{"version":1'],
  ])('and %s gives nothing, and is reported', async (_, tamper) => {
    using node = await setNode();
    using netns = makeNetworkNamespace();
    await using sandbox = await startInPod(ofDefaultLimits);
    await using stage = await Stage.play(node.handlers);
    const annotation = tamper(node.signer.annotationOf(sectionOf()));
    const pod = podIn(netns, annotation, sandbox.pid);
    expect(await stage.runtime.call('RunPodSandbox', { pod })).toEqual({});
    const created = await stage.runtime.call('CreateContainer', { pod, container: containerOf(0) });
    expect(created.adjust).not.toHaveProperty('rlimits');
    expect(sysctlIn(netns, 'net.core.somaxconn')).toBe('4096');
    expect(node.status().pods).toMatchObject([
      { reason: 'SignatureInvalid', verified: false, budget: '', message: expect.stringContaining('ignored') },
    ]);
  });
});

/** As a runtime lists it to a plugin that registers. */
const asListed = (node: NodeSetting, netns: NetworkNamespace, pid: number) => {
  const { id, uid, name, namespace, annotations, linux } = signedPod(node, netns);
  const pod = create(PodSandboxSchema, { id, uid, name, namespace, annotations, linux });
  const running = { id: 'container-gateway', podSandboxId: id, state: ContainerState.CONTAINER_RUNNING };
  return { pod, container: create(ContainerSchema, { ...running, name: 'gateway', pid }) };
};

describe('pods from before', () => {
  test('are looked at and repaired, late', async () => {
    using node = await setNode();
    using netns = makeNetworkNamespace();
    await using program = await startInPod(ofDefaultLimits);
    const { pod, container } = asListed(node, netns, program.pid);
    const { signal } = new AbortController();
    await node.handlers.synchronize([pod], [container], signal);
    await node.settled();
    expect(readNofile(program.pid)).toEqual({ soft: 8039, hard: hardHere });
    expect(sysctlIn(netns, 'net.core.somaxconn')).toBe('5499');
    expect(node.status().pods).toMatchObject([
      { reason: 'AppliedLate', verified: true, usedPercent: 0, connections: 0 },
    ]);
    await node.handlers.synchronize([], [], signal);
    expect(node.status().pods).toEqual([]);
  });

  test('that lack a sysctl alone are late too, for the program may have listened by then', async () => {
    using node = await setNode();
    using netns = makeNetworkNamespace();
    await using program = await startInPod('ulimit -Sn 8039');
    const { pod, container } = asListed(node, netns, program.pid);
    await node.handlers.synchronize([pod], [container], new AbortController().signal);
    await node.settled();
    expect(node.status().pods).toMatchObject([{ reason: 'AppliedLate', verified: true }]);
  });

  test('whose process has ended are not mistaken for whoever has its pid', async () => {
    using node = await setNode();
    using netns = makeNetworkNamespace();
    await using program = await startInPod(ofDefaultLimits);
    await using stage = await Stage.play(node.handlers);
    const pod = signedPod(node, netns);
    await stage.runtime.call('RunPodSandbox', { pod });
    await stage.runtime.call('PostStartContainer', { pod, container: containerOf(program.pid) });
    await node.settled();
    process.kill(-program.pid, 'SIGKILL');
    await program.ended;
    await node.verifier.verifyAll(new AbortController().signal);
    expect(node.errors).toEqual([]);
    expect(node.status().pods).toMatchObject([{ reason: 'AppliedLate' }]);
  });
});
