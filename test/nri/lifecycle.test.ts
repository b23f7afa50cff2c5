import { beforeAll, describe, expect, it, vi } from 'vitest';
import { container, pod } from './pods.ts';
import { buildRuntime } from './runtime.ts';
import { Stage } from './stage.ts';

beforeAll(buildRuntime, 300_000);

const apply = () => ({ annotations: { applied: 'yes' } });

describe('a runtime that goes', () => {
  it('is waited for, and the plugin registers again when it is back', { timeout: 30_000 }, async () => {
    const synchronize = vi.fn();
    await using stage = await Stage.set();
    stage.startPlugin({ synchronize, createContainer: apply });
    await vi.waitFor(() => expect(stage.states.at(-1)).toMatchObject({ reason: { kind: 'RuntimeUnreachable' } }));
    for (const life of [1, 2, 3]) {
      await using runtime = await stage.startRuntime();
      await runtime.reached('synchronized');
      expect(synchronize).toHaveBeenCalledTimes(life);
      const { adjust } = await runtime.call('CreateContainer', { pod, container });
      expect(adjust).toMatchObject({ annotations: { applied: 'yes' } });
    }
    await vi.waitFor(() => {
      const lost = { state: 'lost', reason: expect.objectContaining({ kind: 'ConnectionLost' }) };
      expect(stage.states.filter(({ state }) => state === 'synchronized')).toHaveLength(3);
      expect(stage.states).toContainEqual(lost);
    });
  });

  it('has its way: what it asked of a process that was stopped, and gave up after 2 s, reaches no handler', async () => {
    const runPodSandbox = vi.fn();
    await using stage = await Stage.play({ runPodSandbox });
    const started = stage.runtime.call('RunPodSandbox', { pod });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
    expect(await started).toEqual({});
    await vi.waitFor(() =>
      expect(stage.states.map(({ state }) => state).slice(3)).toEqual([
        'lost',
        'connecting',
        'registered',
        'synchronized',
      ]),
    );
    expect(runPodSandbox).not.toHaveBeenCalled();
    expect(stage.errors).toMatchObject([{ kind: 'ConnectionLost' }]);
  });

  it('says why it did not register the plugin', async () => {
    await using stage = await Stage.set();
    await stage.startRuntime();
    stage.startPlugin({}, 'a name that is none');
    await vi.waitFor(() => expect(stage.states.at(-1)).toMatchObject({ reason: { kind: 'RegistrationFailed' } }));
  });
});

describe('a plugin that is stopped', () => {
  it('ends while it is registered, and closes its connection', async () => {
    await using stage = await Stage.play({ createContainer: apply });
    await stage.stopPlugin();
    expect(stage.states.at(-1)).toMatchObject({ state: 'lost' });
    const { adjust } = await stage.runtime.call('CreateContainer', { pod, container });
    expect(adjust).not.toMatchObject({ annotations: { applied: 'yes' } });
  });

  it('ends while it waits for a runtime', async () => {
    await using stage = await Stage.set();
    stage.startPlugin({});
    await vi.waitFor(() => expect(stage.states).not.toEqual([]));
    await expect(stage.stopPlugin()).resolves.toBeUndefined();
  });

  it('does not connect when it is stopped before', async () => {
    await using stage = await Stage.set();
    await stage.stopPlugin();
    stage.startPlugin({});
    await stage.stopPlugin();
    expect(stage.states).toEqual([]);
  });
});
