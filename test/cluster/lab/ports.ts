import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { LabError } from './lab-error.ts';

// Below the default ephemeral range (32768, ip-sysctl.rst), so that no outgoing connection takes the port between our
// look and the daemon's bind.
const firstPort = 20_000;
const lastPort = 32_000;
const attempts = 100;

/** `count` different TCP ports that nothing listens on at 127.0.0.1 now. */
export async function freePorts(count: number, signal: AbortSignal): Promise<readonly number[]> {
  const ports = new Set<number>();
  for (let attempt = 0; attempt < attempts && ports.size < count; attempt += 1) {
    signal.throwIfAborted();
    const port = randomInt(firstPort, lastPort);
    if (await isFree(port)) ports.add(port);
  }
  if (ports.size < count) throw new LabError('NotReady', `no ${count} free ports in ${firstPort}–${lastPort}`);
  return [...ports];
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ port, host: '127.0.0.1', exclusive: true });
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
