import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { CpuMeter } from '../../src/agent/cpu-meter.ts';

const busy = (durationMs: number): void => {
  const began = process.cpuUsage().user;
  while (process.cpuUsage().user - began < durationMs * 1000);
};

test('a look is charged for its own work, though another was asked for at once', async () => {
  const meter = new CpuMeter();
  const events: string[] = [];
  const look = (name: string, durationMs: number) =>
    meter.measure(async () => {
      events.push(`${name} begins`);
      await pause(20);
      busy(durationMs);
      events.push(`${name} ends`);
    });
  const [long, short] = await Promise.all([look('long', 200), look('short', 0)]);
  expect(events).toEqual(['long begins', 'long ends', 'short begins', 'short ends']);
  expect(long).toBeGreaterThan(200);
  expect(short).toBeLessThan(100);
});

test('a look that fails hands its error on, and the next one has its turn', async () => {
  const meter = new CpuMeter();
  const failing = meter.measure(() => Promise.reject(new Error('gone')));
  const next = meter.measure(() => Promise.resolve());
  await expect(failing).rejects.toThrow('gone');
  expect(await next).toBeGreaterThanOrEqual(0);
});
