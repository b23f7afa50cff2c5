// A program of the tests, run in a pid namespace of its own: gives the pid of a pod's sandbox, by which the runtime named its
// network namespace, to a process in another one, then lets the agent look at its pods, and prints what both namespaces have.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

import { create } from '@bufbuild/protobuf';
import { PodSandboxSchema } from '../../src/nri/gen/nri_pb.ts';
import { planAnnotation } from '../../src/api/names.ts';
import { makeNetworkNamespace, type NetworkNamespace } from '../linux/network-namespace.ts';
import { setNode, sysctlIn } from './node-setting.ts';
import { sectionOf } from './plans.ts';

const startIn = ({ path }: NetworkNamespace): ChildProcess => spawn('nsenter', [`--net=${path}`, 'sleep', '600']);

async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function startAs(pid: number, netns: NetworkNamespace): Promise<ChildProcess> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
    const child = startIn(netns);
    if (child.pid === pid) return child;
    await end(child);
  }
  throw new Error(`pid ${pid} was not given again`);
}

const isInside = (pid: number): boolean => readlinkSync(`/proc/${pid}/ns/net`) !== readlinkSync('/proc/self/ns/net');

using node = await setNode();
using own = makeNetworkNamespace();
using foreign = makeNetworkNamespace();
const sandbox = startIn(own);
const pid = sandbox.pid ?? 0;
while (!isInside(pid)) await setTimeout(10);

const pod = create(PodSandboxSchema, {
  id: 'sandbox-1',
  uid: 'pod-uid',
  name: 'gateway-0',
  namespace: 'messaging',
  annotations: { [planAnnotation]: node.signer.annotationOf(sectionOf()) },
  linux: { namespaces: [{ type: 'network', path: `/proc/${pid}/ns/net` }] },
});
const { signal } = new AbortController();
await node.handlers.runPodSandbox?.(pod, signal);
await end(sandbox);
const younger = await startAs(pid, foreign);
while (!isInside(pid)) await setTimeout(10);
await node.verifier.verifyAll(signal);
const somaxconn = 'net.core.somaxconn';
process.stdout.write(JSON.stringify({ own: sysctlIn(own, somaxconn), foreign: sysctlIn(foreign, somaxconn) }));
await end(younger);
