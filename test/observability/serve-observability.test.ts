import { createServer } from 'node:net';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { createMetrics } from '../../src/observability/metrics.ts';
import { serveObservability, type ObservabilityOptions } from '../../src/observability/serve-observability.ts';

async function serve(options: Partial<ObservabilityOptions> = {}) {
  const controller = new AbortController();
  const server = await serveObservability({
    port: 0,
    host: '127.0.0.1',
    gates: () => [],
    metrics: createMetrics(),
    signal: controller.signal,
    ...options,
  });
  onTestFinished(async () => {
    controller.abort();
    await server.closed;
  });
  const answer = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    return { status: response.status, body: await response.text(), type: response.headers.get('content-type') };
  };
  return { answer, server, stop: () => controller.abort() };
}

test('alive and ready', async () => {
  const { answer } = await serve();
  expect(await answer('/healthz')).toMatchObject({ status: 200, body: 'ok\n' });
  expect(await answer('/readyz?verbose')).toMatchObject({ status: 200, body: 'ok\n' });
});

const closed = (gate: string, reason: string) => ({ gate, isOpen: false, reason });

test('not ready names each closed gate, in a metric too, and is alive all the same', async () => {
  const open = { gate: 'services', isOpen: true, reason: 'services are not listed yet' };
  const gates = () => [closed('pods', 'pods are not listed yet'), open, closed('webhook', 'no certificate')];
  const { answer } = await serve({ gates });
  expect(await answer('/readyz')).toMatchObject({
    status: 503,
    body: 'pods are not listed yet\nno certificate\n',
  });
  expect(await answer('/healthz')).toMatchObject({ status: 200 });
  const { body } = await answer('/metrics');
  expect(body.match(/^connectionbudget_readiness_gate_status.*$/gm)).toEqual([
    'connectionbudget_readiness_gate_status{gate="pods"} 0',
    'connectionbudget_readiness_gate_status{gate="services"} 1',
    'connectionbudget_readiness_gate_status{gate="webhook"} 0',
  ]);
});

test('what only a restart mends is said by /healthz', async () => {
  const { answer } = await serve({ broken: () => ['pods: the last look at them ended 301 s ago'] });
  expect(await answer('/healthz')).toMatchObject({
    status: 503,
    body: 'pods: the last look at them ended 301 s ago\n',
  });
});

test('metrics come in the text format', async () => {
  const { answer } = await serve();
  const { status, body, type } = await answer('/metrics');
  expect({ status, type }).toEqual({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8' });
  expect(body).toContain('process_resident_memory_bytes');
});

test.each([
  ['/', 'GET', 404],
  ['/metrics/x', 'GET', 404],
  ['/healthz', 'POST', 405],
])('%s by %s is %i', async (path, method, status) => {
  const { answer } = await serve();
  expect(await answer(path, method)).toMatchObject({ status });
});

test('a readiness check that throws is an answer, and no crash', async () => {
  const { answer } = await serve({
    gates: () => {
      throw new Error('broken');
    },
  });
  expect(await answer('/readyz')).toMatchObject({ status: 500, body: 'Error: broken\n' });
  expect(await answer('/healthz')).toMatchObject({ status: 200 });
});

test('it stops with the signal, also while a client keeps its connection', async () => {
  const { answer, server, stop } = await serve();
  await answer('/healthz');
  stop();
  await server.closed;
  await expect(answer('/healthz')).rejects.toThrow('fetch failed');
});

test('a port that is taken is an error', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  onTestFinished(() => void other.close());
  const address = other.address();
  expect(address).toBeTypeOf('object');
  const port = (address as { port: number }).port;
  await expect(serve({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});
