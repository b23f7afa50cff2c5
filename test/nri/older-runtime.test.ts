import { beforeAll, describe, expect, it, vi } from 'vitest';
import { Event } from '../../src/nri/gen/nri_pb.ts';
import type { PluginHandlers } from '../../src/nri/handlers.ts';
import { container, pod } from './pods.ts';
import { buildRuntime } from './runtime.ts';
import { Stage } from './stage.ts';

beforeAll(buildRuntime, 300_000);

describe('with a runtime older than containerd 2.3, which has only StateChange', () => {
  it.each([
    { event: Event.RUN_POD_SANDBOX, handler: 'runPodSandbox' },
    { event: Event.REMOVE_POD_SANDBOX, handler: 'removePodSandbox' },
    { event: Event.POST_START_CONTAINER, handler: 'postStartContainer' },
    { event: Event.START_CONTAINER, handler: 'startContainer' },
  ] as const)('event $event reaches $handler', async ({ event, handler }) => {
    const handle = vi.fn();
    await using stage = await Stage.play({ [handler]: handle }, ['-direct']);
    await expect(stage.runtime.call('StateChange', { event, pod, container })).resolves.toEqual({});
    expect(handle).toHaveBeenCalledTimes(1);
    expect(handle.mock.lastCall![0]).toMatchObject({ id: 'sandbox-1', annotations: { key: 'value' } });
  });

  it('an event that is not known is answered, a method that is not known is unimplemented', async () => {
    await using stage = await Stage.play({}, ['-direct']);
    await expect(stage.runtime.call('StateChange', { event: 13, pod })).resolves.toEqual({});
    await expect(stage.runtime.call('UpdateContainer')).resolves.toMatchObject({ code: 12 });
    await expect(stage.runtime.call('Shutdown')).resolves.toEqual({});
    expect(stage.errors).toEqual([]);
  });

  it('an event without its pod is reported and answered', async () => {
    await using stage = await Stage.play({ runPodSandbox: () => undefined }, ['-direct']);
    await expect(stage.runtime.call('RunPodSandbox')).resolves.toEqual({});
    expect(stage.errors).toMatchObject([{ kind: 'IncompleteEvent' }]);
  });

  it('a slow handler keeps no other waiting', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<undefined>();
    const createContainer: PluginHandlers['createContainer'] = ({ id }) => (id === 'slow' ? released : undefined);
    await using stage = await Stage.play({ createContainer }, ['-direct']);
    const slow = stage.runtime.call('CreateContainer', { pod: { id: 'slow' }, container }).then(() => 'slow');
    const quick = stage.runtime.call('CreateContainer', { pod: { id: 'quick' }, container }).then(() => 'quick');
    await expect(Promise.race([slow, quick])).resolves.toBe('quick');
    release(undefined);
    await expect(slow).resolves.toBe('slow');
  });
});
