import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type NriError, RefuseCreation } from '../../src/nri/error.ts';
import { Event } from '../../src/nri/gen/nri_pb.ts';
import type { ContainerAdjustment, PluginHandlers } from '../../src/nri/handlers.ts';
import { runPlugin, type PluginState } from '../../src/nri/plugin.ts';
import { buildRuntime, Runtime } from './runtime.ts';

let program: string;
let folder: string;
let socketPath: string;
let stop: AbortController;
let running: Promise<void>;
let states: PluginState[];
let errors: NriError[];

beforeAll(async () => {
  program = await buildRuntime();
}, 300_000);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nri-'));
  socketPath = join(folder, 'nri.sock');
  stop = new AbortController();
  running = Promise.resolve();
  states = [];
  errors = [];
});

afterEach(async () => {
  stop.abort();
  await running;
  await rm(folder, { recursive: true });
});

const leastHandlers: PluginHandlers = { synchronize: () => undefined, createContainer: () => undefined };

function startPlugin(handlers: Partial<PluginHandlers>, name = 'connection-budget'): void {
  const options = {
    socketPath,
    name,
    index: '50',
    handlers: { ...leastHandlers, ...handlers },
    onState: (state: PluginState) => states.push(state),
    onError: (error: NriError) => errors.push(error),
  };
  running = runPlugin(options, stop.signal);
}

async function startBoth(handlers: Partial<PluginHandlers>, flags: readonly string[] = []): Promise<Runtime> {
  const runtime = new Runtime(program, socketPath, flags);
  await runtime.reached('listening');
  startPlugin(handlers);
  await runtime.reached('synchronized');
  return runtime;
}

const pod = {
  id: 'sandbox-1',
  name: 'gateway-0',
  uid: 'a-uid',
  namespace: 'messaging',
  labels: { app: 'gateway' },
  annotations: { key: 'value' },
  linux: { namespaces: [{ type: 'network', path: '/var/run/netns/cni-1' }] },
  pid: 41,
  ips: ['10.0.0.2', 'fd00::2'],
};
const container = {
  id: 'container-1',
  pod_sandbox_id: 'sandbox-1',
  name: 'gateway',
  state: 'CONTAINER_CREATED',
  labels: { a: 'b' },
  annotations: { c: 'd' },
  pid: 42,
  rlimits: [{ type: 'RLIMIT_NOFILE', hard: '524288', soft: '1024' }],
};

describe('with the runtime of containerd', () => {
  it('the plugin is connecting, registered, synchronized', async () => {
    await using _ = await startBoth({});
    await vi.waitFor(() => expect(states).toHaveLength(3));
    expect(states).toEqual([
      { state: 'connecting' },
      { state: 'registered', runtime: { name: 'containerd', version: 'v2.3.4' } },
      { state: 'synchronized' },
    ]);
  });

  it('a container gets the adjustment that its handler answers', async () => {
    const adjustment: ContainerAdjustment = {
      annotations: { applied: 'yes' },
      env: [{ key: 'CONNECTIONBUDGET_SOURCE_ADDRESSES', value: '10.0.0.2,10.0.0.3' }],
      linux: { sysctl: { 'net.core.somaxconn': '65535' } },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1_048_576n, soft: 1_048_576n }],
    };
    const createContainer = vi.fn(() => adjustment);
    await using runtime = await startBoth({ createContainer });
    const { adjust, error } = await runtime.call('CreateContainer', { pod, container });
    expect(error).toBeUndefined();
    expect(adjust).toMatchObject({
      annotations: { applied: 'yes' },
      env: [{ key: 'CONNECTIONBUDGET_SOURCE_ADDRESSES', value: '10.0.0.2,10.0.0.3' }],
      linux: { sysctl: { 'net.core.somaxconn': '65535' } },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: '1048576', soft: '1048576' }],
    });
    expect(createContainer).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({
        ...pod,
        linux: expect.objectContaining({ namespaces: [expect.objectContaining(pod.linux.namespaces[0]!)] }),
      }),
      expect.objectContaining({
        id: 'container-1',
        podSandboxId: 'sandbox-1',
        name: 'gateway',
        state: 1,
        labels: { a: 'b' },
        annotations: { c: 'd' },
        pid: 42,
        rlimits: [expect.objectContaining({ type: 'RLIMIT_NOFILE', hard: 524_288n, soft: 1024n })],
      }),
      expect.any(AbortSignal),
    );
  });

  it.each([0, 4000, 4086, 4096, 65_536, 1_000_000, 4_000_000])(
    'messages of %i bytes and more pass both ways',
    async (bytes) => {
      const value = 'x'.repeat(bytes);
      const createContainer: PluginHandlers['createContainer'] = ({ annotations }) => ({
        annotations: { back: annotations['large'] ?? '' },
      });
      await using runtime = await startBoth({ createContainer });
      for (const id of ['one', 'two', 'three']) {
        const { adjust } = await runtime.call('CreateContainer', {
          pod: { id, annotations: { large: value } },
          container: { id },
        });
        expect(adjust).toMatchObject({ annotations: { back: value } });
      }
    },
  );

  it.each([
    { method: 'RunPodSandbox', handler: 'runPodSandbox' },
    { method: 'StopPodSandbox', handler: 'stopPodSandbox' },
    { method: 'RemovePodSandbox', handler: 'removePodSandbox' },
  ] as const)('$method reaches its handler', async ({ method, handler }) => {
    const handle = vi.fn();
    await using runtime = await startBoth({ [handler]: handle });
    await expect(runtime.call(method, { pod })).resolves.toEqual({});
    expect(handle).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ id: 'sandbox-1', pid: 41, ips: pod.ips }),
      expect.any(AbortSignal),
    );
  });

  it.each([
    { method: 'PostCreateContainer', handler: 'postCreateContainer' },
    { method: 'StartContainer', handler: 'startContainer' },
    { method: 'PostStartContainer', handler: 'postStartContainer' },
    { method: 'StopContainer', handler: 'stopContainer' },
    { method: 'RemoveContainer', handler: 'removeContainer' },
  ] as const)('$method reaches its handler', async ({ method, handler }) => {
    const handle = vi.fn();
    await using runtime = await startBoth({ [handler]: handle });
    await expect(runtime.call(method, { pod, container })).resolves.toEqual({});
    expect(handle).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ id: 'sandbox-1' }),
      expect.objectContaining({ id: 'container-1' }),
      expect.any(AbortSignal),
    );
  });

  it('a state above the message limit is synchronized in one call of the handler', async () => {
    const synchronize = vi.fn();
    await using _ = await startBoth({ synchronize }, ['-pods', '3000', '-padding', '4000']); // 12 MB
    expect(synchronize).toHaveBeenCalledTimes(1);
    const ids = (synchronize.mock.lastCall![0] as readonly { readonly id: string }[]).map(({ id }) => id);
    expect(ids).toEqual(Array.from({ length: 3000 }, (_, at) => `existing-${at}`));
  });
});

