import { once } from 'node:events';
import { expect, test } from 'vitest';
import { runTogether } from '../../src/agent/together.ts';

const never = new AbortController().signal;

const lasting = async (signal: AbortSignal): Promise<void> => void (await once(signal, 'abort'));

test('a part that fails ends the others, which is waited for, and its error is what comes of it', async () => {
  const failure = new Error('a part failed');
  await expect(runTogether([lasting, () => Promise.reject(failure)], never)).rejects.toBe(failure);
});

test('parts run until the signal aborts', async () => {
  const stop = new AbortController();
  const running = runTogether([lasting, lasting], stop.signal);
  stop.abort();
  await expect(running).resolves.toBeUndefined();
});
