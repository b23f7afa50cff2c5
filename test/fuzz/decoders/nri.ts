import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NriError } from '../../../src/nri/error.ts';
import { runSession } from '../../../src/nri/session.ts';
import { handshake } from '../../nri/handshake.ts';
import { type Decoder, requireTrue } from '../decoder.ts';

/** The whole plugin, spoken to over a socket by a runtime that says the input and hangs up. */

const fromRuntime = handshake.filter(({ from }) => from === 'runtime').map(({ bytes }) => bytes);

const socketPath = join(tmpdir(), `nri-fuzz-${randomUUID()}.sock`);
let said: Uint8Array = Buffer.alloc(0);
let server: Server | undefined;

const listening = async (): Promise<void> => {
  if (server !== undefined) return;
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.resume().end(said);
  });
  server.unref().listen(socketPath);
  await once(server, 'listening');
};

const names = ['synchronize', 'createContainer', 'runPodSandbox', 'stopContainer'] as const;

const check = async (input: Buffer): Promise<void> => {
  await listening();
  said = input;
  const errors: unknown[] = [];
  const ended = await runSession(
    {
      socketPath,
      name: 'connbudget',
      index: '50',
      handlers: {
        ...Object.fromEntries(names.map((name) => [name, () => undefined])),
        synchronize: () => undefined,
        createContainer: () => undefined,
      },
      onError: (error) => errors.push(error),
      onRegistered: () => undefined,
      onSynchronized: () => undefined,
    },
    AbortSignal.timeout(5000),
  );
  requireTrue(ended instanceof NriError && ended.kind !== 'RuntimeUnreachable', 'a session ends by its own error');
  requireTrue(
    errors.every((error) => error instanceof NriError),
    'an event fails by an error of the protocol',
  );
};

export const nriDecoders: readonly Decoder[] = [
  {
    name: 'nri-session',
    seeds: [Buffer.concat(fromRuntime), ...fromRuntime.map((frame) => Buffer.concat([fromRuntime[0]!, frame]))],
    check,
    end: () => {
      server?.close();
      rmSync(socketPath, { force: true });
    },
  },
];
