import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { RefuseCreation } from '../../src/nri/error.ts';
import type { ContainerAdjustment, PluginHandlers } from '../../src/nri/handlers.ts';
import { container, pod } from './pods.ts';
import { buildRuntime } from './runtime.ts';
import { Stage } from './stage.ts';

beforeAll(buildRuntime, 300_000);

const sendBack: PluginHandlers['createContainer'] = ({ annotations }) => ({
  annotations: { back: annotations['large'] ?? '' },
});

const refuse = (): never => {
  throw new RefuseCreation('no addresses are left on this node');
};

describe('with the runtime of containerd', () => {
  it('the plugin is connecting, registered, synchronized', async () => {
    await using stage = await Stage.play({});
    await vi.waitFor(() => expect(stage.states).toHaveLength(3));
    expect(stage.states).toEqual([
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
    await using stage = await Stage.play({ createContainer });
    const { adjust, error } = await stage.runtime.call('CreateContainer', { pod, container });
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

  it('what the plugin does not read of a container is not kept', async () => {
    const createContainer = vi.fn(() => undefined);
    await using stage = await Stage.play({ createContainer });
    await stage.runtime.call('CreateContainer', { pod, container: { id: 'c', args: ['sh'], env: ['A=B'] } });
    expect(createContainer).toHaveBeenCalledTimes(1);
    expect(createContainer.mock.lastCall).not.toContainEqual(expect.objectContaining({ $unknown: expect.anything() }));
  });

  it.each([0, 4000, 4086, 4096, 65_536, 1_000_000, 4_000_000])(
    'messages of %i bytes and more pass both ways',
    async (bytes) => {
      const value = 'x'.repeat(bytes);
      await using stage = await Stage.play({ createContainer: sendBack });
      for (const id of ['one', 'two', 'three']) {
        const { adjust } = await stage.runtime.call('CreateContainer', {
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
    await using stage = await Stage.play({ [handler]: handle });
    await expect(stage.runtime.call(method, { pod })).resolves.toEqual({});
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
    await using stage = await Stage.play({ [handler]: handle });
    await expect(stage.runtime.call(method, { pod, container })).resolves.toEqual({});
    expect(handle).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ id: 'sandbox-1' }),
      expect.objectContaining({ id: 'container-1' }),
      expect.any(AbortSignal),
    );
  });

  it('a state above the message limit is synchronized in one call of the handler', async () => {
    const synchronize = vi.fn();
    await using stage = await Stage.play({ synchronize }, ['-pods', '3000', '-padding', '4000']); // 12 MB
    expect(stage.errors).toEqual([]);
    expect(synchronize).toHaveBeenCalledTimes(1);
    const ids = (synchronize.mock.lastCall![0] as readonly { readonly id: string }[]).map(({ id }) => id);
    expect(new Set(ids)).toEqual(new Set(Array.from({ length: 3000 }, (_, at) => `existing-${at}`)));
  });
});

describe('a handler that throws', () => {
  it.each([
    { handler: 'runPodSandbox', method: 'RunPodSandbox' },
    { handler: 'createContainer', method: 'CreateContainer' },
  ] as const)('RefuseCreation fails the creation: $handler', async ({ handler, method }) => {
    await using stage = await Stage.play({ [handler]: refuse });
    const result = await stage.runtime.call(method, { pod, container });
    expect(result).toMatchObject({ code: 9, error: expect.stringContaining('no addresses are left on this node') });
    expect(stage.errors).toEqual([]);
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
    await using stage = await Stage.play({ [handler]: fail });
    expect(await stage.runtime.call(method, { pod, container })).not.toHaveProperty('error');
    expect(stage.errors).toMatchObject([{ kind: 'HandlerFailed', cause: error }]);
  });

  it.each([
    { what: 'a negative limit', adjust: { rlimits: [{ type: 'RLIMIT_NOFILE', hard: -1n, soft: 1n }] } },
    { what: 'more than a message can hold', adjust: { annotations: { value: 'x'.repeat(2 ** 22 - 10) } } },
  ])('is no worse than one that answers $what', async ({ adjust }) => {
    await using stage = await Stage.play({ createContainer: () => adjust });
    expect(await stage.runtime.call('CreateContainer', { pod, container })).not.toHaveProperty('error');
    expect(stage.errors).toMatchObject([{ kind: 'HandlerFailed' }]);
  });

  it('does not keep the plugin from being synchronized', async () => {
    await using stage = await Stage.play({ synchronize: () => Promise.reject(new Error('a bug')) });
    expect(await stage.runtime.call('CreateContainer', { pod, container })).not.toHaveProperty('error');
    expect(stage.errors).toMatchObject([{ kind: 'HandlerFailed' }]);
  });
});

describe('a handler that takes too long', () => {
  it('is answered for before the runtime drops the plugin, and its signal aborts', { timeout: 15_000 }, async () => {
    const aborted = vi.fn();
    const createContainer: PluginHandlers['createContainer'] = ({ id }, _, signal) => {
      signal.addEventListener('abort', aborted);
      return id === 'slow' ? sleep(60_000, undefined, { ref: false }) : { annotations: { answered: 'yes' } };
    };
    await using stage = await Stage.play({ createContainer });
    expect(await stage.runtime.call('CreateContainer', { pod: { id: 'slow' }, container })).not.toHaveProperty('error');
    expect(stage.errors).toMatchObject([{ kind: 'HandlerTimedOut' }]);
    expect(aborted).toHaveBeenCalledTimes(1);
    const next = await stage.runtime.call('CreateContainer', { pod: { id: 'next' }, container });
    expect(next.adjust).toMatchObject({ annotations: { answered: 'yes' } });
    expect(stage.states.map(({ state }) => state)).toEqual(['connecting', 'registered', 'synchronized']);
  });
});