describe('a handler that throws', () => {
  it.each([
    { handler: 'runPodSandbox', method: 'RunPodSandbox' },
    { handler: 'createContainer', method: 'CreateContainer' },
  ] as const)('RefuseCreation fails the creation: $handler', async ({ handler, method }) => {
    const refuse = (): never => {
      throw new RefuseCreation('no addresses are left on this node');
    };
    await using runtime = await startBoth({ [handler]: refuse });
    const result = await runtime.call(method, { pod, container });
    expect(result).toMatchObject({ code: 9, error: expect.stringContaining('no addresses are left on this node') });
    expect(errors).toEqual([]);
  });

  it.each([
    { handler: 'runPodSandbox', method: 'RunPodSandbox', error: new Error('a bug') },
    { handler: 'createContainer', method: 'CreateContainer', error: new Error('a bug') },
    { handler: 'startContainer', method: 'StartContainer', error: new Error('a bug') },
    { handler: 'stopContainer', method: 'StopContainer', error: new RefuseCreation('too late for it') },
  ] as const)('$error in $handler is reported, and the pod goes on', async ({ handler, method, error }) => {
    const fail = (): never => {
      throw error;
    };
    await using runtime = await startBoth({ [handler]: fail });
    expect(await runtime.call(method, { pod, container })).not.toHaveProperty('error');
    expect(errors).toMatchObject([{ kind: 'HandlerFailed', cause: error }]);
  });

  it('does not keep the plugin from being synchronized', async () => {
    await using runtime = await startBoth({ synchronize: () => Promise.reject(new Error('a bug')) });
    expect(await runtime.call('CreateContainer', { pod, container })).not.toHaveProperty('error');
    expect(errors).toMatchObject([{ kind: 'HandlerFailed' }]);
  });
});

describe('a handler that takes too long', () => {
  it('is answered for before the runtime drops the plugin, and its signal aborts', { timeout: 15_000 }, async () => {
    const aborted = vi.fn();
    const createContainer: PluginHandlers['createContainer'] = ({ id }, _, signal) => {
      signal.addEventListener('abort', aborted);
      return id === 'slow' ? sleep(60_000, undefined, { ref: false }) : { annotations: { answered: 'yes' } };
    };
    await using runtime = await startBoth({ createContainer });
    expect(await runtime.call('CreateContainer', { pod: { id: 'slow' }, container })).not.toHaveProperty('error');
    expect(errors).toMatchObject([{ kind: 'HandlerTimedOut' }]);
    expect(aborted).toHaveBeenCalledTimes(1);
    const next = await runtime.call('CreateContainer', { pod: { id: 'next' }, container });
    expect(next.adjust).toMatchObject({ annotations: { answered: 'yes' } });
    expect(states.map(({ state }) => state)).toEqual(['connecting', 'registered', 'synchronized']);
  });
});

