import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { PodSandboxSchema } from '../../src/nri/gen/nri_pb.ts';
import { makeNetworkNamespace } from '../linux/network-namespace.ts';
import { Stage } from '../nri/stage.ts';
import { podIn, setNode, sysctlIn } from './node-setting.ts';
import { makeSigner, sectionOf } from './plans.ts';

test('a pod whose key is new verifies as soon as the key is there', async () => {
  using node = await setNode();
  using netns = makeNetworkNamespace();
  const next = makeSigner();
  await using stage = await Stage.play(node.handlers);
  node.publishKey('key-2', next);
  await stage.runtime.call('RunPodSandbox', { pod: podIn(netns, next.annotationOf(sectionOf({ keyId: 'key-2' }))) });
  expect(sysctlIn(netns, 'net.core.somaxconn')).toBe('5499');
});

test('a pod whose key was late verifies when a later pod brings the key to notice', async () => {
  using node = await setNode();
  using netns = makeNetworkNamespace();
  const next = makeSigner();
  await using stage = await Stage.play(node.handlers);
  const pod = podIn(netns, next.annotationOf(sectionOf({ keyId: 'key-2' })));
  await stage.runtime.call('RunPodSandbox', { pod });
  expect(node.status().pods).toMatchObject([{ reason: 'SignatureInvalid' }]);
  node.publishKey('key-2', next);
  await stage.runtime.call('RunPodSandbox', { pod: { ...pod, id: 'sandbox-2', uid: 'pod-uid-2' } });
  await node.verifier.verifyAll(new AbortController().signal);
  expect(node.status().pods).toMatchObject([{ reason: 'Pending' }, { reason: 'Pending' }]);
});

test('a pod whose key was late verifies when the runtime comes back', async () => {
  using node = await setNode();
  using netns = makeNetworkNamespace();
  const next = makeSigner();
  const annotation = next.annotationOf(sectionOf({ keyId: 'key-2' }));
  const { namespace, annotations } = podIn(netns, annotation);
  const linux = { namespaces: [{ type: 'network', path: netns.path }] };
  const pod = create(PodSandboxSchema, { id: 's', uid: 'u', name: 'p', namespace, annotations, linux });
  const { signal } = new AbortController();
  await node.handlers.synchronize([pod], [], signal);
  await node.settled();
  expect(node.status().pods).toMatchObject([{ reason: 'SignatureInvalid' }]);
  node.publishKey('key-2', next);
  await node.handlers.synchronize([pod], [], signal);
  await node.settled();
  expect(sysctlIn(netns, 'net.core.somaxconn')).toBe('5499');
});
