import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  ConfigureRequestSchema,
  ConfigureResponseSchema,
  ContainerEventSchema,
  ContainerState,
  CreateContainerResponseSchema,
  PodEventSchema,
  RegisterPluginRequestSchema,
} from '../../src/nri/gen/nri_pb.ts';
import { RequestSchema, ResponseSchema } from '../../src/ttrpc/gen/ttrpc_pb.ts';
import { encodeMessage } from '../../src/ttrpc/encode.ts';
import { MessageDecoder, type Message } from '../../src/ttrpc/message.ts';
import { FrameDecoder } from '../../src/ttrpc/mux.ts';
import { handshake, recorded } from './handshake.ts';

interface Heard extends Message {
  readonly connectionId: number;
}

function hear(what: string): Heard {
  const [fragment] = [...new FrameDecoder().fragments(recorded(what))];
  const [message] = [...new MessageDecoder().messages(fragment!.bytes)];
  return { ...message!, connectionId: fragment!.connectionId };
}

const pod = {
  id: 'sb1',
  name: 'p',
  uid: 'u',
  namespace: 'default',
  annotations: { 'connectionbudget.io/nofile': '2097152' },
  linux: { namespaces: [{ type: 'network', path: '/var/run/netns/cni-1' }] },
};

describe('a recorded session of the Go implementations', () => {
  it.each(handshake.map(({ what }) => what))('is said again byte by byte: %s', (what) => {
    const heard = hear(what);
    const bytes = Buffer.concat(encodeMessage(heard.connectionId, heard));
    expect(bytes.toString('hex')).toBe(Buffer.from(recorded(what)).toString('hex'));
  });

  it.each([
    { what: 'RegisterPlugin', service: 'nri.pkg.api.v1alpha1.Runtime', connectionId: 2, streamId: 1 },
    { what: 'Configure', service: 'nri.pkg.api.v1alpha1.Plugin', connectionId: 1, streamId: 1 },
    { what: 'RunPodSandbox', service: 'nri.pkg.api.v1alpha1.Plugin', connectionId: 1, streamId: 5 },
    { what: 'CreateContainer', service: 'nri.pkg.api.v1alpha1.Plugin', connectionId: 1, streamId: 7 },
  ])('calls $what', ({ what, service, connectionId, streamId }) => {
    const heard = hear(what);
    expect(heard).toMatchObject({ connectionId, streamId, type: 1, flags: 0 });
    expect(fromBinary(RequestSchema, heard.body)).toMatchObject({ service, method: what });
  });

  it('tells who the plugin and the runtime are', () => {
    const register = fromBinary(RequestSchema, hear('RegisterPlugin').body);
    expect(fromBinary(RegisterPluginRequestSchema, register.payload)).toMatchObject({
      pluginName: 'connbudget',
      pluginIndex: '50',
      nriVersion: '0.0.0-unknown',
    });
    const configure = fromBinary(RequestSchema, hear('Configure').body);
    expect(fromBinary(ConfigureRequestSchema, configure.payload)).toMatchObject({
      runtimeName: 'containerd',
      runtimeVersion: 'v2.3.4',
    });
  });

  it('tells of a pod and a container', () => {
    const run = fromBinary(RequestSchema, hear('RunPodSandbox').body);
    expect(fromBinary(PodEventSchema, run.payload)).toMatchObject({ pod });
    const created = fromBinary(RequestSchema, hear('CreateContainer').body);
    expect(fromBinary(ContainerEventSchema, created.payload)).toMatchObject({
      pod,
      container: { id: 'c1', podSandboxId: 'sb1', name: 'app', state: ContainerState.CONTAINER_UNKNOWN },
    });
  });

  it('answers as we would: the events, and an adjustment', () => {
    const configured = fromBinary(ResponseSchema, hear('Configure reply').body).payload;
    expect(toBinary(ConfigureResponseSchema, create(ConfigureResponseSchema, { events: 1 | 8 }))).toEqual(configured);
    const adjust = {
      env: [{ key: 'CB_SOURCE_IPS', value: '10.0.0.2,10.0.0.3' }],
      linux: { sysctl: { 'net.ipv4.ip_local_port_range': '1024 65535', 'net.core.somaxconn': '65535' } },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 2_097_152n, soft: 2_097_152n }],
    };
    const created = fromBinary(ResponseSchema, hear('CreateContainer reply').body).payload;
    expect(toBinary(CreateContainerResponseSchema, create(CreateContainerResponseSchema, { adjust }))).toEqual(created);
  });
});
