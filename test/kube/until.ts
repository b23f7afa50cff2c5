import { expect, vi } from 'vitest';

/** Waits until what is read equals what is expected, and fails with the difference when it never does. */
export async function until<T>(read: () => T | Promise<T>, expected: T, timeoutMs = 15_000): Promise<void> {
  await vi.waitFor(async () => expect(await read()).toEqual(expected), { timeout: timeoutMs, interval: 20 });
}