describe('with a runtime older than containerd 2.3, which has only StateChange', () => {
  it.each([
    { event: Event.RUN_POD_SANDBOX, handler: 'runPodSandbox' },
    { event: Event.REMOVE_POD_SANDBOX, handler: 'removePodSandbox' },
    { event: Event.POST_START_CONTAINER, handler: 'postStartContainer' },
    { event: Event.START_CONTAINER, handler: 'startContainer' },
  ] as const)('event $event reaches $handler', async ({ event, handler }) => {
    const handle = vi.fn();
    await using runtime = await startBoth({ [handler]: handle }, ['-direct']);
    await expect(runtime.call('StateChange', { event, pod, container })).resolves.toEqual({});
    expect(handle).toHaveBeenCalledTimes(1);
    expect(handle.mock.lastCall![0]).toMatchObject({ id: 'sandbox-1', annotations: { key: 'value' } });
  });

  it('an event that is not known is answered, a method that is not known is unimplemented', async () => {
    await using runtime = await startBoth({}, ['-direct']);
    await expect(runtime.call('StateChange', { event: 13, pod })).resolves.toEqual({});
    await expect(runtime.call('UpdateContainer')).resolves.toMatchObject({ code: 12 });
    await expect(runtime.call('Shutdown')).resolves.toEqual({});
    expect(errors).toEqual([]);
  });

  it('an event without its pod is reported and answered', async () => {
    await using runtime = await startBoth({ runPodSandbox: () => undefined }, ['-direct']);
    await expect(runtime.call('RunPodSandbox')).resolves.toEqual({});
    expect(errors).toMatchObject([{ kind: 'IncompleteEvent' }]);
  });

  it('a slow handler keeps no other waiting', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<undefined>();
    const createContainer: PluginHandlers['createContainer'] = ({ id }) => (id === 'slow' ? released : undefined);
    await using runtime = await startBoth({ createContainer }, ['-direct']);
    const slow = runtime.call('CreateContainer', { pod: { id: 'slow' }, container }).then(() => 'slow');
    const quick = runtime.call('CreateContainer', { pod: { id: 'quick' }, container }).then(() => 'quick');
    await expect(Promise.race([slow, quick])).resolves.toBe('quick');
    release(undefined);
    await expect(slow).resolves.toBe('slow');
  });
});

describe('a runtime that goes', () => {
  it('is waited for, and the plugin registers again when it is back', { timeout: 30_000 }, async () => {
    const synchronize = vi.fn();
    startPlugin({ synchronize, createContainer: () => ({ annotations: { applied: 'yes' } }) });
    await vi.waitFor(() => expect(states.at(-1)).toMatchObject({ reason: { kind: 'RuntimeUnreachable' } }));
    for (const life of [1, 2, 3]) {
      await using runtime = new Runtime(program, socketPath);
      await runtime.reached('synchronized');
      expect(synchronize).toHaveBeenCalledTimes(life);
      const { adjust } = await runtime.call('CreateContainer', { pod, container });
      expect(adjust).toMatchObject({ annotations: { applied: 'yes' } });
    }
    await vi.waitFor(() =>
      expect(states).toContainEqual({ state: 'lost', reason: expect.objectContaining({ kind: 'ConnectionLost' }) }),
    );
  });

  it('says why it did not register the plugin', async () => {
    await using runtime = new Runtime(program, socketPath);
    await runtime.reached('listening');
    startPlugin({}, 'a name that is none');
    await vi.waitFor(() => expect(states.at(-1)).toMatchObject({ reason: { kind: 'RegistrationFailed' } }));
  });
});

describe('a plugin that is stopped', () => {
  it('ends while it is registered, and closes its connection', async () => {
    await using runtime = await startBoth({ createContainer: () => ({ annotations: { applied: 'yes' } }) });
    stop.abort();
    await running;
    expect(states.at(-1)).toMatchObject({ state: 'lost' });
    const { adjust } = await runtime.call('CreateContainer', { pod, container });
    expect(adjust).not.toMatchObject({ annotations: { applied: 'yes' } });
  });

  it('ends while it waits for a runtime', async () => {
    startPlugin({});
    await vi.waitFor(() => expect(states).not.toEqual([]));
    stop.abort();
    await expect(running).resolves.toBeUndefined();
  });

  it('does not connect when it is stopped before', async () => {
    stop.abort();
    startPlugin({});
    await running;
    expect(states).toEqual([]);
  });
});
